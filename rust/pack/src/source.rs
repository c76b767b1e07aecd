//! Where items come from: files, a zip archive, ranges of larger files (tar, `.npy`), an array, a function.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gantools_image::Pixels;

use crate::files::{self, MAX_ENCODED};
use crate::hash::Fingerprint;
use crate::links::{text, Fault};
use crate::tar::{self, TarError};
use crate::unpack::{unpack, Compression};
use crate::zip::Zip;

/// With more files than this, a file is opened for each read, so that the limit on open files is not met.
const KEPT_OPEN: usize = 256;

/// The items that a set is made of, addressed by number from any thread.
pub enum Source {
    /// Files below a folder.
    Files {
        /// The folder.
        root: PathBuf,
        /// Paths relative to it, with `/`.
        names: Vec<OsString>,
    },
    /// The files in a zip archive; it is never unpacked, so names such as `../x` do no harm.
    Zip(Archive),
    /// Parts of files: the entries of tar archives, the images of a `.npy` file.
    Ranges(Ranges),
    /// Encoded images that a function gives, for stores that only a library can read.
    Fetched {
        /// The names of the items.
        names: Vec<OsString>,
        /// What stands for the content.
        fingerprint: String,
        /// Gives the bytes of an item, or why it cannot; called from any thread.
        fetch: Box<Fetch>,
    },
    /// Images that are pixels already, all of one size.
    Array {
        /// Height, width and channels.
        shape: [usize; 3],
        /// The images one after the other.
        data: Vec<u8>,
    },
}

/// Gives the bytes of item number i.
pub type Fetch = dyn Fn(usize) -> Result<Vec<u8>, String> + Send + Sync;

/// An open zip archive.
pub struct Archive(Zip);

/// Items that lie at known places of files.
pub struct Ranges {
    files: Vec<(PathBuf, Option<Arc<File>>)>,
    names: Option<Vec<OsString>>,
    ranges: Vec<Range>,
    /// Height, width and channels where the bytes are pixels.
    shape: Option<[usize; 3]>,
    /// Why these items have no bytes.
    unread: HashMap<usize, String>,
    faults: Vec<Fault>,
}

/// The place of one item.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Number of the file.
    pub file: usize,
    /// Its first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// An item as read.
#[derive(Clone)]
pub enum Item {
    /// The bytes of an image file.
    Encoded(Vec<u8>),
    /// Pixels.
    Raw(Pixels),
}

impl Source {
    /// `n` images of 2 x 2 pixels, whose samples are their numbers.
    #[cfg(test)]
    pub(crate) fn numbers(n: u8, channels: usize) -> Self {
        let samples = |v| std::iter::repeat_n(v, 4 * channels);
        Self::Array {
            shape: [2, 2, channels],
            data: (0..n).flat_map(samples).collect(),
        }
    }

    /// The files in the zip archive at `path`, sorted bytewise by name, with its links followed.
    pub fn zip(path: &Path) -> io::Result<Self> {
        Zip::open(files::open(path)?).map(Archive).map(Self::Zip)
    }

    /// Parts of `files`.
    ///
    /// Encoded images have `names`, pixels have a `shape` (height, width, channels) that gives the length of each range.
    ///
    /// # Panics
    /// A range names a file that is not there, or names and ranges differ in number.
    pub fn ranges(
        files: Vec<PathBuf>,
        names: Option<Vec<OsString>>,
        ranges: Vec<Range>,
        shape: Option<[usize; 3]>,
    ) -> io::Result<Self> {
        assert!(ranges.iter().all(|r| r.file < files.len()));
        assert!(names.as_ref().is_none_or(|n| n.len() == ranges.len()));
        let keep = files.len() <= KEPT_OPEN;
        let open = |path: PathBuf| {
            let file = Arc::new(files::open(&path)?);
            Ok((path, keep.then_some(file)))
        };
        Ok(Self::Ranges(Ranges {
            files: files.into_iter().map(open).collect::<io::Result<_>>()?,
            names,
            ranges,
            shape,
            unread: HashMap::new(),
            faults: Vec::new(),
        }))
    }

    /// The files in tar archives, each archive's sorted bytewise by name, with its links followed; the names are preceded by
    /// the prefix of the archive.
    ///
    /// Archives that gzip or zstd compressed are unpacked together into one temporary file, which goes with the source.
    /// An error comes with the archive that has it. `watch` is called now and then and stops the work by returning false.
    pub fn tar(
        archives: &[(PathBuf, OsString)],
        watch: &mut dyn FnMut() -> bool,
    ) -> Result<Self, (PathBuf, TarError)> {
        let keep = archives.len() <= KEPT_OPEN;
        let mut unpacked = Unpacked::default();
        let mut all = Ranges {
            files: Vec::with_capacity(archives.len()),
            names: None,
            ranges: Vec::new(),
            shape: None,
            unread: HashMap::new(),
            faults: Vec::new(),
        };
        let mut names = Vec::new();
        for (number, (path, prefix)) in archives.iter().enumerate() {
            let failed = |e: TarError| (path.clone(), e);
            let file = files::open(path).map_err(|e| failed(e.into()))?;
            let (file, start, end, keep) = match compression(&file).map_err(|e| failed(e.into()))? {
                None => {
                    let length = file.metadata().map_err(|e| failed(e.into()))?.len();
                    (Arc::new(file), 0, length, keep)
                }
                Some(how) => {
                    let part = unpacked.add(&file, how, watch).map_err(failed)?;
                    (part.0, part.1, part.2, true)
                }
            };
            let found = tar::index(&file, start, end, watch).map_err(failed)?;
            let named = |name: &OsStr| {
                let mut whole = prefix.clone();
                whole.push(name);
                whole
            };
            for (name, place) in found.items {
                let (offset, length) = match place {
                    Ok(place) => (place.offset, place.size),
                    Err(reason) => {
                        all.unread.insert(names.len(), reason);
                        (0, 0)
                    }
                };
                names.push(named(&name));
                all.ranges.push(Range {
                    file: number,
                    offset,
                    length,
                });
            }
            all.faults
                .extend(found.faults.into_iter().map(|fault| Fault {
                    name: match fault.name.is_empty() {
                        // One of the archive itself.
                        true => path.file_name().unwrap_or_default().to_owned(),
                        false => named(&fault.name),
                    },
                    reason: fault.reason,
                }));
            all.files.push((path.clone(), keep.then_some(file)));
        }
        all.names = Some(names);
        Ok(Self::Ranges(all))
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Files { names, .. } => names.len(),
            Self::Zip(Archive(zip)) => zip.items().len(),
            Self::Ranges(ranges) => ranges.ranges.len(),
            Self::Fetched { names, .. } => names.len(),
            Self::Array { shape, data } => data.len() / shape.iter().product::<usize>().max(1),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of item `index`, as the file system or the archive has it; pixels have none.
    pub fn name(&self, index: usize) -> Option<&OsStr> {
        match self {
            Self::Files { names, .. } | Self::Fetched { names, .. } => Some(&names[index]),
            Self::Zip(Archive(zip)) => Some(zip.name(index)),
            Self::Ranges(ranges) => Some(&ranges.names.as_ref()?[index]),
            Self::Array { .. } => None,
        }
    }

    /// The names of the items; pixels have none.
    pub fn names(&self) -> Option<Vec<&OsStr>> {
        (0..self.len()).map(|i| self.name(i)).collect()
    }

    /// What to call item `index` in a message: the path of a file, the name of an entry, else its number.
    pub fn place(&self, index: usize) -> String {
        match (self, self.name(index)) {
            (Self::Files { root, .. }, Some(name)) => text(root.join(name).as_os_str().as_bytes()),
            (_, Some(name)) => text(name.as_bytes()),
            (_, None) => format!("image {index}"),
        }
    }

    /// What is in archives beside the items and folders: earlier files of a name, links that lead back to a folder above
    /// them, what stands behind an archive's end.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Zip(Archive(zip)) => zip.faults(),
            Self::Ranges(ranges) => &ranges.faults,
            _ => &[],
        }
    }

    /// A hash over the names and sizes of the items (files, tar), with their checksums (zip), or over the pixels.
    ///
    /// File times are left out: copies of a folder have the same fingerprint. A file that cannot be looked at (a link
    /// to nowhere) counts with its name; it will be a reject. Pixels that cannot be read are an error.
    pub fn fingerprint(&self) -> io::Result<String> {
        let mut hash = Fingerprint::default();
        match self {
            Self::Ranges(ranges) => ranges.add_to(&mut hash)?,
            Self::Fetched {
                names, fingerprint, ..
            } => {
                hash.add(fingerprint.as_bytes());
                names.iter().for_each(|name| hash.add(name.as_bytes()));
            }
            Self::Files { root, names } => {
                for name in names {
                    hash.add(name.as_bytes());
                    let size = root.join(name).metadata().map_or(u64::MAX, |m| m.len());
                    hash.add(&size.to_le_bytes());
                }
            }
            Self::Zip(Archive(zip)) => {
                for (name, entry) in zip.items() {
                    let sums = entry.as_ref().map_or((0, 0), |e| (e.size, e.crc32));
                    hash.add(name.as_bytes());
                    hash.add(&sums.0.to_le_bytes());
                    hash.add(&sums.1.to_le_bytes());
                }
            }
            Self::Array { shape, data } => {
                shape.iter().for_each(|n| hash.add(&n.to_le_bytes()));
                hash.add(data);
            }
        }
        Ok(hash.hex())
    }

    /// Item `index`, or why it cannot be read.
    pub fn read(&self, index: usize) -> Result<Item, String> {
        match self {
            Self::Files { root, names } => read_file(&root.join(&names[index]))
                .map(Item::Encoded)
                .map_err(|e| format!("cannot be read: {e}")),
            Self::Zip(Archive(zip)) => zip.read(index).map(Item::Encoded),
            Self::Ranges(ranges) => ranges.read(index),
            Self::Fetched { fetch, .. } => {
                let data = fetch(index)?;
                match data.len() as u64 > MAX_ENCODED {
                    true => Err("larger than 1 GiB".into()),
                    false => Ok(Item::Encoded(data)),
                }
            }
            Self::Array { shape, data } => {
                let [height, width, channels] = *shape;
                let length = height * width * channels;
                let pixels = data[index * length..(index + 1) * length].to_vec();
                Pixels::new(width, height, channels, pixels)
                    .map(Item::Raw)
                    .map_err(|e| e.to_string())
            }
        }
    }
}

impl Ranges {
    fn bytes(&self, index: usize) -> io::Result<Vec<u8>> {
        let range = self.ranges[index];
        if range.length > MAX_ENCODED {
            return Err(io::Error::other("larger than 1 GiB"));
        }
        let mut data = vec![0; range.length as usize];
        match &self.files[range.file] {
            (_, Some(file)) => file.read_exact_at(&mut data, range.offset)?,
            (path, None) => files::open(path)?.read_exact_at(&mut data, range.offset)?,
        }
        Ok(data)
    }

    fn read(&self, index: usize) -> Result<Item, String> {
        if let Some(reason) = self.unread.get(&index) {
            return Err(reason.clone());
        }
        let path = &self.files[self.ranges[index].file].0;
        let data = self
            .bytes(index)
            .map_err(|e| format!("cannot be read from {}: {e}", path.display()))?;
        match self.shape {
            None => Ok(Item::Encoded(data)),
            Some([height, width, channels]) => Pixels::new(width, height, channels, data)
                .map(Item::Raw)
                .map_err(|e| e.to_string()),
        }
    }

    fn add_to(&self, hash: &mut Fingerprint) -> io::Result<()> {
        match self.shape {
            None => {
                for (i, range) in self.ranges.iter().enumerate() {
                    let name = self.names.as_ref().map(|names| names[i].as_bytes());
                    hash.add(name.unwrap_or_default());
                    hash.add(&range.length.to_le_bytes());
                }
            }
            // Pixels have neither names nor sizes that would tell one set from another.
            Some(shape) => {
                shape.iter().for_each(|n| hash.add(&n.to_le_bytes()));
                for i in 0..self.ranges.len() {
                    hash.add(&self.bytes(i)?);
                }
            }
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = files::open(path)?;
    let length = file.metadata()?.len();
    let mut data = Vec::with_capacity(length.min(MAX_ENCODED) as usize + 1);
    // One byte more than allowed, so that a file that grows cannot fill the memory.
    file.take(MAX_ENCODED + 1).read_to_end(&mut data)?;
    if data.len() as u64 > MAX_ENCODED {
        return Err(io::Error::other("larger than 1 GiB"));
    }
    Ok(data)
}

/// How a file is compressed, by its first bytes.
fn compression(file: &File) -> io::Result<Option<Compression>> {
    let mut head = [0; 8];
    let length = file.read_at(&mut head, 0)?;
    Ok(Compression::of(&head[..length]))
}

/// The temporary file that compressed archives are unpacked into, one behind the other.
#[derive(Default)]
struct Unpacked {
    file: Option<Arc<File>>,
    length: u64,
}

impl Unpacked {
    /// The file, and where the archive begins and ends in it.
    fn add(
        &mut self,
        packed: &File,
        how: Compression,
        watch: &mut dyn FnMut() -> bool,
    ) -> Result<(Arc<File>, u64, u64), TarError> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => Arc::new(tempfile::tempfile().map_err(TarError::room)?),
        };
        let start = self.length;
        self.length += unpack(packed, how, &file, start, watch)?;
        self.file = Some(file.clone());
        Ok((file, start, self.length))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn bytes(item: Result<Item, String>) -> Result<Vec<u8>, String> {
        item.map(|item| match item {
            Item::Encoded(data) => data,
            Item::Raw(pixels) => pixels.data,
        })
    }

    #[test]
    fn compressed_archives_are_read_beside_others() {
        let folder = tempfile::tempdir().unwrap();
        let tar = |name: &[u8], data: &[u8]| {
            let mut block = vec![0; 512];
            block[..name.len()].copy_from_slice(name);
            block[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
            block[156] = b'0';
            block[148..156].fill(b' ');
            let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            block.extend(data);
            block.resize(512 * 4, 0);
            block
        };
        let gzip = |data: Vec<u8>| {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&data).unwrap();
            encoder.finish().unwrap()
        };
        let archives: Vec<_> = [
            ("a.tar.gz", gzip(tar(b"x", b"first"))),
            ("b.tar", tar(b"y", b"second")),
            ("c.tgz", gzip(tar(b"z\xff", b"third"))),
            (
                "d.tar.zst",
                zstd::bulk::compress(&tar(b"w", b"fourth"), 3).unwrap(),
            ),
        ]
        .into_iter()
        .map(|(name, data)| {
            std::fs::write(folder.path().join(name), data).unwrap();
            (folder.path().join(name), OsString::from(format!("{name}/")))
        })
        .collect();
        let source = Source::tar(&archives, &mut || true).unwrap();
        let places: Vec<_> = (0..4).map(|i| source.place(i)).collect();
        assert_eq!(
            places,
            ["a.tar.gz/x", "b.tar/y", "c.tgz/z\\xff", "d.tar.zst/w"]
        );
        let read: Vec<_> = (0..4).map(|i| bytes(source.read(i)).unwrap()).collect();
        assert_eq!(read, [&b"first"[..], b"second", b"third", b"fourth"]);
        let stopped = Source::tar(&archives, &mut || false);
        assert!(matches!(stopped, Err((_, TarError::Interrupted))));
        std::fs::write(&archives[0].0, b"\x1f\x8b no gzip").unwrap();
        let (path, error) = Source::tar(&archives, &mut || true).err().unwrap();
        assert_eq!(path, archives[0].0);
        assert!(error.to_string().contains("gzip"), "{error}");
    }

    #[test]
    fn a_missing_file_is_an_error_of_that_item() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"1").unwrap();
        let source = Source::Files {
            root: folder.path().into(),
            names: vec!["a".into(), "b".into()],
        };
        assert_eq!(bytes(source.read(0)).unwrap(), b"1");
        assert!(bytes(source.read(1))
            .unwrap_err()
            .starts_with("cannot be read"));
    }

    #[test]
    fn an_array_is_cut_into_images() {
        let source = Source::Array {
            shape: [1, 2, 1],
            data: vec![1, 2, 3, 4],
        };
        assert_eq!(source.len(), 2);
        assert_eq!(bytes(source.read(1)).unwrap(), [3, 4]);
    }

    #[test]
    fn ranges_are_read_from_few_and_from_many_files() {
        let folder = tempfile::tempdir().unwrap();
        for count in [2, KEPT_OPEN + 1] {
            let files: Vec<_> = (0..count)
                .map(|i| folder.path().join(i.to_string()))
                .collect();
            for file in &files {
                std::fs::write(file, b"0123456789").unwrap();
            }
            let range = |file, offset| Range {
                file,
                offset,
                length: 4,
            };
            let ranges = vec![range(count - 1, 6), range(0, 7)];
            let names = vec!["whole".into(), "beyond".into()];
            let source = Source::ranges(files, Some(names), ranges, None).unwrap();
            assert_eq!(bytes(source.read(0)).unwrap(), b"6789");
            let error = bytes(source.read(1)).unwrap_err();
            assert!(error.starts_with("cannot be read from"), "{error}");
        }
    }

    #[test]
    fn ranges_of_pixels_are_told_apart_by_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let of = |data: &[u8]| {
            std::fs::write(&path, data).unwrap();
            let range = Range {
                file: 0,
                offset: 2,
                length: 2,
            };
            Source::ranges(vec![path.clone()], None, vec![range], Some([1, 2, 1])).unwrap()
        };
        let before = of(&[0, 0, 1, 2]).fingerprint().unwrap();
        assert_eq!(before, of(&[9, 9, 1, 2]).fingerprint().unwrap());
        assert_ne!(before, of(&[0, 0, 1, 3]).fingerprint().unwrap());
        assert_eq!(bytes(of(&[0, 0, 1, 3]).read(0)).unwrap(), [1, 3]);
        let cut = of(&[0, 0, 1]);
        assert!(cut.fingerprint().is_err());
    }

    #[test]
    fn the_fingerprint_changes_with_a_name_a_size_or_a_pixel() {
        let of = |data: Vec<u8>| {
            Source::Array {
                shape: [1, 2, 1],
                data,
            }
            .fingerprint()
            .unwrap()
        };
        assert_ne!(of(vec![1, 2]), of(vec![1, 3]));
        let folder = tempfile::tempdir().unwrap();
        let files = |name: &str| Source::Files {
            root: folder.path().into(),
            names: vec![name.into()],
        };
        std::fs::write(folder.path().join("a"), b"1").unwrap();
        std::fs::write(folder.path().join("b"), b"1").unwrap();
        let before = files("a").fingerprint().unwrap();
        assert_ne!(before, files("b").fingerprint().unwrap());
        std::fs::write(folder.path().join("a"), b"12").unwrap();
        assert_ne!(before, files("a").fingerprint().unwrap());
    }
}
