//! Windows and OS/2 BMP: colour tables of 1, 4 and 8 bits, plain or run-length encoded, and colours of 16, 24 and 32.

use super::{damaged, Format, Limit, Raw};
use crate::{Header, ImageError, Mode, Pixels};

/// How the colours of a pixel lie in its bits.
#[derive(Clone, Copy, PartialEq)]
enum Colours {
    /// Indices into a table.
    Table,
    /// Five, six or five and five bits.
    Bits555,
    Bits565,
    /// Where red, green, blue and, where there is one, alpha stand among a pixel's bytes.
    Bytes([usize; 3], Option<usize>),
}

struct Bitmap<'a> {
    width: usize,
    height: usize,
    /// Whether the first row of the file is the upper one.
    top_down: bool,
    bits: usize,
    colours: Colours,
    /// 1 and 2: run-length encoded in 8 and in 4 bits.
    runs: bool,
    /// Colours as RGB; black beyond those of the file.
    table: Vec<[u8; 3]>,
    pixels: &'a [u8],
    /// Where `pixels` begins in the file.
    start: usize,
}

fn unsupported<T>(what: impl std::fmt::Display) -> Result<T, ImageError> {
    Err(ImageError::Unsupported(format!("BMP: {what}")))
}

/// The `N` bytes at `at`; None where the data end before.
fn bytes<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

impl<'a> Bitmap<'a> {
    fn of(data: &'a [u8], limit: Limit) -> Result<Self, ImageError> {
        let cut = || damaged("BMP", "the file ends in its header");
        let long = |at: usize| bytes(data, at).map(u32::from_le_bytes).ok_or_else(cut);
        let short = |at: usize| bytes(data, at).map(u16::from_le_bytes).ok_or_else(cut);
        let size = long(14)? as usize;
        let header = data.get(14..14 + size.min(256)).ok_or_else(cut)?;
        let (width, height, top_down, bits, packing, count, entry) = match size {
            12 => {
                let (w, h) = (short(18)?.into(), short(20)?.into());
                (w, h, false, short(24)?, 0, 0, 3)
            }
            40 | 52 | 56 | 64 | 108 | 124 => {
                let height = long(22)? as i32;
                let (w, h) = (long(18)?.into(), u64::from(height.unsigned_abs()));
                let count = long(46)? as usize;
                (w, h, height < 0, short(28)?, long(30)?, count, 4)
            }
            n => return unsupported(format!("a header of {n} bytes")),
        };
        let (width, height) = limit.check(width, height)?;
        let bits = usize::from(bits);
        let mut behind = 14 + header.len();
        let colours = match (packing, bits) {
            (0 | 1, 8) | (0 | 2, 4) | (0, 1) => Colours::Table,
            (0, 16) => Colours::Bits555,
            (0, 24 | 32) => Colours::Bytes([2, 1, 0], None),
            (3, 16 | 24 | 32) => {
                let at = if size >= 52 { 54 } else { behind };
                let masks = [long(at)?, long(at + 4)?, long(at + 8)?];
                let alpha = if size >= 56 { long(at + 12)? } else { 0 };
                if size < 52 {
                    behind += 12;
                }
                fields(bits, masks, alpha)?
            }
            (4, _) => return unsupported("a JPEG inside"),
            (5, _) => return unsupported("a PNG inside"),
            (packing, bits) => return unsupported(format!("{bits} bits of compression {packing}")),
        };
        let mut table = Vec::new();
        if colours == Colours::Table {
            let count = if count == 0 { 1 << bits } else { count };
            if count > 1 << 16 {
                return unsupported(format!("a table of {count} colours"));
            }
            let stored = data.get(behind..behind + count * entry).ok_or_else(cut)?;
            table = stored
                .chunks_exact(entry)
                .map(|c| [c[2], c[1], c[0]])
                .collect();
            table.resize(table.len().max(256), [0; 3]);
            behind += count * entry;
        }
        // Where its pixels begin, as Pillow finds it: 0, or right behind the header, for behind the table.
        let start = match long(10)? as usize {
            0 => behind,
            n if n == 14 + header.len() && colours == Colours::Table => behind,
            n => n,
        };
        Ok(Self {
            width,
            height,
            top_down,
            bits,
            colours,
            runs: matches!(packing, 1 | 2),
            table,
            pixels: data.get(start..).ok_or_else(cut)?,
            start,
        })
    }

    /// Indices of run-length encoded rows in the order of the file. What the runs skip is index 0.
    fn indices_of_runs(&self) -> Result<Vec<u8>, ImageError> {
        let total = self.width * self.height;
        let mut out: Vec<u8> = Vec::new();
        let mut at = 0;
        // The column of a run; as Pillow, no run goes beyond its row.
        let mut x = 0;
        let half = |byte: u8, i: usize| {
            if i.is_multiple_of(2) {
                byte >> 4
            } else {
                byte & 15
            }
        };
        let cut = || damaged("BMP", "its runs are cut off");
        while out.len() < total {
            let [count, value] = bytes(self.pixels, at).ok_or_else(cut)?;
            at += 2;
            match (count, value) {
                (0, 0) => {
                    out.resize(out.len().next_multiple_of(self.width), 0);
                    x = 0;
                }
                (0, 1) => break,
                (0, 2) => {
                    let [right, up] = bytes(self.pixels, at).ok_or_else(cut)?;
                    at += 2;
                    let skip = usize::from(right) + usize::from(up) * self.width;
                    out.resize(total.min(out.len() + skip), 0);
                    x = out.len() % self.width;
                }
                (0, n) => {
                    let n = usize::from(n).min(total - out.len());
                    let bytes = if self.bits == 4 { n.div_ceil(2) } else { n };
                    let literal = self.pixels.get(at..at + bytes).ok_or_else(cut)?;
                    match self.bits {
                        4 => out.extend((0..n).map(|i| half(literal[i / 2], i))),
                        _ => out.extend_from_slice(literal),
                    }
                    at += bytes;
                    x += usize::from(value);
                    // Rows of literals end at an even byte of the file.
                    at += (self.start + at) % 2;
                }
                (n, value) => {
                    let n = usize::from(n).min(self.width.saturating_sub(x));
                    match self.bits {
                        4 => out.extend((0..n).map(|i| half(value, i))),
                        _ => out.resize(out.len() + n, value),
                    }
                    x += n;
                }
            }
        }
        out.resize(total, 0);
        Ok(out)
    }

    /// The channels of each pixel, rows in the order of the file.
    fn samples(&self) -> Result<(usize, Vec<u8>), ImageError> {
        let coloured = |indices: &mut dyn Iterator<Item = u8>| -> Vec<u8> {
            indices.flat_map(|i| self.table[usize::from(i)]).collect()
        };
        if self.runs {
            let indices = self.indices_of_runs()?;
            return Ok((3, coloured(&mut indices.into_iter())));
        }
        let stride = (self.width * self.bits).div_ceil(32) * 4;
        // The last row's padding may be missing.
        let used = (self.width * self.bits).div_ceil(8);
        let need = stride * (self.height - 1) + used;
        let pixels = self
            .pixels
            .get(..need)
            .ok_or_else(|| damaged("BMP", "the file is cut off"))?;
        let rows = pixels.chunks(stride).map(|row| &row[..used]);
        Ok(match self.colours {
            Colours::Table => {
                let largest = (u16::from(u8::MAX) >> (8 - self.bits)) as u8;
                let mut indices = rows.flat_map(|row| {
                    (0..self.width).map(move |x| {
                        let at = x * self.bits;
                        (row[at / 8] >> (8 - self.bits - at % 8)) & largest
                    })
                });
                (3, coloured(&mut indices))
            }
            Colours::Bits555 | Colours::Bits565 => {
                // Pillow's widening: rounded down.
                let five = |v: u16| ((v & 31) * 255 / 31) as u8;
                let colour = |&[a, b]: &[u8; 2]| {
                    let v = u16::from_le_bytes([a, b]);
                    match self.colours {
                        Colours::Bits555 => [five(v >> 10), five(v >> 5), five(v)],
                        _ => [five(v >> 11), ((v >> 5 & 63) * 255 / 63) as u8, five(v)],
                    }
                };
                let samples = rows.flat_map(|row| row.as_chunks().0.iter().flat_map(colour));
                (3, samples.collect())
            }
            Colours::Bytes([r, g, b], alpha) => {
                let size = self.bits / 8;
                let pixels = rows.flat_map(|row| row.chunks_exact(size));
                match alpha {
                    None => (3, pixels.flat_map(|p| [p[r], p[g], p[b]]).collect()),
                    Some(a) => (4, pixels.flat_map(|p| [p[r], p[g], p[b], p[a]]).collect()),
                }
            }
        })
    }
}

/// The colours that masks of bit fields stand for: those that Pillow knows.
fn fields(bits: usize, masks: [u32; 3], alpha: u32) -> Result<Colours, ImageError> {
    let byte = |mask: u32| match mask {
        0xff => Some(0),
        0xff00 => Some(1),
        0xff_0000 => Some(2),
        0xff00_0000 => Some(3),
        _ => None,
    };
    match (bits, masks) {
        (16, [0xf800, 0x7e0, 0x1f]) => return Ok(Colours::Bits565),
        (16, [0x7c00, 0x3e0, 0x1f]) => return Ok(Colours::Bits555),
        (32, [0, 0, 0]) if alpha == 0 => return Ok(Colours::Bytes([2, 1, 0], Some(3))),
        (24 | 32, _) => {
            if let [Some(r), Some(g), Some(b)] = masks.map(byte) {
                let alpha_byte = byte(alpha);
                let distinct =
                    r != g && g != b && r != b && ![r, g, b].map(Some).contains(&alpha_byte);
                if distinct && r.max(g).max(b) < bits / 8 && (alpha == 0 || alpha_byte.is_some()) {
                    return Ok(Colours::Bytes([r, g, b], alpha_byte.filter(|_| bits == 32)));
                }
            }
        }
        _ => {}
    }
    unsupported(format!("bit fields {masks:x?} of {bits} bits"))
}

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let bitmap = Bitmap::of(data, Limit(u64::MAX >> 8))?;
    let grey = |table: &[[u8; 3]]| table.iter().all(|[r, g, b]| r == g && g == b);
    Ok(Header {
        format: Format::Bmp,
        width: bitmap.width as u64,
        height: bitmap.height as u64,
        mode: match bitmap.colours {
            Colours::Table if grey(&bitmap.table) => Mode::Grey,
            Colours::Table => Mode::Palette,
            _ => Mode::Rgb,
        },
        bits: 8,
        alpha: matches!(bitmap.colours, Colours::Bytes(_, Some(_))),
        orientation: 1,
    })
}

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let bitmap = Bitmap::of(data, limit)?;
    let (channels, mut samples) = bitmap.samples()?;
    if !bitmap.top_down {
        super::mirror_rows(&mut samples, bitmap.width * channels);
    }
    Ok(Raw {
        pixels: Pixels::new(bitmap.width, bitmap.height, channels, samples)?,
        orientation: 1,
    })
}
