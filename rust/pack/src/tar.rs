//! The index of a tar archive: where each file's bytes lie. Nothing is unpacked, so names such as `../x` do no harm.
//!
//! Reads POSIX ustar and pax, and GNU long names: what tar, Python and WebDataset write.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

const BLOCK: u64 = 512;
/// Long names and pax records are short texts; a larger one is damage, and nothing is allocated for it.
const MAX_EXTENSION: u64 = 1 << 20;

/// A regular file in a tar archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Its path; what is no UTF-8 is replaced.
    pub name: String,
    /// Where its bytes begin.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
}

/// Why a tar archive has no index.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The system could not read it.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Compressed: its entries cannot be addressed.
    #[error("is compressed ({0})")]
    Compressed(&'static str),
    /// Another kind of file, damaged, or cut off.
    #[error("{0}")]
    Format(String),
}

/// The regular files of the archive at `path`, sorted bytewise by name; of equal names the last counts, as for tar.
pub fn index(path: &Path) -> Result<Vec<TarEntry>, TarError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    if let Some(name) = compression(reader.fill_buf()?) {
        return Err(TarError::Compressed(name));
    }
    let mut entries = Vec::new();
    let mut at = 0;
    let mut long = Extension::default();
    loop {
        if length < at + BLOCK {
            return Err(TarError::Format(match at {
                0 => "not a tar archive".into(),
                _ => "the archive is cut off: it has no end mark".into(),
            }));
        }
        let mut block = [0; BLOCK as usize];
        reader.read_exact(&mut block)?;
        if block.iter().all(|&b| b == 0) {
            // Two blocks of zeros end an archive; one is accepted, as by every reader.
            break;
        }
        let header = Header(&block);
        if !header.is_whole() {
            return Err(TarError::Format(match at {
                0 => "not a tar archive".into(),
                _ => format!("the archive is damaged at byte {at}"),
            }));
        }
        let damaged = || TarError::Format(format!("the archive is damaged at byte {at}"));
        let kind = block[156];
        // Links, devices and folders have no bytes, whatever their size field says.
        let size = match kind {
            b'1'..=b'6' => 0,
            _ => match long.size {
                Some(size) if !matches!(kind, b'x' | b'g' | b'L' | b'K') => size,
                _ => header.size().ok_or_else(damaged)?,
            },
        };
        let start = at + BLOCK;
        let end = start.checked_add(size).ok_or_else(damaged)?;
        if end > length {
            return Err(TarError::Format(format!(
                "the archive is cut off within {}",
                long.name.unwrap_or_else(|| header.name())
            )));
        }
        let extension = |reader: &mut BufReader<File>| -> Result<Vec<u8>, TarError> {
            if size > MAX_EXTENSION {
                return Err(damaged());
            }
            let mut data = vec![0; size as usize];
            reader.read_exact(&mut data)?;
            Ok(data)
        };
        match kind {
            b'L' => {
                let data = extension(&mut reader)?;
                long.name = Some(text(&data));
            }
            b'x' => {
                let data = extension(&mut reader)?;
                long.read_pax(&data).ok_or_else(damaged)?;
            }
            b'K' | b'g' => {}
            b'S' => {
                return Err(TarError::Format(format!(
                    "{} is stored as a sparse file",
                    header.name()
                )))
            }
            _ => {
                let Extension { name, sparse, .. } = std::mem::take(&mut long);
                let name = name.unwrap_or_else(|| header.name());
                if sparse {
                    return Err(TarError::Format(format!(
                        "{name} is stored as a sparse file"
                    )));
                }
                // Archives older than POSIX mark a folder by its name alone.
                if matches!(kind, b'0' | 0 | b'7') && !name.ends_with('/') {
                    let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
                    entries.push(TarEntry {
                        name,
                        offset: start,
                        size,
                    });
                }
            }
        }
        at = end.div_ceil(BLOCK) * BLOCK;
        let here = reader.stream_position()?;
        // Relative, so that the buffer is kept for small files.
        reader.seek_relative(at as i64 - here as i64)?;
    }
    entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    // The sort is stable, so the last of equal names is the one written last.
    entries.reverse();
    entries.dedup_by(|a, b| a.name == b.name);
    entries.reverse();
    Ok(entries)
}

/// What extension headers say about the entry that follows them.
#[derive(Default)]
struct Extension {
    name: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

impl Extension {
    /// Records `LENGTH KEY=VALUE\n`, the length counting the whole record.
    fn read_pax(&mut self, mut data: &[u8]) -> Option<()> {
        while !data.is_empty() {
            let space = data.iter().position(|&b| b == b' ')?;
            let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
            if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
                return None;
            }
            let record = &data[space + 1..length - 1];
            let equals = record.iter().position(|&b| b == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(text(value)),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ if key.starts_with(b"GNU.sparse") => self.sparse = true,
                _ => {}
            }
            data = &data[length..];
        }
        Some(())
    }
}

struct Header<'a>(&'a [u8; BLOCK as usize]);

impl Header<'_> {
    /// Whether the checksum is right: the sum of all bytes, its own field counted as spaces.
    fn is_whole(&self) -> bool {
        let sum: u64 = self.0.iter().map(|&b| u64::from(b)).sum();
        let own: u64 = self.0[148..156].iter().map(|&b| u64::from(b)).sum();
        number(&self.0[148..156]) == Some(sum - own + 8 * u64::from(b' '))
    }

    fn size(&self) -> Option<u64> {
        number(&self.0[124..136])
    }

    fn name(&self) -> String {
        let name = text(&self.0[..100]);
        // GNU puts other things into the prefix; it has two spaces where POSIX has a zero.
        let prefix = match &self.0[257..263] {
            b"ustar\0" => text(&self.0[345..500]),
            _ => String::new(),
        };
        match prefix.is_empty() {
            true => name,
            false => format!("{prefix}/{name}"),
        }
    }
}

/// Octal digits between spaces and zeros, or (first bit set) a big-endian number.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return field[1..]
            .iter()
            .try_fold(0_u64, |n, &b| n.checked_mul(256)?.checked_add(u64::from(b)));
    }
    let digits = std::str::from_utf8(field).ok()?;
    let digits = digits.trim_matches([' ', '\0']);
    match digits.is_empty() {
        true => Some(0),
        false => u64::from_str_radix(digits, 8).ok(),
    }
}

/// The bytes before the first zero.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn compression(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ];
    let found = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as ustar has it.
    fn header(name: &[u8], kind: u8, size: u64, prefix: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        block[..name.len()].copy_from_slice(name);
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        block[345..345 + prefix.len()].copy_from_slice(prefix);
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    fn entry(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = header(name, kind, data.len() as u64, b"");
        bytes.extend(data);
        bytes.resize(bytes.len().div_ceil(512) * 512, 0);
        bytes
    }

    fn index_of(parts: &[Vec<u8>]) -> Result<Vec<TarEntry>, TarError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        std::fs::write(&path, parts.concat()).unwrap();
        index(&path)
    }

    fn end() -> Vec<u8> {
        vec![0; 1024]
    }

    #[test]
    fn files_are_found_sorted_and_other_kinds_are_left_out() {
        let mut prefixed = header(b"c.png", b'0', 1, b"deep/er");
        prefixed.extend([7; 512]);
        let found = index_of(&[
            entry(b"dir/", b'5', b""),
            entry(b"./b.png", b'0', &[1; 600]),
            entry(b"link", b'2', b""),
            entry(b"a.png", 0, b"first"),
            prefixed,
            end(),
        ])
        .unwrap();
        let names: Vec<_> = found.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["a.png", "b.png", "deep/er/c.png"]);
        assert_eq!((found[1].offset, found[1].size), (1024, 600));
    }

    #[test]
    fn of_equal_names_the_last_counts() {
        let parts = [
            entry(b"a", b'0', b"old"),
            entry(b"a", b'0', b"newer"),
            end(),
        ];
        let found = index_of(&parts).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].offset, found[0].size), (1536, 5));
    }

    #[test]
    fn long_names_of_gnu_and_pax_are_read() {
        let long = "d/".repeat(100) + "x.png";
        let record = |key: &str, value: &str| {
            let rest = format!(" {key}={value}\n");
            let mut length = rest.len() + 1;
            while length != rest.len() + length.to_string().len() {
                length += 1;
            }
            format!("{length}{rest}")
        };
        let pax = record("mtime", "1.5") + &record("path", "pax.png") + &record("size", "3");
        let found = index_of(&[
            entry(b"././@LongLink", b'L', format!("{long}\0").as_bytes()),
            entry(b"cut", b'0', b"12"),
            entry(b"PaxHeader", b'x', pax.as_bytes()),
            entry(b"cut", b'0', b"123"),
            end(),
        ])
        .unwrap();
        assert_eq!(found[0].name, long);
        assert_eq!((found[1].name.as_str(), found[1].size), ("pax.png", 3));
    }

    #[test]
    fn damage_is_an_error() {
        let good = [entry(b"a", b'0', &[1; 700]), entry(b"b", b'0', b"2")].concat();
        let words = |bytes: &[u8]| index_of(&[bytes.to_vec()]).unwrap_err().to_string();
        assert!(words(&good).contains("no end mark"));
        assert!(words(&good[..900]).contains("cut off within a"));
        assert!(words(b"").contains("not a tar"));
        assert!(words(&[b'x'; 2048]).contains("not a tar"));
        assert!(words(b"\x1f\x8b short").contains("gzip"));
        let mut flipped = good.clone();
        flipped[1536 + 3] ^= 1;
        assert!(words(&flipped).contains("damaged at byte 1536"));
        assert!(words(&entry(b"p", b'x', b"999 path=x\n")).contains("damaged"));
        let huge = header(b"h", b'0', 0o77_777_777_777, b"");
        assert!(words(&huge).contains("cut off within h"));
        let mut endless = header(b"h", b'0', 0, b"");
        endless[124..136].fill(0xff);
        endless[148..156].fill(b' ');
        let sum: u64 = endless.iter().map(|&b| u64::from(b)).sum();
        endless[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        assert!(words(&endless).contains("damaged"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut data: Vec<u8>, at in 0_usize..2048, value: u8) {
            let mut tar = [entry(b"a", b'x', b"9 size=1\n"), entry(b"b", b'0', b"2"), end()].concat();
            tar[at] = value;
            let _ = index_of(&[tar]);
            data.resize(1536, 0);
            let _ = index_of(&[data]);
        }
    }
}
