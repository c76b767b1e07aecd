//! The directory of a zip archive, and its entries; nothing is unpacked to disk.
//!
//! Reads what PKWARE's APPNOTE 6.3 calls zip and zip64, of one disk: names by code page 437, UTF-8 or Info-ZIP's field for
//! Unicode, symbolic links of Unix, entries stored or compressed by deflate or zstd.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use crate::files::MAX_ENCODED;
use crate::links::{Fault, Listing, Node, Tree};

/// The record at the end of a directory, without its comment, and the longest comment.
const END: usize = 22;
const MAX_COMMENT: usize = 0xffff;
/// The record that says where the zip64 one is, and the part of that one that is used.
const LOCATOR: u64 = 20;
const END64: usize = 56;
/// An entry of the directory, without its name, fields and comment.
const ENTRY: usize = 46;
/// The header before an entry's bytes, without its name and fields.
const LOCAL_HEADER: usize = 30;
/// A link's target is a path; systems allow no longer one.
const MAX_TARGET: u64 = 4096;

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where its local header begins.
    header: u64,
    compressed: u64,
    /// How many bytes it has.
    pub size: u64,
    /// Their checksum.
    pub crc32: u32,
    method: u16,
}

/// The entries of an archive.
pub(crate) struct Zip {
    file: File,
    listing: Listing<Entry>,
}

impl Zip {
    /// Reads the directory of an archive.
    pub fn open(file: File) -> io::Result<Self> {
        let directory = Directory::find(&file)?;
        let mut tree = Tree::default();
        for member in directory.members(&file)? {
            let node = member.node(&file);
            tree.put(&member.name, node);
        }
        let listing = tree.listing().map_err(invalid)?;
        Ok(Self { file, listing })
    }

    /// The files and what should be one, sorted bytewise by name.
    pub fn items(&self) -> &[(std::ffi::OsString, Result<Entry, String>)] {
        &self.listing.items
    }

    /// The name of an item.
    pub fn name(&self, index: usize) -> &OsStr {
        &self.listing.items[index].0
    }

    /// What else is there, but folders.
    pub fn faults(&self) -> &[Fault] {
        &self.listing.faults
    }

    /// The bytes of an item, or why they cannot be read.
    pub fn read(&self, index: usize) -> Result<Vec<u8>, String> {
        read(&self.file, self.listing.items[index].1.as_ref()?)
    }
}

fn invalid(words: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words.into())
}

/// A number at a place of a record.
fn u16_at(data: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([data[at], data[at + 1]])
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| data[at + i]))
}

fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| data[at + i]))
}

/// Where the directory of an archive lies.
#[derive(Debug, PartialEq, Eq)]
struct Directory {
    offset: u64,
    size: u64,
    /// What stands before the archive in its file (a program that unpacks it); all offsets in it are too small by that.
    before: u64,
}

impl Directory {
    fn find(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut tail = vec![0; length.min((END + MAX_COMMENT) as u64) as usize];
        let tail_start = length - tail.len() as u64;
        file.read_exact_at(&mut tail, tail_start)?;
        let is_end = |&at: &usize| {
            tail[at..].starts_with(b"PK\x05\x06")
                && at + END + usize::from(u16_at(&tail, at + 20)) <= tail.len()
        };
        let candidates = (0..(tail.len() + 1).saturating_sub(END)).rev();
        let at = candidates.into_iter().find(is_end);
        let at = at.ok_or_else(|| match tail.is_empty() {
            true => invalid("the file is empty"),
            false => invalid("it has no directory at its end: cut off, or no zip archive"),
        })?;
        let (end, end_at) = (&tail[at..], tail_start + at as u64);
        let mut disks = [u16_at(end, 4), u16_at(end, 6)].map(u32::from);
        let (mut size, mut offset) = (u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
        // Where the directory ends and the records about it begin.
        let mut stop = end_at;
        if let Some((record, record_at)) = Self::find64(file, end_at)? {
            disks = [u32_at(&record, 16), u32_at(&record, 20)];
            (size, offset) = (u64_at(&record, 40), u64_at(&record, 48));
            stop = record_at;
        }
        if disks[0] != disks[1] {
            return Err(invalid("it is a part of an archive in several files"));
        }
        let start = stop.checked_sub(size);
        let before = start.and_then(|start| start.checked_sub(offset));
        let before = before.ok_or_else(|| invalid("it is damaged, or a part is missing"))?;
        Ok(Self {
            offset,
            size,
            before,
        })
    }

    /// The zip64 record before the end record at `end`, and where it is.
    fn find64(file: &File, end: u64) -> io::Result<Option<([u8; END64], u64)>> {
        let mut locator = [0; LOCATOR as usize];
        let Some(at) = end.checked_sub(LOCATOR) else {
            return Ok(None);
        };
        file.read_exact_at(&mut locator, at)?;
        if !locator.starts_with(b"PK\x06\x07") {
            return Ok(None);
        }
        // Where it says, or, with something before the archive, right before the locator.
        for place in [Some(u64_at(&locator, 8)), at.checked_sub(END64 as u64)] {
            let mut record = [0; END64];
            let Some(place) =
                place.filter(|p| p.checked_add(END64 as u64).is_some_and(|e| e <= at))
            else {
                continue;
            };
            file.read_exact_at(&mut record, place)?;
            if record.starts_with(b"PK\x06\x06") {
                return Ok(Some((record, place)));
            }
        }
        Err(invalid("its zip64 directory is damaged"))
    }

    fn members(&self, file: &File) -> io::Result<Vec<Member>> {
        let damaged = || invalid("its directory is damaged");
        let mut reader = BufReader::with_capacity(1 << 16, file);
        reader.seek(SeekFrom::Start(self.before + self.offset))?;
        let mut left = self.size;
        let mut members = Vec::new();
        while left > 0 {
            let mut fixed = [0; ENTRY];
            left = left.checked_sub(ENTRY as u64).ok_or_else(damaged)?;
            reader.read_exact(&mut fixed)?;
            if !fixed.starts_with(b"PK\x01\x02") {
                return Err(damaged());
            }
            let lengths = [28, 30, 32].map(|at| usize::from(u16_at(&fixed, at)));
            let mut rest = vec![0; lengths.iter().sum()];
            left = left.checked_sub(rest.len() as u64).ok_or_else(damaged)?;
            reader.read_exact(&mut rest)?;
            let (name, extra) = rest.split_at(lengths[0]);
            members.push(
                Member::of(&fixed, name, &extra[..lengths[1]], self.before).ok_or_else(damaged)?,
            );
        }
        Ok(members)
    }
}

/// An entry of the directory.
struct Member {
    name: Vec<u8>,
    entry: Entry,
    encrypted: bool,
    /// The Unix mode, where it was made there.
    mode: Option<u32>,
}

impl Member {
    /// None where its fields contradict each other.
    fn of(fixed: &[u8; ENTRY], name: &[u8], extra: &[u8], before: u64) -> Option<Self> {
        let [made_by, flags, method] = [4, 8, 10].map(|at| u16_at(fixed, at));
        let [crc32, compressed, size] = [16, 20, 24].map(|at| u32_at(fixed, at));
        let mut wide = [size, compressed, u32_at(fixed, 42)].map(u64::from);
        let mut unicode = None;
        for (id, data) in fields(extra) {
            match id {
                // Zip64: those of the three that do not fit into 32 bits, in this order.
                0x0001 => {
                    let mut values = data.chunks_exact(8);
                    for value in wide.iter_mut().filter(|v| **v == u64::from(u32::MAX)) {
                        *value = u64_at(values.next()?, 0);
                    }
                }
                // Info-ZIP: the name in UTF-8, with the checksum of the one that it is for.
                0x7075 if data.len() > 5 && data[0] == 1 => {
                    let fits = u32_at(data, 1) == crc32fast::hash(name);
                    unicode = unicode.or(fits.then(|| data[5..].to_vec()));
                }
                _ => {}
            }
        }
        let [size, compressed, header] = wide;
        let host = made_by >> 8;
        // Unix and macOS. Their attributes are in the upper half.
        let mode = matches!(host, 3 | 19).then(|| u32_at(fixed, 38) >> 16);
        Some(Self {
            name: unicode.unwrap_or_else(|| decoded(name, host)),
            entry: Entry {
                header: header.checked_add(before)?,
                compressed,
                size,
                crc32,
                method,
            },
            encrypted: flags & 1 != 0,
            mode,
        })
    }

    fn node(&self, file: &File) -> Node<Entry> {
        let unread = |words: &str| Node::Unread(words.to_owned());
        let by = |name: &str| Node::Unread(format!("is compressed by {name}, which is not read"));
        const KIND: u32 = 0o170_000;
        match self.mode.map(|mode| mode & KIND) {
            // Windows marks folders by a backslash.
            _ if self.name.ends_with(b"/") => return Node::Folder,
            _ if self.name.ends_with(b"\\") && self.entry.size == 0 => return Node::Folder,
            Some(0o040_000) => return Node::Folder,
            Some(0o010_000) => return unread("is a named pipe; only regular files are read"),
            Some(0o140_000) => return unread("is a socket; only regular files are read"),
            Some(0o020_000 | 0o060_000) => {
                return unread("is a device; only regular files are read")
            }
            _ if self.encrypted => return unread("is encrypted"),
            _ => {}
        }
        match self.entry.method {
            0 | 8 | 93 => {}
            9 => return by("deflate64"),
            12 => return by("bzip2"),
            14 => return by("LZMA"),
            95 => return by("xz"),
            98 => return by("PPMd"),
            other => return by(&format!("method {other}")),
        }
        match self.mode.map(|mode| mode & KIND) {
            Some(0o120_000) if self.entry.size <= MAX_TARGET => match read(file, &self.entry) {
                Ok(target) => Node::Link(target),
                Err(reason) => Node::Unread(reason),
            },
            Some(0o120_000) => unread("is a link to a path that is too long"),
            _ => Node::File(self.entry.clone()),
        }
    }
}

/// The fields behind a name, by number; what is no whole field ends them.
fn fields(mut extra: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(extra.get(..4)?, 2));
        let (id, data) = (u16_at(extra, 0), extra.get(4..4 + length)?);
        extra = &extra[4 + length..];
        Some((id, data))
    })
}

/// A name that no field gives in Unicode.
///
/// The flag for UTF-8 is not asked: macOS and old Unix programs write UTF-8 without it. What is no UTF-8 is code page 437 where
/// the archive is of DOS, Windows or OS/2, else the bytes that the file system had.
fn decoded(name: &[u8], host: u16) -> Vec<u8> {
    if !matches!(host, 0 | 6 | 10 | 11 | 14) || std::str::from_utf8(name).is_ok() {
        return name.to_vec();
    }
    let high: Vec<char> = CODE_PAGE_437.chars().collect();
    let text: String = name
        .iter()
        .map(|&b| match b {
            0..0x80 => char::from(b),
            _ => high[usize::from(b) - 0x80],
        })
        .collect();
    text.into_bytes()
}

/// The characters of the bytes from 0x80 on.
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn read(file: &File, entry: &Entry) -> Result<Vec<u8>, String> {
    if entry.size > MAX_ENCODED || entry.compressed > MAX_ENCODED {
        return Err("larger than 1 GiB".into());
    }
    let failed = |e: io::Error| format!("cannot be read from the archive: {e}");
    // The local header repeats the name and may have another extra field than the directory.
    let mut header = [0; LOCAL_HEADER];
    file.read_exact_at(&mut header, entry.header)
        .map_err(failed)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err("cannot be read from the archive: no header where the directory says".into());
    }
    let behind = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
    let start = entry.header + LOCAL_HEADER as u64 + behind;
    let mut compressed = vec![0; entry.compressed as usize];
    file.read_exact_at(&mut compressed, start).map_err(failed)?;
    // A stream that gives more than the declared size is a bomb.
    let inflate = |from: &mut dyn Read| {
        let mut data = Vec::with_capacity(entry.size as usize);
        from.take(entry.size + 1).read_to_end(&mut data)?;
        Ok(data)
    };
    let data = match entry.method {
        0 => compressed,
        8 => inflate(&mut flate2::read::DeflateDecoder::new(&compressed[..])).map_err(failed)?,
        _ => zstd::stream::read::Decoder::with_buffer(&compressed[..])
            .and_then(|mut decoder| inflate(&mut decoder))
            .map_err(failed)?,
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
    use zip::CompressionMethod;

    use super::*;

    fn opened(data: &[u8]) -> io::Result<Zip> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(data).unwrap();
        Zip::open(file)
    }

    fn archive() -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let by = |method| SimpleFileOptions::default().compression_method(method);
        let stored = by(CompressionMethod::Stored);
        zip.add_directory("a", stored).unwrap();
        zip.start_file("b.jpg", stored).unwrap();
        zip.write_all(b"second").unwrap();
        zip.start_file("../a.jpg", by(CompressionMethod::Deflated))
            .unwrap();
        zip.write_all(&[7; 10_000]).unwrap();
        zip.add_symlink("c.jpg", "b.jpg", stored).unwrap();
        zip.add_symlink("d.jpg", "gone.jpg", stored).unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn names(zip: &Zip) -> Vec<&[u8]> {
        let items = zip.items().iter();
        items.map(|(name, _)| name.as_encoded_bytes()).collect()
    }

    /// Host, flags, name, field and attributes of an entry.
    type ByHand<'a> = (u16, u16, &'a [u8], &'a [u8], u32);

    /// An archive of empty files by hand.
    fn by_hand(members: &[ByHand<'_>]) -> Vec<u8> {
        let mut data = b"PK\x03\x04".to_vec();
        data.resize(LOCAL_HEADER, 0);
        let start = data.len() as u32;
        for (host, flags, name, extra, attributes) in members {
            let mut fixed = [0; ENTRY];
            fixed[..4].copy_from_slice(b"PK\x01\x02");
            fixed[4..6].copy_from_slice(&(host << 8).to_le_bytes());
            fixed[8..10].copy_from_slice(&flags.to_le_bytes());
            fixed[28..30].copy_from_slice(&(name.len() as u16).to_le_bytes());
            fixed[30..32].copy_from_slice(&(extra.len() as u16).to_le_bytes());
            fixed[38..42].copy_from_slice(&attributes.to_le_bytes());
            data.extend([&fixed[..], name, extra].concat());
        }
        let size = data.len() as u32 - start;
        data.extend(b"PK\x05\x06\0\0\0\0\0\0\0\0");
        data.extend(size.to_le_bytes());
        data.extend(start.to_le_bytes());
        data.extend([0, 0]);
        data
    }

    #[test]
    fn entries_are_sorted_and_read_by_all_methods() {
        let zip = opened(&archive()).unwrap();
        assert_eq!(
            names(&zip),
            [&b"../a.jpg"[..], b"b.jpg", b"c.jpg", b"d.jpg"]
        );
        assert_eq!(zip.read(0).unwrap(), [7; 10_000]);
        assert_eq!(zip.read(1).unwrap(), b"second");
        assert_eq!(zip.read(2).unwrap(), b"second");
        assert!(zip.read(3).unwrap_err().contains("link to gone.jpg"));
        assert_eq!(zip.faults(), []);
    }

    #[test]
    fn what_stands_before_and_behind_an_archive_does_not_matter() {
        let wrapped = [&b"#!/bin/sh\n"[..], &archive(), b"behind"].concat();
        let zip = opened(&wrapped).unwrap();
        assert_eq!(zip.read(1).unwrap(), b"second");
    }

    #[test]
    fn damage_is_found_and_the_other_entries_survive() {
        let mut data = archive();
        let at = data.windows(6).position(|w| w == b"second").unwrap();
        data[at] ^= 1;
        let zip = opened(&data).unwrap();
        assert!(zip.read(1).unwrap_err().contains("checksum"));
        assert!(zip.read(0).is_ok());
        assert!(opened(&data[..data.len() / 2]).is_err());
        assert!(opened(b"").is_err());
    }

    #[test]
    fn names_come_from_every_system() {
        let mut unicode = b"\x75\x70\x0a\x00\x01".to_vec();
        unicode.extend(crc32fast::hash(b"f_.png").to_le_bytes());
        unicode.extend("Å.png".as_bytes()[..5].iter());
        let stale = b"\x75\x70\x06\x00\x01\0\0\0\0x";
        // (host, flags, name, field, attributes), the name that it should be, None for a folder
        let cases: [(ByHand<'_>, Option<&[u8]>); 11] = [
            ((3, 0, b"plain.png", b"", 0), Some(b"plain.png")),
            ((0, 0, b"\x81\xe1.png", b"", 0), Some("üß.png".as_bytes())),
            ((11, 0, b"\xff\x80", b"", 0), Some("\u{a0}Ç".as_bytes())),
            (
                (0, 0, "ü1.png".as_bytes(), b"", 0),
                Some("ü1.png".as_bytes()),
            ),
            (
                (3, 0x800, "ü2.png".as_bytes(), b"", 0),
                Some("ü2.png".as_bytes()),
            ),
            ((3, 0, b"\xfc.png", b"", 0), Some(b"\xfc.png")),
            ((0, 0, b"f_.png", &unicode, 0), Some(b"\xc3\x85.pn")),
            ((0, 0, b"g.png", stale, 0), Some(b"g.png")),
            ((0, 0, b"w\\x.png", b"", 0), Some(b"w\\x.png")),
            ((0, 0, b"w\\", b"", 0), None),
            ((3, 0, b"folder", b"", 0o040_755 << 16), None),
        ];
        let members: Vec<_> = cases.iter().map(|(member, _)| *member).collect();
        let zip = opened(&by_hand(&members)).unwrap();
        let mut expected: Vec<_> = cases.iter().filter_map(|(_, name)| *name).collect();
        expected.sort();
        assert_eq!(names(&zip), expected);
        assert_eq!(CODE_PAGE_437.chars().count(), 128);
    }

    #[test]
    fn what_is_not_read_has_a_reason() {
        let data = by_hand(&[
            (3, 0, b"pipe", b"", 0o010_644 << 16),
            (3, 1, b"secret", b"", 0),
            (3, 0, b"twice", b"", 0),
            (3, 0, b"twice", b"", 0),
        ]);
        let zip = opened(&data).unwrap();
        assert!(zip.read(0).unwrap_err().contains("named pipe"));
        assert_eq!(zip.read(1).unwrap_err(), "is encrypted");
        assert_eq!(zip.read(2).unwrap(), b"");
        let faults: Vec<_> = zip
            .faults()
            .iter()
            .map(|f| f.name.to_str().unwrap())
            .collect();
        assert_eq!(faults, ["twice"]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0_usize..700, value: u8, cut in 0_usize..700) {
            let mut data = archive();
            let at = at % data.len();
            data[at] = value;
            let cut = cut % data.len();
            for data in [&data[..], &data[cut..], &data[..cut]] {
                if let Ok(zip) = opened(data) {
                    for i in 0..zip.items().len() {
                        let _ = zip.read(i);
                    }
                }
            }
        }
    }
}
