//! Where items come from: a list of files, a zip archive, an array of pixels.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use gantools_image::Pixels;

use crate::hash::Fingerprint;

/// Encoded images larger than this are refused; the largest camera files are a tenth of it.
const MAX_ENCODED: u64 = 1 << 30;

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
    /// Images that are pixels already, all of one size.
    Array {
        /// Height, width and channels.
        shape: [usize; 3],
        /// The images one after the other.
        data: Vec<u8>,
    },
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

    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Files { names, .. } => names.len(),
            Self::Zip { entries, .. } => entries.len(),
            Self::Array { shape, data } => data.len() / shape.iter().product::<usize>().max(1),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the items; an array's have none.
    pub fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::Files { names, .. } => Some(names.clone()),
            Self::Zip { entries, .. } => Some(entries.iter().map(|e| e.name.clone()).collect()),
            Self::Array { .. } => None,
        }
    }

    /// A hash over the names and sizes of the items (files), with their checksums (zip), or over the pixels (array).
    ///
    /// File times are left out: copies of a folder have the same fingerprint. A file that cannot be looked at (a link
    /// to nowhere) counts with its name; it will be a reject.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fingerprint::default();
        match self {
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
        hash.hex()
    }

    /// Item `index`, or why it cannot be read.
    pub fn read(&self, index: usize) -> Result<Item, String> {
        match self {
            Self::Files { root, names } => read_file(&root.join(&names[index]))
                .map(Item::Encoded)
                .map_err(|e| format!("cannot be read: {e}")),
            Self::Zip { file, entries } => read_entry(file, &entries[index]).map(Item::Encoded),
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
    fn the_fingerprint_changes_with_a_name_a_size_or_a_pixel() {
        let of = |data: Vec<u8>| {
            Source::Array {
                shape: [1, 2, 1],
                data,
            }
            .fingerprint()
        };
        assert_ne!(of(vec![1, 2]), of(vec![1, 3]));
        let folder = tempfile::tempdir().unwrap();
        let files = |name: &str| Source::Files {
            root: folder.path().into(),
            names: vec![name.into()],
        };
        std::fs::write(folder.path().join("a"), b"1").unwrap();
        std::fs::write(folder.path().join("b"), b"1").unwrap();
        let before = files("a").fingerprint();
        assert_ne!(before, files("b").fingerprint());
        std::fs::write(folder.path().join("a"), b"12").unwrap();
        assert_ne!(before, files("a").fingerprint());
    }
}
