//! Compressed archives are unpacked into a temporary file, since nothing in them can be found without reading all before.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::tar::TarError;

/// An archive may always unpack to this many bytes,
const ALWAYS: u64 = 4 << 30;
/// and to this many times its own size. Images hardly shrink; what does by more than this is made to fill the disk.
const RATIO: u64 = 200;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    /// By something that is not read.
    Other(&'static str),
}

impl Compression {
    /// What `head`, the first bytes of a file, tells.
    pub fn of(head: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Compression); 6] = [
            (b"\x1f\x8b", Compression::Gzip),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"BZh", Compression::Other("bzip2")),
            (b"\xfd7zXZ\0", Compression::Other("xz")),
            (b"\x04\x22\x4d\x18", Compression::Other("lz4")),
            (b"LZIP", Compression::Other("lzip")),
        ];
        // A frame that the zstd format lets readers skip; what is packed by several threads begins with one.
        if head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18] {
            return Some(Self::Zstd);
        }
        let found = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
        found.map(|(_, compression)| *compression)
    }
}

/// Writes what is compressed in `packed` into a file from byte `start` on, and returns how many bytes that are.
///
/// `watch` is called with every MiB and stops the work by returning false.
pub(crate) fn unpack(
    packed: &File,
    compression: Compression,
    into: &File,
    start: u64,
    watch: &mut dyn FnMut() -> bool,
) -> Result<u64, TarError> {
    let limit = ALWAYS.max(packed.metadata()?.len().saturating_mul(RATIO));
    let mut to = Limited {
        into,
        start,
        written: 0,
        limit,
        buffer: vec![0; 1 << 20],
        watch,
    };
    let reader = BufReader::with_capacity(1 << 17, packed);
    match compression {
        Compression::Gzip => gunzip(reader, &mut to)?,
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(reader);
            to.take(decoder.map_err(|e| damaged("zstd", e))?, "zstd")?;
        }
        Compression::Other(name) => return Err(TarError::Compressed(name)),
    }
    Ok(to.written)
}

/// All members of a gzip file, and zeros behind them, which tapes have.
fn gunzip(mut reader: impl BufRead, to: &mut Limited<'_>) -> Result<(), TarError> {
    loop {
        to.take(flate2::bufread::GzDecoder::new(&mut reader), "gzip")?;
        loop {
            let ahead = reader.fill_buf()?;
            let Some(next) = ahead.iter().position(|&b| b != 0) else {
                let zeros = ahead.len();
                if zeros == 0 {
                    return Ok(());
                }
                reader.consume(zeros);
                continue;
            };
            reader.consume(next);
            break;
        }
    }
}

fn damaged(name: &str, error: io::Error) -> TarError {
    match error.raw_os_error() {
        Some(_) => TarError::Io(error),
        None => TarError::Format(format!("its {name} stream is damaged or cut off ({error})")),
    }
}

struct Limited<'a> {
    into: &'a File,
    start: u64,
    written: u64,
    limit: u64,
    buffer: Vec<u8>,
    watch: &'a mut dyn FnMut() -> bool,
}

impl Limited<'_> {
    fn take(&mut self, mut from: impl Read, name: &str) -> Result<(), TarError> {
        loop {
            let n = from.read(&mut self.buffer).map_err(|e| damaged(name, e))?;
            if n == 0 {
                return Ok(());
            }
            if self.written + n as u64 > self.limit {
                return Err(TarError::Format(format!(
                    "it unpacks to more than {} GiB and {RATIO} times its size, as no set of images does",
                    ALWAYS >> 30
                )));
            }
            self.into
                .write_all_at(&self.buffer[..n], self.start + self.written)
                .map_err(TarError::room)?;
            self.written += n as u64;
            if !(self.watch)() {
                return Err(TarError::Interrupted);
            }
        }
    }
}

impl TarError {
    /// That a temporary file cannot be made or written.
    pub(crate) fn room(error: io::Error) -> Self {
        Self::Room {
            folder: temporary_folder(),
            error,
        }
    }
}

fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    fn noise(n: u32) -> Vec<u8> {
        (0..n).map(|i| (i.wrapping_mul(i) >> 9) as u8).collect()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(data, 1).unwrap()
    }

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, TarError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(packed).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut into = tempfile::tempfile().unwrap();
        into.write_all(b"before").unwrap();
        let compression = Compression::of(packed).unwrap();
        let length = unpack(&file, compression, &into, 6, &mut || true)?;
        let mut data = Vec::new();
        into.seek(SeekFrom::Start(6)).unwrap();
        into.read_to_end(&mut data).unwrap();
        assert_eq!(length, data.len() as u64);
        Ok(data)
    }

    #[test]
    fn one_member_or_several_are_unpacked() {
        let data = noise(3_000_000);
        for pack in [gzip, zstd] {
            assert_eq!(unpacked(&pack(&data)).unwrap(), data);
            let several = [pack(&data[..1000]), pack(b""), pack(&data[1000..])].concat();
            assert_eq!(unpacked(&several).unwrap(), data);
        }
        let padded = [gzip(b"12"), vec![0; 5000], gzip(b"3"), vec![0; 7]].concat();
        assert_eq!(unpacked(&padded).unwrap(), b"123");
        let skippable = [&b"\x50\x2a\x4d\x18\x02\0\0\0xx"[..], &zstd(b"12")].concat();
        assert_eq!(unpacked(&skippable).unwrap(), b"12");
    }

    #[test]
    fn a_damaged_stream_is_an_error() {
        let data = noise(100_000);
        for (pack, name) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd")] {
            let good = pack(&data);
            let mut flipped = good.clone();
            let at = good.len() / 2;
            flipped[at] ^= 0x55;
            let cut = good[..good.len() - 2].to_vec();
            let trailed = [&good[..], b"garbage"].concat();
            for bad in [flipped, cut, trailed] {
                match unpacked(&bad) {
                    Err(TarError::Format(words)) => assert!(words.contains(name), "{words}"),
                    // The format carries no checksum unless asked to; what lies in it is checked by the decoders.
                    Ok(found) if name == "zstd" => assert_ne!(found, data),
                    other => panic!("{name}: {:?}", other.map(|d| d.len())),
                }
            }
        }
    }

    #[test]
    fn what_fills_the_disk_and_what_is_interrupted_stops() {
        let into = tempfile::tempfile().unwrap();
        let limited = |limit: u64, go_on: bool| {
            let mut watch = || go_on;
            let mut to = Limited {
                into: &into,
                start: 0,
                written: 0,
                limit,
                buffer: vec![0; 1 << 10],
                watch: &mut watch,
            };
            to.take(&[0; 5000][..], "gzip")
        };
        assert!(limited(5000, true).is_ok());
        let words = limited(4999, true).unwrap_err().to_string();
        assert!(words.contains("200 times"), "{words}");
        assert!(matches!(limited(5000, false), Err(TarError::Interrupted)));
    }

    #[test]
    fn other_compressions_are_named() {
        for (head, name) in [(&b"BZh91AY"[..], "bzip2"), (b"\xfd7zXZ\0\0", "xz")] {
            assert_eq!(Compression::of(head), Some(Compression::Other(name)));
        }
        assert_eq!(Compression::of(b"plain"), None);
        assert_eq!(Compression::of(b""), None);
    }
}
