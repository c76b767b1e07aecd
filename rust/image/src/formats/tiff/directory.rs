//! The first directory of a TIFF file: its tags and their values, which lie in the file and are never longer than it.

use crate::formats::damaged;
use crate::ImageError;

/// The tags that are looked at.
pub(super) mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const PREDICTOR: u16 = 317;
    pub const COLOUR_TABLE: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const XMP: u16 = 700;
}

/// One entry: where its values lie and what they are.
struct Entry {
    tag: u16,
    /// Bytes of a value; 0 for kinds that hold no whole numbers.
    width: usize,
    count: usize,
    at: usize,
}

/// The first directory of a file.
pub(super) struct Directory<'a> {
    data: &'a [u8],
    /// Whether numbers are stored with their high byte first.
    pub(super) big_endian: bool,
    entries: Vec<Entry>,
}

/// The number in `bytes`, eight at most.
fn number(bytes: &[u8], big_endian: bool) -> u64 {
    let add = |n: u64, &byte: &u8| n << 8 | u64::from(byte);
    match big_endian {
        true => bytes.iter().fold(0, add),
        false => bytes.iter().rev().fold(0, add),
    }
}

impl<'a> Directory<'a> {
    pub(super) fn of(data: &'a [u8]) -> Result<Self, ImageError> {
        let cut = || damaged("TIFF", "its directory lies outside of the file");
        let big_endian = data.starts_with(b"MM");
        let read = |at: usize, width: usize| -> Result<usize, ImageError> {
            let end = at.checked_add(width).ok_or_else(cut)?;
            let bytes = data.get(at..end).ok_or_else(cut)?;
            usize::try_from(number(bytes, big_endian)).map_err(|_| cut())
        };
        // 43 in place of 42: offsets of eight bytes (BigTIFF).
        let wide = read(2, 2)? == 43;
        let (word, head, length) = if wide { (8, 8, 20) } else { (4, 2, 12) };
        let start = read(if wide { 8 } else { 4 }, word)?;
        let count = read(start, head)?;
        // Each entry takes its bytes, so a number of them that does not fit is no reason to take memory.
        if count > data.len() / length {
            return Err(cut());
        }
        let mut entries = Vec::with_capacity(count);
        for i in 0..count {
            let at = start + head + i * length;
            let (tag, kind, count) = (read(at, 2)?, read(at + 2, 2)?, read(at + 4, word)?);
            let width = match kind {
                1 | 7 => 1,   // BYTE, UNDEFINED
                3 => 2,       // SHORT
                4 | 13 => 4,  // LONG, IFD
                16 | 18 => 8, // LONG8, IFD8
                _ => 0,
            };
            let inline = at + 4 + word;
            let at = match width * count <= word && count <= word {
                true => inline,
                false => read(inline, word)?,
            };
            entries.push(Entry {
                tag: tag as u16,
                width,
                count,
                at,
            });
        }
        Ok(Self {
            data,
            big_endian,
            entries,
        })
    }

    /// The bytes of a tag's values, and how many of them make a value.
    fn values(&self, tag: u16) -> Result<Option<(&'a [u8], usize)>, ImageError> {
        let Some(entry) = self.entries.iter().find(|e| e.tag == tag) else {
            return Ok(None);
        };
        if entry.width == 0 {
            return Err(damaged("TIFF", format!("tag {tag} is no number")));
        }
        let length = entry.count.checked_mul(entry.width);
        let end = length.and_then(|n| n.checked_add(entry.at));
        match end.and_then(|end| self.data.get(entry.at..end)) {
            Some(bytes) => Ok(Some((bytes, entry.width))),
            None => Err(damaged(
                "TIFF",
                format!("the values of tag {tag} lie outside of the file"),
            )),
        }
    }

    /// The numbers of a tag; none where the file does not have it.
    pub(super) fn numbers(&self, tag: u16) -> Result<Vec<u64>, ImageError> {
        let values = self.values(tag)?;
        Ok(values.map_or_else(Vec::new, |(bytes, width)| {
            let each = bytes.chunks_exact(width);
            each.map(|b| number(b, self.big_endian)).collect()
        }))
    }

    /// The first number of a tag.
    pub(super) fn first(&self, tag: u16) -> Result<Option<u64>, ImageError> {
        Ok(self.numbers(tag)?.first().copied())
    }

    /// A tag's bytes as they are stored.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.values(tag).ok().flatten().map(|(bytes, _)| bytes)
    }
}
