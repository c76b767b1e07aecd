//! Where items come from: files, a zip archive, ranges of larger files (tar, `.npy`), an array, a function.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use gantools_image::Pixels;

use crate::hash::Fingerprint;
use crate::tar::{self, TarError};

/// Encoded images larger than this are refused; the largest camera files are a tenth of it.
const MAX_ENCODED: u64 = 1 << 30;
/// With more files than this, a file is opened for each read, so that the limit on open files is not met.
const KEPT_OPEN: usize = 256;

/// The items that a set is made of, addressed by number from any thread.
pub enum Source {
    /// Files below a folder.
    Files {
        /// The folder.
        root: PathBuf,
        /// Paths relative to it, with `/`.
        names: Vec<String>,
    },
    /// The files in a zip archive; it is never unpacked, so names such as `../x` do no harm.
    Zip {
        /// The archive, open.
        file: File,
        /// Its entries, sorted by name.
        entries: Vec<Entry>,
    },
    /// Parts of files: the entries of tar archives, the images of a `.npy` file.
    Ranges(Ranges),
    /// Encoded images that a function gives, for stores that only a library can read.
    Fetched {
        /// The names of the items.
        names: Vec<String>,
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

/// Items that lie at known places of files.
pub struct Ranges {
    files: Vec<(PathBuf, Option<File>)>,
    names: Option<Vec<String>>,
    ranges: Vec<Range>,
    /// Height, width and channels where the bytes are pixels.
    shape: Option<[usize; 3]>,
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

/// A file in a zip archive.
pub struct Entry {
    name: String,
    /// Where its local header begins.
    header: u64,
    compressed: u64,
    size: u64,
    crc32: u32,
    method: Result<Method, &'static str>,
}

#[derive(Clone, Copy)]
enum Method {
    Stored,
    Deflated,
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
    /// The entries of the zip archive at `path`, without its folders.
    pub fn zip(path: &Path) -> io::Result<Self> {
        let invalid = |e: zip::result::ZipError| io::Error::new(io::ErrorKind::InvalidData, e);
        let mut archive =
            zip::ZipArchive::new(BufReader::new(File::open(path)?)).map_err(invalid)?;
        let mut entries = Vec::with_capacity(archive.len());
        for i in 0..archive.len() {
            let entry = archive.by_index_raw(i).map_err(invalid)?;
            if entry.is_dir() {
                continue;
            }
            let method = match entry.compression() {
                _ if entry.encrypted() => Err("is encrypted"),
                zip::CompressionMethod::Stored => Ok(Method::Stored),
                zip::CompressionMethod::Deflated => Ok(Method::Deflated),
                _ => Err("is compressed by a method other than deflate"),
            };
            entries.push(Entry {
                name: entry.name().map_err(invalid)?.into_owned(),
                header: entry.header_start(),
                compressed: entry.compressed_size(),
                size: entry.size(),
                crc32: entry.crc32(),
                method,
            });
        }
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(Self::Zip {
            file: File::open(path)?,
            entries,
        })
    }

    /// Parts of `files`.
    ///
    /// Encoded images have `names`, pixels have a `shape` (height, width, channels) that gives the length of each range.
    ///
    /// # Panics
    /// A range names a file that is not there, or names and ranges differ in number.
    pub fn ranges(
        files: Vec<PathBuf>,
        names: Option<Vec<String>>,
        ranges: Vec<Range>,
        shape: Option<[usize; 3]>,
    ) -> io::Result<Self> {
        assert!(ranges.iter().all(|r| r.file < files.len()));
        assert!(names.as_ref().is_none_or(|n| n.len() == ranges.len()));
        let keep = files.len() <= KEPT_OPEN;
        let open = |path: PathBuf| {
            let file = File::open(&path)?;
            Ok((path, keep.then_some(file)))
        };
        Ok(Self::Ranges(Ranges {
            files: files.into_iter().map(open).collect::<io::Result<_>>()?,
            names,
            ranges,
            shape,
        }))
    }

    /// The files in tar archives, each archive's sorted by name; the names are preceded by the prefix of the archive.
    ///
    /// An error comes with the archive that has it.
    pub fn tar(archives: &[(PathBuf, String)]) -> Result<Self, (PathBuf, TarError)> {
        let mut names = Vec::new();
        let mut ranges = Vec::new();
        for (file, (path, prefix)) in archives.iter().enumerate() {
            for entry in tar::index(path).map_err(|e| (path.clone(), e))? {
                names.push(format!("{prefix}{}", entry.name));
                ranges.push(Range {
                    file,
                    offset: entry.offset,
                    length: entry.size,
                });
            }
        }
        let paths: Vec<_> = archives.iter().map(|(path, _)| path.clone()).collect();
        let first = paths.first().cloned().unwrap_or_default();
        Self::ranges(paths, Some(names), ranges, None).map_err(|e| (first, e.into()))
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Files { names, .. } => names.len(),
            Self::Zip { entries, .. } => entries.len(),
            Self::Ranges(ranges) => ranges.ranges.len(),
            Self::Fetched { names, .. } => names.len(),
            Self::Array { shape, data } => data.len() / shape.iter().product::<usize>().max(1),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the items; pixels have none.
    pub fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::Files { names, .. } => Some(names.clone()),
            Self::Zip { entries, .. } => Some(entries.iter().map(|e| e.name.clone()).collect()),
            Self::Ranges(ranges) => ranges.names.clone(),
            Self::Fetched { names, .. } => Some(names.clone()),
            Self::Array { .. } => None,
        }
    }

    /// What to call item `index` in a message: the path of a file, the name of an entry, else its number.
    pub fn place(&self, index: usize) -> String {
        match self {
            Self::Files { root, names } => root.join(&names[index]).display().to_string(),
            Self::Zip { entries, .. } => entries[index].name.clone(),
            Self::Ranges(Ranges {
                names: Some(names), ..
            })
            | Self::Fetched { names, .. } => names[index].clone(),
            Self::Ranges(_) | Self::Array { .. } => format!("image {index}"),
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
            Self::Zip { entries, .. } => {
                for entry in entries {
                    hash.add(entry.name.as_bytes());
                    hash.add(&entry.size.to_le_bytes());
                    hash.add(&entry.crc32.to_le_bytes());
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
            Self::Zip { file, entries } => read_entry(file, &entries[index]).map(Item::Encoded),
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
            (path, None) => File::open(path)?.read_exact_at(&mut data, range.offset)?,
        }
        Ok(data)
    }

    fn read(&self, index: usize) -> Result<Item, String> {
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
                    let name = self.names.as_ref().map_or("", |names| &names[i]);
                    hash.add(name.as_bytes());
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
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut data = Vec::with_capacity(length.min(MAX_ENCODED) as usize + 1);
    // One byte more than allowed, so that a file that grows (or a device) cannot fill the memory.
    file.take(MAX_ENCODED + 1).read_to_end(&mut data)?;
    if data.len() as u64 > MAX_ENCODED {
        return Err(io::Error::other("larger than 1 GiB"));
    }
    Ok(data)
}

fn read_entry(file: &File, entry: &Entry) -> Result<Vec<u8>, String> {
    let method = entry.method?;
    if entry.size > MAX_ENCODED || entry.compressed > MAX_ENCODED {
        return Err("larger than 1 GiB".into());
    }
    let failed = |e: io::Error| format!("cannot be read from the archive: {e}");
    // The local header repeats the name and may have another extra field than the directory.
    const LOCAL_HEADER: usize = 30;
    let mut header = [0; LOCAL_HEADER];
    file.read_exact_at(&mut header, entry.header)
        .map_err(failed)?;
    if &header[..4] != b"PK\x03\x04" {
        return Err("cannot be read from the archive: no header where the directory says".into());
    }
    let field = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let start = entry.header + LOCAL_HEADER as u64 + field(26) + field(28);
    let mut compressed = vec![0; entry.compressed as usize];
    file.read_exact_at(&mut compressed, start).map_err(failed)?;
    let data = match method {
        Method::Stored => compressed,
        Method::Deflated => {
            let mut data = Vec::with_capacity(entry.size as usize);
            // A stream that gives more than the declared size is a bomb.
            flate2::read::DeflateDecoder::new(&compressed[..])
                .take(entry.size + 1)
                .read_to_end(&mut data)
                .map_err(failed)?;
            data
        }
    };
    if data.len() as u64 != entry.size || crc32fast::hash(&data) != entry.crc32 {
        return Err("cannot be read from the archive: checksum does not match".into());
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn bytes(item: Result<Item, String>) -> Result<Vec<u8>, String> {
        item.map(|item| match item {
            Item::Encoded(data) => data,
            Item::Raw(pixels) => pixels.data,
        })
    }

    fn archive(path: &Path) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        let deflated =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.add_directory("a", stored).unwrap();
        zip.start_file("b.jpg", stored).unwrap();
        zip.write_all(b"second").unwrap();
        zip.start_file("../a.jpg", deflated).unwrap();
        zip.write_all(&[7; 10_000]).unwrap();
        zip.finish().unwrap();
    }

    #[test]
    fn zip_entries_are_sorted_and_read_by_both_methods() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        archive(&path);
        let source = Source::zip(&path).unwrap();
        assert_eq!(source.names().unwrap(), ["../a.jpg", "b.jpg"]);
        assert_eq!(bytes(source.read(0)).unwrap(), [7; 10_000]);
        assert_eq!(bytes(source.read(1)).unwrap(), b"second");
    }

    #[test]
    fn damage_in_an_archive_is_found_and_the_other_entries_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        archive(&path);
        let mut data = std::fs::read(&path).unwrap();
        let at = data.windows(6).position(|w| w == b"second").unwrap();
        data[at] ^= 1;
        std::fs::write(&path, &data).unwrap();
        let source = Source::zip(&path).unwrap();
        assert!(bytes(source.read(1)).unwrap_err().contains("checksum"));
        assert!(source.read(0).is_ok());
        std::fs::write(&path, &data[..data.len() / 2]).unwrap();
        assert!(Source::zip(&path).is_err());
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
