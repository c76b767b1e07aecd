//! Pixels to disk and back: item sources, shards and the manifest. No Python.

pub mod parallel;
