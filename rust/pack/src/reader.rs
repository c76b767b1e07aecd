//! Batches of images out of the shards of a prepared set.
//!
//! The shards are mapped, so opening a set costs nothing and all processes share one copy in the page cache. A shard's
//! length is compared with its header before it is mapped: reading behind the end of a mapped file would kill the
//! process. Encoded images are decoded at each reading, on as many threads as there are.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gantools_image::{
    named, AlphaPolicy, Crop, Effect, Half, OrientationPolicy, PixelPolicy, Preparer,
};
use gantools_threads::pool;
use memmap2::Mmap;
use rayon::prelude::*;

use crate::mirror::mirror;
use crate::planes::{self, float};
use crate::{blobs, npy, Store};

/// Results smaller than this are made on the calling thread: waking others would take longer.
const PARALLEL_BYTES: usize = 1 << 20;

/// Why a set could not be opened, or a batch not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such file.
    #[error("{0}: the shard is missing")]
    Missing(PathBuf),
    /// It cannot be read, is no `.npy` file, or has another length than its header says.
    #[error("{path}: the shard is damaged ({reason})")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A whole `.npy` file of other images than the manifest says.
    #[error("{path}: holds {found:?}, the manifest says {expected:?}")]
    Other {
        /// The file.
        path: PathBuf,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: [usize; 4],
    },
    /// An encoded image that cannot be decoded any more.
    #[error("{path}: image {index} of the set is damaged ({reason})")]
    Image {
        /// The file.
        path: PathBuf,
        /// The image's number in the set.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// An index that is no image of the set.
    #[error("image {index} of a set of {len}")]
    Index {
        /// The index.
        index: i64,
        /// Images in the set.
        len: usize,
    },
    /// `out` or `flip` has another length than the batch.
    #[error("{what} has {found} elements, expected {expected}")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What it should be.
        expected: usize,
    },
}

named! {
    /// The order of the values of a batch of floats.
    pub enum Layout {
        /// Channel after channel.
        Nchw => "nchw",
        /// Pixel after pixel, as in the shards.
        Nhwc => "nhwc",
    }
}

/// How the images of encoded shards become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(PixelPolicy);

impl Encoding {
    /// For shards that were written with `store` and `policy`.
    ///
    /// Original bytes are prepared as ever. What was prepared before it was encoded is taken as it is.
    pub fn of(store: Store, policy: &PixelPolicy) -> Self {
        let mut policy = *policy;
        if store != Store::Original {
            policy.crop = Crop::None;
            policy.half = Half::Whole;
            policy.effect = Effect::None;
            policy.fast = false;
            policy.decode.alpha = AlphaPolicy::Error;
            policy.decode.orientation = OrientationPolicy::Ignore;
        }
        Self(policy)
    }
}

thread_local! {
    /// The decoder of a reading thread, and memory for one image.
    static DECODER: RefCell<(Preparer, Vec<u8>)> = RefCell::default();
    /// Memory of a reading thread for a mirrored image.
    static MIRRORED: RefCell<Vec<u8>> = RefCell::default();
}

/// Where the images of a shard are in its file.
enum Images {
    /// Pixels, one image after the other, from here on.
    Pixels(usize),
    /// Encoded, between these offsets.
    Encoded(Vec<u64>),
}

struct Mapped {
    path: PathBuf,
    map: Mmap,
    images: Images,
}

/// The images of a prepared set, by number, from any thread.
pub struct Reader {
    shards: Vec<Mapped>,
    /// The number of the first image of each shard, and at the end the number of images.
    starts: Vec<usize>,
    shape: [usize; 3],
    encoding: Option<Encoding>,
}

impl Reader {
    /// Opens shards, each given with its number of images; `shape` is height, width and channels of all.
    ///
    /// `encoding` is that of encoded shards, None for pixels.
    pub fn open(
        shards: &[(PathBuf, usize)],
        shape: [usize; 3],
        encoding: Option<Encoding>,
    ) -> Result<Self, ReadError> {
        let mut starts = vec![0];
        let mut mapped = Vec::with_capacity(shards.len());
        for (path, count) in shards {
            mapped.push(if encoding.is_some() {
                open_encoded(path, *count)?
            } else {
                open_shard(path, *count, shape)?
            });
            starts.push(starts[starts.len() - 1] + count);
        }
        Ok(Self {
            shards: mapped,
            starts,
            shape,
            encoding,
        })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of one image.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Height, width and channels.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Copies the images `indices` into `out`, one after the other, those marked in `flip` mirrored left to right.
    ///
    /// Nothing is written when an argument is wrong.
    pub fn gather(
        &self,
        indices: &[i64],
        flip: Option<&[bool]>,
        out: &mut [u8],
    ) -> Result<(), ReadError> {
        let [_, width, channels] = self.shape;
        self.each(indices, flip, out, |image, flipped, out| {
            if flipped {
                mirror(image, width, channels, out);
            } else {
                out.copy_from_slice(image);
            }
        })
    }

    /// As `gather`, as floats x / 127.5 - 1 in [-1, 1].
    pub fn gather_float(
        &self,
        indices: &[i64],
        flip: Option<&[bool]>,
        layout: Layout,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let [height, width, channels] = self.shape;
        // For values that do not lie side by side, which do not vectorise.
        let table: [f32; 256] = std::array::from_fn(|v| float(v as u8));
        let convert = |image: &[u8], out: &mut [f32]| match layout {
            Layout::Nhwc => {
                for (to, from) in out.iter_mut().zip(image) {
                    *to = float(*from);
                }
            }
            Layout::Nchw if channels == 3 => {
                let (red, rest) = out.split_at_mut(height * width);
                let (green, blue) = rest.split_at_mut(height * width);
                planes::split(image, [red, green, blue]);
            }
            Layout::Nchw => {
                for (channel, plane) in out.chunks_exact_mut(height * width).enumerate() {
                    let values = image[channel..].iter().step_by(channels);
                    for (to, from) in plane.iter_mut().zip(values) {
                        *to = table[usize::from(*from)];
                    }
                }
            }
        };
        self.each(indices, flip, out, |image, flipped, out| {
            if !flipped {
                return convert(image, out);
            }
            MIRRORED.with_borrow_mut(|mirrored| {
                mirrored.resize(image.len(), 0);
                mirror(image, width, channels, mirrored);
                convert(mirrored, out);
            });
        })
    }

    /// Checks the arguments, then calls `work(image, flipped, part of out)` for each index, on threads where it pays.
    fn each<T: Send>(
        &self,
        indices: &[i64],
        flip: Option<&[bool]>,
        out: &mut [T],
        work: impl Fn(&[u8], bool, &mut [T]) + Sync,
    ) -> Result<(), ReadError> {
        let length = self.image_len();
        let check = |what, found, expected| {
            if found == expected {
                Ok(())
            } else {
                Err(ReadError::Length {
                    what,
                    found,
                    expected,
                })
            }
        };
        check("out", out.len(), indices.len() * length)?;
        check(
            "flip",
            flip.map_or(indices.len(), <[bool]>::len),
            indices.len(),
        )?;
        let len = self.len();
        if let Some(&index) = indices
            .iter()
            .find(|&&i| usize::try_from(i).map_or(true, |i| i >= len))
        {
            return Err(ReadError::Index { index, len });
        }
        let one = |(i, out): (usize, &mut [T])| {
            // In range, as just checked.
            let (index, flipped) = (indices[i] as usize, flip.is_some_and(|flip| flip[i]));
            let (shard, stored) = self.stored(index);
            let Some(Encoding(policy)) = &self.encoding else {
                work(stored, flipped, out);
                return Ok(());
            };
            let damaged = |reason: String| ReadError::Image {
                path: shard.path.clone(),
                index,
                reason,
            };
            DECODER.with_borrow_mut(|(preparer, pixels)| {
                pixels.resize(length, 0);
                preparer
                    .encoded(stored, policy, None, pixels)
                    .map_err(|e| damaged(e.to_string()))?;
                work(pixels, flipped, out);
                Ok(())
            })
        };
        let pays = match self.encoding {
            Some(_) => indices.len() > 1,
            None => std::mem::size_of_val(out) >= PARALLEL_BYTES,
        };
        match pays.then(pool).flatten() {
            // A few images a piece, so that a thread that starts late finds less to do.
            Some(pool) => pool.install(|| {
                let pieces = pool.current_num_threads() * 4;
                out.par_chunks_exact_mut(length)
                    .enumerate()
                    .with_min_len(indices.len().div_ceil(pieces))
                    .try_for_each(one)
            }),
            None => out.chunks_exact_mut(length).enumerate().try_for_each(one),
        }
    }

    /// The shard of an image and the image's bytes in it.
    fn stored(&self, index: usize) -> (&Mapped, &[u8]) {
        let number = self.starts.partition_point(|&start| start <= index) - 1;
        let shard = &self.shards[number];
        let at = index - self.starts[number];
        let bytes = match &shard.images {
            Images::Pixels(data) => {
                let start = data + at * self.image_len();
                &shard.map[start..start + self.image_len()]
            }
            Images::Encoded(offsets) => &shard.map[offsets[at] as usize..offsets[at + 1] as usize],
        };
        (shard, bytes)
    }
}

/// A file, its length, and what to call a fault of it.
fn open_file(
    path: &Path,
    damaged: &impl Fn(String) -> ReadError,
) -> Result<(File, u64), ReadError> {
    let file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => ReadError::Missing(path.into()),
        _ => damaged(e.to_string()),
    })?;
    let length = file.metadata().map_err(|e| damaged(e.to_string()))?.len();
    Ok((file, length))
}

fn map(file: &File, damaged: &impl Fn(String) -> ReadError) -> Result<Mmap, ReadError> {
    // SAFETY: the mapping is private to this reader and only read. Files of a set are never changed in place (prep
    // writes under another name and renames); who truncates one by other means while it is open ends the process, as
    // with any mapped file.
    unsafe { Mmap::map(file) }.map_err(|e| damaged(e.to_string()))
}

fn open_encoded(path: &Path, count: usize) -> Result<Mapped, ReadError> {
    let damaged = |reason: String| ReadError::Damaged {
        path: path.into(),
        reason,
    };
    let (file, length) = open_file(path, &damaged)?;
    if length == 0 {
        return Err(damaged("it is empty".into()));
    }
    let map = map(&file, &damaged)?;
    let offsets = blobs::offsets(&map, count).map_err(damaged)?;
    Ok(Mapped {
        path: path.into(),
        map,
        images: Images::Encoded(offsets),
    })
}

fn open_shard(path: &Path, count: usize, shape: [usize; 3]) -> Result<Mapped, ReadError> {
    let damaged = |reason: String| ReadError::Damaged {
        path: path.into(),
        reason,
    };
    let (mut file, found) = open_file(path, &damaged)?;
    let mut head = Vec::with_capacity(128);
    (&mut file)
        .take(npy::MAX_HEADER)
        .read_to_end(&mut head)
        .map_err(|e| damaged(e.to_string()))?;
    let header = npy::parse(&head).map_err(&damaged)?;
    let expected = header
        .shape
        .iter()
        .try_fold(1_u64, |n, &d| n.checked_mul(d as u64))
        .and_then(|n| n.checked_add(header.length as u64))
        .ok_or_else(|| damaged("its header declares more than a file can hold".into()))?;
    if found != expected {
        return Err(damaged(format!(
            "it has {found} bytes, its header says {expected}"
        )));
    }
    let wanted = [count, shape[0], shape[1], shape[2]];
    if header.shape != wanted {
        return Err(ReadError::Other {
            path: path.into(),
            found: header.shape,
            expected: wanted,
        });
    }
    let map = map(&file, &damaged)?;
    if (map.len() as u64) < expected {
        return Err(damaged("it became shorter while it was opened".into()));
    }
    Ok(Mapped {
        path: path.into(),
        map,
        images: Images::Pixels(header.length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [2, 3, 3];

    /// Image i has the bytes i, i + 1, ...
    fn pixels(i: usize) -> Vec<u8> {
        (0..18).map(|v| (i + v) as u8).collect()
    }

    fn set(folder: &Path, counts: &[usize]) -> Vec<(PathBuf, usize)> {
        let mut next = 0..;
        counts
            .iter()
            .enumerate()
            .map(|(shard, &count)| {
                let path = folder.join(format!("{shard}.npy"));
                let mut bytes = npy::header(&[count, 2, 3, 3]);
                bytes.extend((&mut next).take(count).flat_map(pixels));
                std::fs::write(&path, bytes).unwrap();
                (path, count)
            })
            .collect()
    }

    fn mirrored(i: usize) -> Vec<u8> {
        pixels(i)
            .chunks(9)
            .flat_map(|row| row.chunks(3).rev().flatten().copied().collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn images_come_in_the_order_asked_for_across_shards_of_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::open(&set(folder.path(), &[3, 0, 1, 40]), SHAPE, None).unwrap();
        assert_eq!(reader.len(), 44);
        // Enough for the pool, and few enough for one thread.
        for n in [6, 80_000] {
            let indices: Vec<i64> = (0..n).map(|i| (i * 31 + 7) % 44).collect();
            let flip: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
            let mut plain = vec![0; indices.len() * 18];
            let mut flipped = plain.clone();
            reader.gather(&indices, None, &mut plain).unwrap();
            reader.gather(&indices, Some(&flip), &mut flipped).unwrap();
            for (k, &i) in indices.iter().enumerate() {
                let part = k * 18..(k + 1) * 18;
                assert_eq!(plain[part.clone()], pixels(i as usize));
                let expected = if flip[k] { mirrored } else { pixels }(i as usize);
                assert_eq!(flipped[part], expected);
            }
        }
    }

    #[test]
    fn floats_are_the_bytes_in_both_layouts() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::open(&set(folder.path(), &[250]), SHAPE, None).unwrap();
        let indices = [249, 0, 17];
        let flip = [false, true, true];
        let mut bytes = vec![0; 54];
        reader.gather(&indices, Some(&flip), &mut bytes).unwrap();
        let (mut nhwc, mut nchw) = (vec![0.0; 54], vec![0.0; 54]);
        for (layout, out) in [(Layout::Nhwc, &mut nhwc), (Layout::Nchw, &mut nchw)] {
            reader
                .gather_float(&indices, Some(&flip), layout, out)
                .unwrap();
        }
        for (at, &byte) in bytes.iter().enumerate() {
            let (image, pixel, channel) = (at / 18, at % 18 / 3, at % 3);
            let float = f32::from(byte) / 127.5 - 1.0;
            assert_eq!(nhwc[at], float);
            assert_eq!(nchw[image * 18 + channel * 6 + pixel], float);
        }
    }

    #[test]
    fn wrong_arguments_are_errors_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::open(&set(folder.path(), &[2]), SHAPE, None).unwrap();
        let mut out = vec![9; 36];
        for indices in [[0, 2], [0, -1], [i64::MAX, 0]] {
            let error = reader.gather(&indices, None, &mut out).unwrap_err();
            assert!(matches!(error, ReadError::Index { len: 2, .. }));
        }
        assert!(reader.gather(&[0], None, &mut out).is_err());
        assert!(reader.gather(&[0, 1], Some(&[true]), &mut out).is_err());
        assert_eq!(out, [9; 36]);
        reader.gather(&[], None, &mut []).unwrap();
    }

    #[test]
    fn a_shard_of_another_length_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let shards = set(folder.path(), &[2, 3]);
        let whole = std::fs::read(&shards[1].0).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&shards[1].0, &whole[..end]).unwrap();
            let error = Reader::open(&shards, SHAPE, None).err().unwrap();
            assert!(matches!(error, ReadError::Damaged { .. }), "{end}: {error}");
        }
        std::fs::write(&shards[1].0, [&whole[..], b"x"].concat()).unwrap();
        assert!(matches!(
            Reader::open(&shards, SHAPE, None),
            Err(ReadError::Damaged { .. })
        ));
        std::fs::remove_file(&shards[1].0).unwrap();
        assert!(matches!(
            Reader::open(&shards, SHAPE, None),
            Err(ReadError::Missing(_))
        ));
    }

    #[test]
    fn a_shard_of_other_images_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let shards = set(folder.path(), &[2]);
        for (count, shape) in [(3, SHAPE), (2, [3, 2, 3]), (2, [2, 3, 1])] {
            assert!(matches!(
                Reader::open(&[(shards[0].0.clone(), count)], shape, None),
                Err(ReadError::Other { .. })
            ));
        }
    }
}
