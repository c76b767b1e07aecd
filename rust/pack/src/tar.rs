//! The index of a tar archive: where each file's bytes lie. Nothing is unpacked, so names such as `../x` do no harm.
//!
//! Reads POSIX ustar and pax, GNU's long names, hard and symbolic links, and archives that stand one behind the other.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::links::{text, Listing, Node, Tree};

const BLOCK: u64 = 512;
/// Long names and pax records are short texts; a larger one is damage, and nothing is allocated for it.
const MAX_EXTENSION: u64 = 1 << 20;
/// Members between two calls of the watcher.
const WATCHED: usize = 1024;

/// Where the bytes of a member lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first one, in the file.
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
    /// Compressed by something that is not read.
    #[error("is compressed by {0}, which is not read")]
    Compressed(&'static str),
    /// Another kind of file, damaged, or cut off.
    #[error("{0}")]
    Format(String),
    /// There is no room for what was compressed.
    #[error("it cannot be unpacked into {folder}: {error}")]
    Room {
        /// The folder of temporary files.
        folder: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The watcher asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The files of the archive that lies in `file` from byte `start` to `end`.
///
/// A fault without a name belongs to the archive itself. `watch` is called now and then and stops the work by returning
/// false.
pub(crate) fn index(
    file: &File,
    start: u64,
    end: u64,
    watch: &mut dyn FnMut() -> bool,
) -> Result<Listing<Place>, TarError> {
    let mut reader = Blocks {
        reader: BufReader::with_capacity(1 << 16, file),
        at: start,
        end,
    };
    reader.reader.seek(SeekFrom::Start(start))?;
    let mut tree = Tree::default();
    let mut long = Extension::default();
    // Whether the last block was zeros, which end an archive. Two of them should; one is accepted, as by every reader.
    let mut ended = false;
    for members in 1.. {
        if members % WATCHED == 0 && !watch() {
            return Err(TarError::Interrupted);
        }
        let at = reader.at;
        let not_whole = |words: String| {
            TarError::Format(match at == start {
                true => "not a tar archive".into(),
                false => words,
            })
        };
        let Some(block) = reader.block()? else {
            if ended {
                break;
            }
            return Err(not_whole(
                "the archive is cut off: it has no end mark".into(),
            ));
        };
        if block.iter().all(|&b| b == 0) {
            ended = true;
            long = Extension::default();
            continue;
        }
        let header = Header(&block);
        if !header.is_whole() {
            if ended {
                tree.fault(
                    b"",
                    &format!(
                        "something that is no tar archive behind its end, from byte {} on",
                        at - start
                    ),
                );
                break;
            }
            return Err(not_whole(format!(
                "the archive is damaged at byte {}",
                at - start
            )));
        }
        ended = false;
        let damaged = || TarError::Format(format!("the archive is damaged at byte {}", at - start));
        let kind = block[156];
        if kind == b'S' && header.is_continued() {
            while reader.block()?.ok_or_else(damaged)?[504] != 0 {}
        }
        // Links, devices and folders have no bytes, whatever their size field says.
        let size = match kind {
            b'1'..=b'6' => 0,
            _ => match long.size {
                Some(size) if !matches!(kind, b'x' | b'X' | b'g' | b'L' | b'K') => size,
                _ => header.size().ok_or_else(damaged)?,
            },
        };
        let offset = reader.at;
        let next = offset.checked_add(size).ok_or_else(damaged)?;
        if next > end {
            let name = long.name.unwrap_or_else(|| header.name());
            return Err(TarError::Format(format!(
                "the archive is cut off within {}",
                text(&name)
            )));
        }
        let mut extension = || -> Result<Vec<u8>, TarError> {
            match size > MAX_EXTENSION {
                true => Err(damaged()),
                false => Ok(reader.bytes(size as usize)?),
            }
        };
        match kind {
            b'L' => long.name = Some(until_zero(&extension()?).to_vec()),
            b'K' => long.link = Some(until_zero(&extension()?).to_vec()),
            b'x' | b'X' => long.read_pax(&extension()?).ok_or_else(damaged)?,
            // What holds for all members is times and owners; a name or size for all would be nonsense.
            b'g' => {}
            _ => {
                let long = std::mem::take(&mut long);
                let name = long.name.unwrap_or_else(|| header.name());
                let link = || long.link.clone().unwrap_or_else(|| header.link());
                let unread = |what: &str| Node::Unread(what.to_owned());
                match kind {
                    b'S' => tree.put(&name, unread(SPARSE)),
                    _ if long.sparse => tree.put(&name, unread(SPARSE)),
                    // Archives older than POSIX mark a folder by its name alone.
                    b'0' | 0 | b'7' if !name.ends_with(b"/") => {
                        tree.put(&name, Node::File(Place { offset, size }));
                    }
                    b'0' | 0 | b'7' | b'5' | b'D' => tree.put(&name, Node::Folder),
                    b'1' => tree.put_hard_link(&name, &link()),
                    b'2' => tree.put(&name, Node::Link(link())),
                    b'3' | b'4' => {
                        tree.put(&name, unread("is a device; only regular files are read"))
                    }
                    b'6' => tree.put(
                        &name,
                        unread("is a named pipe; only regular files are read"),
                    ),
                    b'V' => {} // the name of the archive
                    b'M' => tree.put(
                        &name,
                        unread("is the rest of a file that begins in another archive"),
                    ),
                    _ => {
                        let kind = kind.escape_ascii();
                        tree.put(
                            &name,
                            unread(&format!(
                                "is no file, folder or link, but of the kind '{kind}'"
                            )),
                        );
                    }
                }
            }
        }
        // Blocks are counted from the start of the archive.
        reader.skip_to(start + (next - start).div_ceil(BLOCK) * BLOCK)?;
    }
    tree.listing().map_err(TarError::Format)
}

const SPARSE: &str = "is stored as a sparse file, which is not read";

/// The blocks of an archive, one after the other.
struct Blocks<'a> {
    reader: BufReader<&'a File>,
    at: u64,
    end: u64,
}

impl Blocks<'_> {
    /// The next block, or None where there is no whole one.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK as usize]>> {
        if self
            .at
            .checked_add(BLOCK)
            .is_none_or(|next| next > self.end)
        {
            return Ok(None);
        }
        let mut block = [0; BLOCK as usize];
        self.reader.read_exact(&mut block)?;
        self.at += BLOCK;
        Ok(Some(block))
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; length];
        self.reader.read_exact(&mut data)?;
        self.at += length as u64;
        Ok(data)
    }

    fn skip_to(&mut self, at: u64) -> io::Result<()> {
        // Relative, so that the buffer is kept for small files.
        self.reader.seek_relative(at as i64 - self.at as i64)?;
        self.at = at;
        Ok(())
    }
}

/// What extension headers say about the member that follows them.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Extension {
    /// Records `LENGTH KEY=VALUE\n`, the length counting the whole record.
    fn read_pax(&mut self, mut data: &[u8]) -> Option<()> {
        let mut sparse_name = None;
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
                b"path" => self.name = Some(until_zero(value).to_vec()),
                b"linkpath" => self.link = Some(until_zero(value).to_vec()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                // Its `path` is made up.
                b"GNU.sparse.name" => sparse_name = Some(until_zero(value).to_vec()),
                _ if key.starts_with(b"GNU.sparse") => self.sparse = true,
                _ => {}
            }
            data = &data[length..];
        }
        if sparse_name.is_some() {
            (self.name, self.sparse) = (sparse_name, true);
        }
        Some(())
    }
}

struct Header<'a>(&'a [u8; BLOCK as usize]);

impl Header<'_> {
    /// Whether the checksum is right: the sum of all bytes, its own field counted as spaces. Old writers took the bytes
    /// as signed.
    fn is_whole(&self) -> bool {
        let sum = |value: fn(u8) -> i64| -> i64 {
            let all: i64 = self.0.iter().map(|&b| value(b)).sum();
            let own: i64 = self.0[148..156].iter().map(|&b| value(b)).sum();
            all - own + 8 * i64::from(b' ')
        };
        let stored = number(&self.0[148..156]).and_then(|n| i64::try_from(n).ok());
        stored == Some(sum(i64::from)) || stored == Some(sum(|b| i64::from(b as i8)))
    }

    fn size(&self) -> Option<u64> {
        number(&self.0[124..136])
    }

    fn name(&self) -> Vec<u8> {
        let name = until_zero(&self.0[..100]);
        // GNU puts other things into the prefix; it has two spaces where POSIX has a zero.
        let prefix = match &self.0[257..263] {
            b"ustar\0" => until_zero(&self.0[345..500]),
            _ => &[],
        };
        match prefix.is_empty() {
            true => name.to_vec(),
            false => [prefix, name].join(&b'/'),
        }
    }

    fn link(&self) -> Vec<u8> {
        until_zero(&self.0[157..257]).to_vec()
    }

    /// Whether further headers with the places of a sparse file follow an old GNU one.
    fn is_continued(&self) -> bool {
        self.0[482] != 0
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
fn until_zero(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&b| b == 0);
    &field[..end.unwrap_or(field.len())]
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A header as ustar has it.
    fn header(name: &[u8], kind: u8, size: u64, prefix: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        block[..name.len()].copy_from_slice(name);
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        block[345..345 + prefix.len()].copy_from_slice(prefix);
        sign(&mut block);
        block
    }

    /// Puts the checksum into a header.
    fn sign(block: &mut [u8]) {
        block[148..156].fill(b' ');
        let sum: u64 = block[..512].iter().map(|&b| u64::from(b)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }

    fn entry(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = header(name, kind, data.len() as u64, b"");
        bytes.extend(data);
        bytes.resize(bytes.len().div_ceil(512) * 512, 0);
        bytes
    }

    fn list(parts: &[Vec<u8>]) -> Result<Listing<Place>, TarError> {
        let mut file = tempfile::tempfile().unwrap();
        // Not at the start of the file, as when it was unpacked behind another.
        file.write_all(&[7; 100]).unwrap();
        let data = parts.concat();
        file.write_all(&data).unwrap();
        file.write_all(&[9; 700]).unwrap();
        index(&file, 100, 100 + data.len() as u64, &mut || true)
    }

    /// Name, offset in the archive and size of all files.
    fn index_of(parts: &[Vec<u8>]) -> Result<Vec<(String, u64, u64)>, TarError> {
        let found = list(parts)?.items.into_iter().map(|(name, place)| {
            let Place { offset, size } = place.unwrap();
            (name.into_string().unwrap(), offset - 100, size)
        });
        Ok(found.collect())
    }

    /// A member with the name of another.
    fn link(name: &[u8], kind: u8, target: &[u8]) -> Vec<u8> {
        let mut block = header(name, kind, 0, b"");
        block[157..157 + target.len()].copy_from_slice(target);
        sign(&mut block);
        block
    }

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = [format!(" {key}=").as_bytes(), value, b"\n"].concat();
        let mut length = rest.len() + 1;
        while length != rest.len() + length.to_string().len() {
            length += 1;
        }
        [length.to_string().into_bytes(), rest].concat()
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
            entry(b"a.png", 0, b"first"),
            prefixed,
            end(),
        ])
        .unwrap();
        let names: Vec<_> = found.iter().map(|e| e.0.as_str()).collect();
        assert_eq!(names, ["a.png", "b.png", "deep/er/c.png"]);
        assert_eq!((found[1].1, found[1].2), (1024, 600));
    }

    #[test]
    fn of_equal_names_the_last_counts() {
        let parts = [
            entry(b"a", b'0', b"old"),
            entry(b"a", b'0', b"newer"),
            end(),
        ];
        assert_eq!(index_of(&parts).unwrap(), [("a".into(), 1536, 5)]);
        assert_eq!(list(&parts).unwrap().faults[0].name, "a");
    }

    #[test]
    fn long_names_of_gnu_and_pax_are_read() {
        let long = "d/".repeat(100) + "x.png";
        let pax = [
            record("mtime", b"1.5"),
            record("path", b"pax.png"),
            record("size", b"3"),
        ]
        .concat();
        let found = index_of(&[
            entry(b"././@LongLink", b'L', format!("{long}\0").as_bytes()),
            entry(b"cut", b'0', b"12"),
            entry(b"PaxHeader", b'x', &pax),
            entry(b"cut", b'0', b"123"),
            end(),
        ])
        .unwrap();
        assert_eq!(found[0].0, long);
        assert_eq!((found[1].0.as_str(), found[1].2), ("pax.png", 3));
    }

    #[test]
    fn links_have_the_bytes_of_their_targets() {
        let long = "t/".repeat(80) + "a";
        let pax = record("linkpath", b"a");
        let found = index_of(&[
            entry(b"a", b'0', b"12"),
            link(b"hard", b'1', b"./a"),
            link(b"soft", b'2', b"hard"),
            entry(&long.as_bytes()[..99], b'0', b"123"),
            entry(b"PaxHeader", b'x', &pax),
            link(b"pax", b'2', b"cut"),
            entry(b"././@LongLink", b'L', format!("{long}\0").as_bytes()),
            entry(b"cut", b'0', b"1234"),
            entry(b"././@LongLink", b'K', format!("{long}\0").as_bytes()),
            link(b"gnu", b'1', b"cut"),
            end(),
        ])
        .unwrap();
        let sizes: Vec<_> = found.iter().map(|(n, _, size)| (n.len(), *size)).collect();
        assert_eq!(
            sizes,
            [(1, 2), (3, 4), (4, 2), (3, 2), (4, 2), (99, 3), (161, 4)]
        );
    }

    #[test]
    fn archives_in_a_row_are_one() {
        let one = |name: &[u8], data: &[u8], zeros: usize| {
            [entry(name, b'0', data), vec![0; zeros * 512]].concat()
        };
        for zeros in [1, 2, 20] {
            let parts = [
                one(b"b", b"1", zeros),
                one(b"a", b"22", zeros),
                one(b"b", b"333", 2),
            ];
            let found = list(&parts).unwrap();
            let sizes: Vec<_> = found
                .items
                .iter()
                .map(|(_, p)| p.as_ref().unwrap().size)
                .collect();
            assert_eq!(sizes, [2, 3]);
            assert_eq!(found.faults.len(), 1);
        }
        let rest = list(&[one(b"a", b"1", 2), vec![b'x'; 600]]).unwrap();
        assert_eq!((rest.items.len(), rest.faults.len()), (1, 1));
        assert!(rest.faults[0].reason.contains("from byte 2048 on"));
        let cut = [one(b"a", b"1", 2), entry(b"b", b'0', b"1")].concat();
        assert!(list(&[cut])
            .unwrap_err()
            .to_string()
            .contains("no end mark"));
    }

    #[test]
    fn what_is_no_regular_file_has_a_reason() {
        let sparse = [
            record("GNU.sparse.major", b"1"),
            record("GNU.sparse.name", b"real"),
        ]
        .concat();
        let mut old = header(b"old", b'S', 3, b"");
        old[482] = 1;
        sign(&mut old);
        let mut places = vec![1; 1024];
        places[1023 - 7] = 0;
        places[504] = 1;
        old.extend(places);
        old.extend(vec![b'x'; 512]);
        let found = list(&[
            entry(b"device", b'3', b""),
            entry(b"pipe", b'6', b""),
            entry(b"PaxHeader", b'x', &sparse),
            entry(b"GNUSparseFile.0/real", b'0', b"map"),
            old,
            entry(b"label", b'V', b""),
            entry(b"odd", b'Q', b"12"),
            entry(b"z", b'0', b"1"),
            end(),
        ])
        .unwrap();
        let items: Vec<_> = found
            .items
            .iter()
            .map(|(n, p)| (n.to_str().unwrap(), p.is_ok()))
            .collect();
        let bad = ["device", "odd", "old", "pipe", "real"].map(|n| (n, false));
        assert_eq!(items, [&bad[..], &[("z", true)]].concat());
        assert_eq!(found.faults, []);
        let reasons = found.items.iter().filter_map(|(_, p)| p.as_ref().err());
        assert_eq!(reasons.filter(|r| r.contains("sparse")).count(), 2);
    }

    #[test]
    fn names_are_any_bytes() {
        let found = list(&[entry(b"\xff\xfe.png", b'0', b"1"), end()]).unwrap();
        assert_eq!(found.items[0].0.as_encoded_bytes(), b"\xff\xfe.png");
    }

    #[test]
    fn the_watcher_can_stop_it() {
        let parts: Vec<_> = (0..3000)
            .map(|i| entry(i.to_string().as_bytes(), b'0', b""))
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&parts.concat()).unwrap();
        let length = file.metadata().unwrap().len();
        assert!(matches!(
            index(&file, 0, length, &mut || false),
            Err(TarError::Interrupted)
        ));
    }

    #[test]
    fn damage_is_an_error() {
        let good = [entry(b"a", b'0', &[1; 700]), entry(b"b", b'0', b"2")].concat();
        let words = |bytes: &[u8]| index_of(&[bytes.to_vec()]).unwrap_err().to_string();
        assert!(words(&good).contains("no end mark"));
        assert!(words(&good[..900]).contains("cut off within a"));
        assert!(words(b"").contains("not a tar"));
        assert!(words(&[b'x'; 2048]).contains("not a tar"));
        let mut flipped = good.clone();
        flipped[1536 + 3] ^= 1;
        assert!(words(&flipped).contains("damaged at byte 1536"));
        assert!(words(&entry(b"p", b'x', b"999 path=x\n")).contains("damaged"));
        let huge = header(b"h", b'0', 0o77_777_777_777, b"");
        assert!(words(&huge).contains("cut off within h"));
        let mut endless = header(b"h", b'0', 0, b"");
        endless[124..136].fill(0xff);
        sign(&mut endless);
        assert!(words(&endless).contains("damaged"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut data: Vec<u8>, at in 0_usize..2048, value: u8) {
            let mut tar = [entry(b"a", b'x', b"9 size=1\n"), entry(b"b", b'0', b"2"), end()].concat();
            tar[at] = value;
            let _ = list(&[tar]);
            data.resize(1536, 0);
            let _ = list(&[data]);
        }
    }
}
