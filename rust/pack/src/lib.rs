//! Pixels to disk and back: item sources, shards, batches. No Python.

mod blobs;
mod files;
mod hash;
pub mod inputs;
pub mod inspect;
mod links;
mod mirror;
mod npy;
mod planes;
mod reader;
mod shard;
mod source;
mod tar;
mod unpack;
mod zip;

pub use hash::{hash_bytes, hash_file, Fingerprint};
pub use links::Fault;
pub use reader::{Encoding, Layout, ReadError, Reader};
pub use shard::{prepare_shard, Noise, Reject, Shard, ShardError, Store, Work};
pub use source::{Archive, Fetch, Item, Range, Ranges, Source};
pub use tar::TarError;
