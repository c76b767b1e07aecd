//! One shard: a range of items, decoded, cropped, resized and written as a `.npy` file.
//!
//! The work is idempotent: the same items, policy and code give the same bytes, whatever the number of threads.

use std::fs::File;
use std::io::{self, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use gantools_image::{
    add_noise, encode_jpeg, encode_png, named, turn, Crop, ImageError, PixelPolicy, Pixels,
    Preparer, Region,
};
use gantools_threads::parallel;
use xxhash_rust::xxh3::Xxh3;

use crate::source::Item;
use crate::{blobs, hash, npy, Source};

named! {
    /// What a shard's file holds of each image.
    pub enum Store {
        /// Its pixels: the file is a `.npy` array.
        Pixels => "pixels",
        /// The prepared image as PNG, which loses nothing.
        Png => "png",
        /// The prepared image as JPEG of quality 95, 4:4:4.
        Jpeg => "jpeg",
        /// The bytes of the source; each reader prepares them anew.
        Original => "original",
    }
}

/// What is done with each item.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// How an item becomes pixels.
    pub policy: &'a PixelPolicy,
    /// The part of each item to keep, as many as items; only for the crops that are given for each image.
    pub regions: Option<&'a [Region]>,
    /// What is written of it.
    pub store: Store,
    /// Noise on the finished pixels.
    pub noise: Option<Noise<'a>>,
    /// By how many degrees the finished face of each item is turned, as many as items.
    pub yaws: Option<&'a [f64]>,
}

/// Noise that is added to each item.
#[derive(Debug, Clone, Copy)]
pub struct Noise<'a> {
    /// Its deviation in levels.
    pub sigma: f64,
    /// The seed of each item's, as many as items.
    pub seeds: &'a [u64],
}

/// Why an item has no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The class of the reason: one of [`ImageError::class`], or `unreadable`: its bytes could not be had.
    pub class: &'static str,
    /// The reason.
    pub reason: String,
}

impl From<ImageError> for Reject {
    fn from(error: ImageError) -> Self {
        Self {
            class: error.class(),
            reason: error.to_string(),
        }
    }
}

/// A file of 16-bit samples whose colours all stay below this holds 12 bits at most.
const SHALLOW: u16 = 1 << 12;

/// What became of a shard's items.
#[derive(Debug, PartialEq, Eq)]
pub struct Shard {
    /// Images in the file.
    pub count: usize,
    /// XXH3 of the whole file, hexadecimal.
    pub xxh3: String,
    /// Items without an image: their position in the list of items and the reason.
    pub rejects: Vec<(usize, Reject)>,
    /// Images of 16-bit samples that all stay below 4096.
    pub shallow: usize,
    /// Width and height of the images of the file before they were prepared.
    pub sizes: Vec<(usize, usize)>,
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
    work: Work<'_>,
    path: &Path,
    threads: usize,
    watch: impl FnMut(usize) -> bool,
) -> Result<Shard, ShardError> {
    let job = Job {
        source,
        items,
        work,
        threads: parallel::threads(threads),
    };
    let contents = match work.store {
        Store::Pixels => job.as_pixels(watch),
        _ => job.encoded(watch),
    };
    let Contents {
        header,
        data,
        done,
        rejects,
    } = contents.ok_or(ShardError::Interrupted)?;
    let xxh3 = write(path, &header, &data).map_err(|error| ShardError::Write {
        path: path.into(),
        error,
    })?;
    let shallow = |done: &&Done| done.largest.is_some_and(|v| v > 0 && v < SHALLOW);
    Ok(Shard {
        count: done.len(),
        xxh3,
        rejects,
        shallow: done.iter().filter(shallow).count(),
        sizes: done.iter().map(|done| done.size).collect(),
    })
}

/// What is in a shard's file, and what became of its items.
struct Contents {
    header: Vec<u8>,
    data: Vec<u8>,
    done: Vec<Done>,
    rejects: Vec<(usize, Reject)>,
}

/// What is known of an item that has become an image.
struct Done {
    /// Width and height before it was prepared.
    size: (usize, usize),
    /// Its largest colour, where it has 16 bits.
    largest: Option<u16>,
}

/// What a thread works with.
#[derive(Default)]
struct Hand {
    preparer: Preparer,
    /// The item that the preparer keeps decoded, for further tiles of it.
    holds: Option<usize>,
}

/// What goes into a shard, and on how many threads it is made.
struct Job<'a> {
    source: &'a Source,
    items: &'a [usize],
    work: Work<'a>,
    threads: usize,
}

impl Job<'_> {
    /// Item `i` prepared into `out`, and what `then` makes of it and of the bytes it was.
    fn prepared<T>(
        &self,
        hand: &mut Hand,
        i: usize,
        out: &mut [u8],
        then: impl FnOnce(Done, Option<Item>, &[u8]) -> Result<T, Reject>,
    ) -> Result<T, Reject> {
        guarded(hand, |hand| {
            let number = self.items[i];
            if hand.holds == Some(number) {
                let region = self.work.regions.map(|regions| &regions[i]);
                if let Some(size) = hand.preparer.again(self.work.policy, region, out) {
                    let size = size?;
                    self.change(i, out);
                    let largest = hand.preparer.largest();
                    return then(Done { size, largest }, None, out);
                }
            }
            let item = self.source.read(number).map_err(unreadable)?;
            let original = (self.work.store == Store::Original).then(|| item.clone());
            hand.holds = None;
            let tiled = self.work.policy.crop == Crop::Tile && matches!(item, Item::Encoded(_));
            let done = prepare_item(&mut hand.preparer, item, i, self.work, out)?;
            hand.holds = tiled.then_some(number);
            self.change(i, out);
            then(done, original, out)
        })
    }

    /// What is done to the finished pixels of item `i` alone.
    fn change(&self, i: usize, out: &mut [u8]) {
        if let Some(yaws) = self.work.yaws {
            let policy = self.work.policy;
            let channels = policy.decode.channels;
            turn(out, policy.width, policy.height, channels, yaws[i]);
        }
        if let Some(noise) = self.work.noise {
            add_noise(out, noise.sigma, noise.seeds[i]);
        }
    }

    /// All items' pixels; None when the watcher asked to stop.
    fn as_pixels(&self, watch: impl FnMut(usize) -> bool) -> Option<Contents> {
        let policy = self.work.policy;
        let length = policy.image_len();
        let mut data = vec![0; self.items.len() * length];
        let results = Results::new(self.items.len());
        let one = |hand: &mut Hand, i: usize, out: &mut [u8]| {
            results.set(i, self.prepared(hand, i, out, |done, _, _| Ok(done)));
        };
        let state = Hand::default;
        if !parallel::fill_each(&mut data, length, self.threads, state, one, watch) {
            return None;
        }
        let (done, rejects) = results.split();
        close_gaps(&mut data, length, rejects.iter().map(|(i, _)| *i));
        let shape = [
            done.len(),
            policy.height,
            policy.width,
            policy.decode.channels,
        ];
        Some(Contents {
            header: npy::header(&shape),
            data,
            done,
            rejects,
        })
    }

    /// All items encoded; None when the watcher asked to stop.
    fn encoded(&self, watch: impl FnMut(usize) -> bool) -> Option<Contents> {
        let results = Results::new(self.items.len());
        let state = || (Hand::default(), vec![0; self.work.policy.image_len()]);
        let one = |(hand, out): &mut (Hand, Vec<u8>), i: usize| {
            let encoded =
                |done, original, out: &[u8]| Ok((done, encode(original, out, self.work)?));
            results.set(i, self.prepared(hand, i, out, encoded));
        };
        if !parallel::for_each(self.items.len(), self.threads, state, one, watch) {
            return None;
        }
        let (kept, rejects) = results.split();
        let (done, images): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        Some(Contents {
            header: blobs::header(images.iter().map(Vec::len)),
            data: images.concat(),
            done,
            rejects,
        })
    }
}

/// A result for each item, set from any thread.
struct Results<T>(Vec<Mutex<Option<Result<T, Reject>>>>);

impl<T> Results<T> {
    fn new(n: usize) -> Self {
        Self((0..n).map(|_| Mutex::new(None)).collect())
    }

    fn set(&self, i: usize, result: Result<T, Reject>) {
        *self.0[i].lock().expect("no panic while it is held") = Some(result);
    }

    /// The good ones in order, and the others with their positions.
    fn split(self) -> (Vec<T>, Vec<(usize, Reject)>) {
        let (mut good, mut bad) = (Vec::with_capacity(self.0.len()), Vec::new());
        for (i, result) in self.0.into_iter().enumerate() {
            let result = result.into_inner().expect("no panic while it is held");
            match result.expect("all items were done") {
                Ok(value) => good.push(value),
                Err(reason) => bad.push((i, reason)),
            }
        }
        (good, bad)
    }
}

/// Runs `work`, and makes a reason of its panic.
fn guarded<T>(
    hand: &mut Hand,
    work: impl FnOnce(&mut Hand) -> Result<T, Reject>,
) -> Result<T, Reject> {
    catch_unwind(AssertUnwindSafe(|| work(hand))).unwrap_or_else(|_| {
        // The panic may have left the decoder half-way.
        *hand = Hand::default();
        Err(Reject {
            class: "damaged",
            reason: "the decoder failed on it (please report this file)".into(),
        })
    })
}

fn prepare_item(
    preparer: &mut Preparer,
    item: Item,
    i: usize,
    work: Work<'_>,
    out: &mut [u8],
) -> Result<Done, Reject> {
    let region = work.regions.map(|regions| &regions[i]);
    let size = match item {
        Item::Encoded(bytes) => preparer.encoded(&bytes, work.policy, region, out)?,
        Item::Raw(pixels) => preparer.raw(pixels, work.policy, region, out)?,
    };
    Ok(Done {
        size,
        largest: preparer.largest(),
    })
}

fn unreadable(reason: String) -> Reject {
    Reject {
        class: "unreadable",
        reason,
    }
}

/// What is stored of an item whose prepared pixels are `pixels`; `original` is the item, where that is to be stored.
fn encode(original: Option<Item>, pixels: &[u8], work: Work<'_>) -> Result<Vec<u8>, Reject> {
    let policy = work.policy;
    let prepared = || {
        let channels = policy.decode.channels;
        Pixels::new(policy.width, policy.height, channels, pixels.to_vec())
    };
    let image = match original {
        Some(Item::Encoded(bytes)) => Ok(bytes),
        // What was never encoded has no bytes of its own.
        Some(Item::Raw(pixels)) => encode_png(&pixels),
        None if work.store == Store::Jpeg => prepared().and_then(|image| encode_jpeg(&image)),
        None => prepared().and_then(|image| encode_png(&image)),
    };
    Ok(image?)
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
    use gantools_image::{
        AlphaPolicy, Crop, DecodeOptions, Effect, Filter, Half, OrientationPolicy, SixteenBit,
    };

    use super::*;
    use crate::{Encoding, Reader};

    fn policy(size: usize) -> PixelPolicy {
        PixelPolicy {
            width: size,
            height: size,
            crop: Crop::Center,
            band: 0,
            background: [0; 3],
            fast: false,
            half: Half::Whole,
            effect: Effect::None,
            filter: Filter::Lanczos,
            decode: DecodeOptions {
                sixteen_bit: SixteenBit::Full,
                channels: 1,
                alpha: AlphaPolicy::Error,
                orientation: OrientationPolicy::Apply,
                max_pixels: 1 << 20,
            },
        }
    }

    fn pixels(policy: &PixelPolicy) -> Work<'_> {
        Work {
            policy,
            regions: None,
            store: Store::Pixels,
            noise: None,
            yaws: None,
        }
    }

    fn numbers(n: u8) -> Source {
        Source::numbers(n, 1)
    }

    #[test]
    fn threads_do_not_change_the_file_and_its_hash_is_the_hash_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let items: Vec<usize> = (0..50).rev().collect();
        let mut files = Vec::new();
        for threads in [1, 2, 5] {
            let path = folder.path().join(format!("{threads}.npy"));
            let shard = prepare_shard(
                &numbers(50),
                &items,
                pixels(&policy(3)),
                &path,
                threads,
                |_| true,
            )
            .unwrap();
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
            names: ["a", "b", "c", "d", "gone"].map(Into::into).to_vec(),
        };
        let path = folder.path().join("out.npy");
        let shard = prepare_shard(
            &source,
            &[0, 1, 2, 3, 4],
            pixels(&policy(2)),
            &path,
            2,
            |_| true,
        )
        .unwrap();
        assert_eq!(shard.count, 2);
        assert_eq!(
            shard.rejects.iter().map(|(i, _)| *i).collect::<Vec<_>>(),
            [1, 3, 4]
        );
        assert!(shard.rejects[0].1.reason.contains("not an image"));
        let data = std::fs::read(&path).unwrap();
        assert_eq!(&data[128..], b"aaaacccc");
        assert_eq!(shard.sizes, [(2, 2); 2]);
    }

    #[test]
    fn what_is_stored_encoded_is_read_back_as_the_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Array {
            shape: [2, 2, 1],
            data: (0..5 * 4).map(|v| 40 + 9 * v).collect(),
        };
        let (policy, items) = (policy(2), [4, 0, 2]);
        let mut expected = Vec::new();
        for item in items {
            expected.extend((0..4).map(|v| 40 + 9 * (item as u8 * 4 + v)));
        }
        for store in [Store::Png, Store::Jpeg, Store::Original] {
            let work = Work {
                store,
                ..pixels(&policy)
            };
            let path = folder.path().join("encoded");
            let shard = prepare_shard(&source, &items, work, &path, 2, |_| true).unwrap();
            assert_eq!(shard.count, 3);
            let encoding = Some(Encoding::of(store, &policy));
            let reader = Reader::open(&[(path, 3)], [2, 2, 1], encoding).unwrap();
            let mut out = vec![0; 12];
            reader.gather(&[0, 1, 2], None, &mut out).unwrap();
            let off = out.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(
                off <= Some(if store == Store::Jpeg { 3 } else { 0 }),
                "{store:?}"
            );
        }
    }

    #[test]
    fn an_interrupted_or_failed_shard_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.npy");
        let items = vec![0; 3_000_000];
        let result = prepare_shard(&numbers(1), &items, pixels(&policy(2)), &path, 1, |_| false);
        assert!(matches!(result, Err(ShardError::Interrupted)));
        let nowhere = folder.path().join("no/out.npy");
        let result = prepare_shard(&numbers(1), &[0], pixels(&policy(2)), &nowhere, 1, |_| true);
        assert!(matches!(result, Err(ShardError::Write { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
