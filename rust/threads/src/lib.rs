//! Threads for the crates above: a pool that is kept and survives a fork, and work over a range with a watcher.

pub mod parallel;
mod pool;

pub use pool::{in_pool, pool};
