//! One shard: a range of items, decoded, cropped, resized and written as a `.npy` file.
//!
//! The work is idempotent: the same items, policy and code give the same bytes, whatever the number of threads.

use std::fs::File;
use std::io::{self, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use gantools_image::{PixelPolicy, Preparer};
use xxhash_rust::xxh3::Xxh3;

use crate::source::Item;
use crate::{hash, npy, parallel, Source};

/// What became of a shard's items.
#[derive(Debug, PartialEq, Eq)]
pub struct Shard {
    /// Images in the file.
    pub count: usize,
    /// XXH3 of the whole file, hexadecimal.
    pub xxh3: String,
    /// Items without an image: their position in the list of items and the reason.
    pub rejects: Vec<(usize, String)>,
}

/// Why a shard was not written.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The watcher asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The file could not be written.
    #[error("{path}: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
}

/// Prepares `items` of `source` and writes those that have an image, in order, to `path`.
///
/// The file appears under its name only when it is whole. `watch(done)` is called about ten times a second and stops
/// the work by returning false.
pub fn prepare_shard(
    source: &Source,
    items: &[usize],
    policy: &PixelPolicy,
    path: &Path,
    threads: usize,
    watch: impl FnMut(usize) -> bool,
) -> Result<Shard, ShardError> {
    let length = policy.image_len();
    let mut data = vec![0; items.len() * length];
    let rejects = Mutex::new(Vec::new());
    let finished = parallel::fill_each(
        &mut data,
        length,
        parallel::threads(threads),
        Preparer::default,
        |preparer, i, out| {
            let result = catch_unwind(AssertUnwindSafe(|| {
                prepare_item(preparer, source, items[i], policy, out)
            }));
            let reason = match result {
                Ok(Ok(())) => return,
                Ok(Err(reason)) => reason,
                Err(_) => {
                    // The panic may have left the decoder half-way.
                    *preparer = Preparer::default();
                    "the decoder failed on it (please report this file)".into()
                }
            };
            rejects
                .lock()
                .expect("no panic while it is held")
                .push((i, reason));
        },
        watch,
    );
    if !finished {
        return Err(ShardError::Interrupted);
    }
    let mut rejects = rejects.into_inner().expect("no panic while it is held");
    rejects.sort();
    let count = items.len() - rejects.len();
    close_gaps(&mut data, length, rejects.iter().map(|(i, _)| *i));
    let shape = [count, policy.height, policy.width, policy.decode.channels];
    let xxh3 = write(path, &npy::header(&shape), &data).map_err(|error| ShardError::Write {
        path: path.into(),
        error,
    })?;
    Ok(Shard {
        count,
        xxh3,
        rejects,
    })
}

fn prepare_item(
    preparer: &mut Preparer,
    source: &Source,
    item: usize,
    policy: &PixelPolicy,
    out: &mut [u8],
) -> Result<(), String> {
    match source.read(item)? {
        Item::Encoded(bytes) => preparer.encoded(&bytes, policy, out),
        Item::Raw(pixels) => preparer.raw(pixels, policy, out),
    }
    .map_err(|e| e.to_string())
}

/// Removes the blocks number `gaps` (ascending) of `length` elements each.
fn close_gaps(data: &mut Vec<u8>, length: usize, gaps: impl Iterator<Item = usize>) {
    let mut gaps = gaps.peekable();
    let mut kept = 0;
    for block in 0..data.len() / length {
        if gaps.next_if_eq(&block).is_none() {
            data.copy_within(block * length..(block + 1) * length, kept * length);
            kept += 1;
        }
    }
    data.truncate(kept * length);
}

/// Writes `header` and `data` under a temporary name, then renames; returns the hash of both.
fn write(path: &Path, header: &[u8], data: &[u8]) -> io::Result<String> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(header)?;
        file.write_all(data)?;
        drop(file);
        std::fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        // On a full disk the space is wanted back; that the removal may fail too changes nothing.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    let mut hasher = Xxh3::new();
    hasher.update(header);
    hasher.update(data);
    Ok(hash::hex64(&hasher))
}

#[cfg(test)]
mod tests {
    use gantools_image::{AlphaPolicy, Crop, DecodeOptions, Filter, OrientationPolicy};

    use super::*;

    fn policy(size: usize) -> PixelPolicy {
        PixelPolicy {
            width: size,
            height: size,
            crop: Crop::Center,
            band: 0,
            background: [0; 3],
            fast: false,
            filter: Filter::Lanczos,
            decode: DecodeOptions {
                channels: 1,
                alpha: AlphaPolicy::Error,
                orientation: OrientationPolicy::Apply,
                max_pixels: 1 << 20,
            },
        }
    }

    fn numbers(n: u8) -> Source {
        Source::Array {
            shape: [2, 2, 1],
            data: (0..n).flat_map(|v| [v; 4]).collect(),
        }
    }

    #[test]
    fn threads_do_not_change_the_file_and_its_hash_is_the_hash_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let items: Vec<usize> = (0..50).rev().collect();
        let mut files = Vec::new();
        for threads in [1, 2, 5] {
            let path = folder.path().join(format!("{threads}.npy"));
            let shard =
                prepare_shard(&numbers(50), &items, &policy(3), &path, threads, |_| true).unwrap();
            assert_eq!((shard.count, shard.rejects.len()), (50, 0));
            assert_eq!(hash::hash_file(&path).unwrap(), shard.xxh3);
            files.push(std::fs::read(&path).unwrap());
        }
        assert_eq!(files[0], files[1]);
        assert_eq!(files[0], files[2]);
        assert_eq!(files[0][128..137], [49; 9]);
    }

    #[test]
    fn rejects_leave_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        for (name, good) in [("a", true), ("b", false), ("c", true), ("d", false)] {
            let image = gantools_image::Pixels::new(2, 2, 1, vec![name.as_bytes()[0]; 4]).unwrap();
            let png = gantools_image::encode_png(&image).unwrap();
            let data = if good { &png[..] } else { b"text" };
            std::fs::write(folder.path().join(name), data).unwrap();
        }
        let source = Source::Files {
            root: folder.path().into(),
            names: ["a", "b", "c", "d", "gone"].map(String::from).to_vec(),
        };
        let path = folder.path().join("out.npy");
        let shard =
            prepare_shard(&source, &[0, 1, 2, 3, 4], &policy(2), &path, 2, |_| true).unwrap();
        assert_eq!(shard.count, 2);
        assert_eq!(
            shard.rejects.iter().map(|(i, _)| *i).collect::<Vec<_>>(),
            [1, 3, 4]
        );
        assert!(shard.rejects[0].1.contains("not an image"));
        let data = std::fs::read(&path).unwrap();
        assert_eq!(&data[128..], b"aaaacccc");
    }

    #[test]
    fn an_interrupted_or_failed_shard_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.npy");
        let items = vec![0; 3_000_000];
        let result = prepare_shard(&numbers(1), &items, &policy(2), &path, 1, |_| false);
        assert!(matches!(result, Err(ShardError::Interrupted)));
        let nowhere = folder.path().join("no/out.npy");
        let result = prepare_shard(&numbers(1), &[0], &policy(2), &nowhere, 1, |_| true);
        assert!(matches!(result, Err(ShardError::Write { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
