//! Pixels to disk and back: item sources and shards. No Python.

mod hash;
mod npy;
pub mod parallel;
mod pool;
mod reader;
mod shard;
mod source;
mod tar;

pub use hash::{hash_file, Fingerprint};
pub use reader::{Layout, ReadError, Reader};
pub use shard::{prepare_shard, Shard, ShardError};
pub use source::{Fetch, Item, Range, Source};
pub use tar::{TarEntry, TarError};
