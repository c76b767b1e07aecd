//! Pixels to disk and back: item sources, shards, batches. No Python.

mod blobs;
mod hash;
pub mod inputs;
pub mod inspect;
mod mirror;
mod npy;
mod planes;
mod reader;
mod shard;
mod source;
mod tar;

pub use hash::{hash_bytes, hash_file, Fingerprint};
pub use reader::{Encoding, Layout, ReadError, Reader};
pub use shard::{prepare_shard, Shard, ShardError, Store, Work};
pub use source::{Fetch, Item, Range, Source};
pub use tar::{TarEntry, TarError};
