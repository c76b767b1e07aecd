//! Truevision TGA: grey, RGB and colour tables, plain or run-length encoded, from any corner.

use super::{damaged, Format, Limit, Raw};
use crate::{Header, ImageError, Mode, Pixels};

const HEADER: usize = 18;

/// What a pixel is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Grey,
    GreyAlpha,
    Index,
    /// Five bits a colour, the highest bit being alpha.
    Bits555,
    Bgr,
    Bgra,
}

struct Targa<'a> {
    width: usize,
    height: usize,
    kind: Kind,
    /// Bytes of a pixel.
    size: usize,
    runs: bool,
    from_right: bool,
    from_top: bool,
    /// Colours with alpha.
    table: Vec<[u8; 4]>,
    /// Whether the table has alpha.
    clear: bool,
    /// Whether the file says that its fourth sample is nothing.
    opaque: bool,
    body: &'a [u8],
}

/// Whether `data` can be the head of a TGA file, which has no mark: every field has to be one that is known.
pub(super) fn accepts(data: &[u8]) -> bool {
    let Some(head) = data.first_chunk::<HEADER>() else {
        return false;
    };
    let (table, kind, depth, flags) = (head[1], head[2], head[16], head[17]);
    let size = [head[12] | head[13], head[14] | head[15]];
    let known = match (table, kind) {
        (1, 1 | 9) => depth == 8 && matches!(head[7], 15 | 16 | 24 | 32) && head[5] | head[6] > 0,
        (0, 2 | 10) => matches!(depth, 16 | 24 | 32) && head[3..8] == [0; 5],
        (0, 3 | 11) => matches!(depth, 8 | 16) && head[3..8] == [0; 5],
        _ => false,
    };
    known && size[0] != 0 && size[1] != 0 && flags & 0xc0 == 0
}

impl<'a> Targa<'a> {
    fn of(data: &'a [u8], limit: Limit) -> Result<Self, ImageError> {
        let cut = || damaged("TGA", "the file ends in its header");
        let head = data.first_chunk::<HEADER>().ok_or_else(cut)?;
        let short = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let (width, height) = limit.check(short(12) as u64, short(14) as u64)?;
        let kind = match (head[2] & 7, head[16]) {
            (1, 8) => Kind::Index,
            (2, 16) => Kind::Bits555,
            (2, 24) => Kind::Bgr,
            (2, 32) => Kind::Bgra,
            (3, 8) => Kind::Grey,
            (3, 16) => Kind::GreyAlpha,
            (kind, depth) => {
                let words = format!("TGA: {depth} bits of kind {kind}");
                return Err(ImageError::Unsupported(words));
            }
        };
        let mut at = HEADER + usize::from(head[0]);
        let mut table = Vec::new();
        let entry = usize::from(head[7]).div_ceil(8);
        if kind == Kind::Index {
            let (first, count) = (short(3), short(5));
            let stored = data.get(at..at + count * entry).ok_or_else(cut)?;
            at += count * entry;
            table = vec![[0, 0, 0, if entry == 2 { 255 } else { 0 }]; first];
            table.extend(stored.chunks_exact(entry).map(|c| match *c {
                [a, b] => bits555(u16::from_le_bytes([a, b]), true),
                [b, g, r] => [r, g, b, 255],
                _ => [c[2], c[1], c[0], c[3]],
            }));
            table.resize(table.len().max(256), [0, 0, 0, 255]);
        }
        Ok(Self {
            width,
            height,
            kind,
            size: usize::from(head[16] / 8),
            runs: head[2] & 8 != 0,
            from_right: head[17] & 0x10 != 0,
            from_top: head[17] & 0x20 != 0,
            table,
            clear: entry != 3,
            opaque: attributes(data) == Some(0),
            body: data.get(at..).ok_or_else(cut)?,
        })
    }

    /// The bytes of all pixels in the order of the file.
    fn bytes(&self) -> Result<Vec<u8>, ImageError> {
        let cut = || damaged("TGA", "the file is cut off");
        let total = self.width * self.height * self.size;
        if !self.runs {
            return Ok(self.body.get(..total).ok_or_else(cut)?.to_vec());
        }
        let mut out = Vec::new();
        let mut rest = self.body;
        while out.len() < total {
            let (&head, tail) = rest.split_first().ok_or_else(cut)?;
            let count = usize::from(head & 127) + 1;
            let stored = if head & 128 == 0 { count } else { 1 };
            let (bytes, tail) = tail.split_at_checked(stored * self.size).ok_or_else(cut)?;
            match head & 128 {
                0 => out.extend_from_slice(bytes),
                _ => out.extend_from_slice(&bytes.repeat(count)),
            }
            rest = tail;
        }
        out.truncate(total);
        Ok(out)
    }
}

/// What the extension of a file of version 2 says of its fourth samples; 0 for nothing.
fn attributes(data: &[u8]) -> Option<u8> {
    let footer = data.last_chunk::<26>()?;
    if !footer.ends_with(b"TRUEVISION-XFILE.\0") {
        return None;
    }
    let extension = u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]) as usize;
    match extension {
        0 => None,
        _ => data.get(extension.checked_add(494)?).copied(),
    }
}

/// Five bits a colour widened as in Pillow: rounded down; a set bit 15 is opaque, or clear if `inverted`.
fn bits555(v: u16, inverted: bool) -> [u8; 4] {
    let five = |v: u16| ((v & 31) * 255 / 31) as u8;
    let alpha = if (v >> 15 == 1) != inverted { 255 } else { 0 };
    [five(v >> 10), five(v >> 5), five(v), alpha]
}

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let targa = Targa::of(data, Limit(u64::MAX >> 8))?;
    let (mode, alpha) = match targa.kind {
        Kind::Grey => (Mode::Grey, false),
        Kind::GreyAlpha => (Mode::Grey, true),
        Kind::Index => (Mode::Palette, targa.clear),
        Kind::Bgr => (Mode::Rgb, false),
        Kind::Bits555 | Kind::Bgra => (Mode::Rgb, !targa.opaque),
    };
    Ok(Header {
        format: Format::Tga,
        width: targa.width as u64,
        height: targa.height as u64,
        mode,
        bits: 8,
        alpha,
        orientation: 1,
    })
}

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let targa = Targa::of(data, limit)?;
    let bytes = targa.bytes()?;
    let pixels = bytes.chunks_exact(targa.size);
    let (channels, mut samples): (usize, Vec<u8>) = match targa.kind {
        Kind::Grey => (1, bytes),
        Kind::GreyAlpha => (2, bytes),
        Kind::Index => {
            let table = |px: &[u8]| targa.table[usize::from(px[0])];
            match targa.clear {
                true => (4, pixels.flat_map(table).collect()),
                false => (
                    3,
                    pixels
                        .flat_map(|px| table(px).into_iter().take(3))
                        .collect(),
                ),
            }
        }
        Kind::Bits555 => {
            let colour = |px: &[u8]| bits555(u16::from_le_bytes([px[0], px[1]]), true);
            (4, pixels.flat_map(colour).collect())
        }
        Kind::Bgr => (3, pixels.flat_map(|px| [px[2], px[1], px[0]]).collect()),
        Kind::Bgra => (
            4,
            pixels.flat_map(|px| [px[2], px[1], px[0], px[3]]).collect(),
        ),
    };
    if targa.opaque && channels == 4 && targa.kind != Kind::Index {
        samples.iter_mut().skip(3).step_by(4).for_each(|a| *a = 255);
    }
    if targa.from_right {
        for row in samples.chunks_exact_mut(targa.width * channels) {
            super::mirror_rows(row, channels);
        }
    }
    if !targa.from_top {
        super::mirror_rows(&mut samples, targa.width * channels);
    }
    Ok(Raw {
        pixels: Pixels::new(targa.width, targa.height, channels, samples)?,
        orientation: 1,
    })
}
