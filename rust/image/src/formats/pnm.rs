//! PBM, PGM and PPM (P1 to P6), with text or with bytes, of up to 16 bits.

use super::depth::{self, SixteenBit};
use super::{damaged, Deep, Format, Limit, Raw};
use crate::{Header, ImageError, Mode, Pixels};

/// The longest number that is read, as in Pillow.
const LONGEST: usize = 10;

struct Map<'a> {
    width: usize,
    height: usize,
    channels: usize,
    /// Whether samples are bits, 1 being black.
    bits: bool,
    /// Whether samples are text.
    plain: bool,
    /// The sample that is white.
    white: u32,
    body: &'a [u8],
}

/// Reads numbers between white space and comments.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn skip_comment(&mut self) {
        let end = self.0.iter().position(|b| matches!(b, b'\r' | b'\n'));
        self.0 = &self.0[end.map_or(self.0.len(), |end| end + 1)..];
    }

    /// The next number and one byte of white space behind it; a comment within is as if it were not there.
    fn number(&mut self) -> Result<u32, ImageError> {
        let mut digits = 0;
        let mut value = 0u64;
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            match byte {
                b'#' => self.skip_comment(),
                b'0'..=b'9' if digits < LONGEST => {
                    digits += 1;
                    value = value * 10 + u64::from(byte - b'0');
                }
                _ if is_space(byte) && digits == 0 => {}
                _ if is_space(byte) => break,
                _ => return Err(damaged("PNM", "something else where a number has to be")),
            }
        }
        match digits {
            0 => Err(damaged("PNM", "the file is cut off")),
            _ => u32::try_from(value).map_err(|_| damaged("PNM", "a number is too large")),
        }
    }

    /// The next digit, which need not be followed by white space.
    fn digit(&mut self) -> Result<bool, ImageError> {
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            match byte {
                b'#' => self.skip_comment(),
                b'0' | b'1' => return Ok(byte == b'1'),
                _ if is_space(byte) => {}
                _ => return Err(damaged("PNM", "something else where 0 or 1 has to be")),
            }
        }
        Err(damaged("PNM", "the file is cut off"))
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d)
}

impl<'a> Map<'a> {
    fn of(data: &'a [u8], limit: Limit) -> Result<Self, ImageError> {
        let kind = data.get(1).copied().unwrap_or(0);
        let mut words = Words(data.get(2..).unwrap_or(&[]));
        let (width, height) = (words.number()?, words.number()?);
        let (width, height) = limit.check(width.into(), height.into())?;
        let bits = matches!(kind, b'1' | b'4');
        let white = if bits { 1 } else { words.number()? };
        if !(1..=65535).contains(&white) {
            return Err(damaged(
                "PNM",
                format!("its white is {white}, not 1 to 65535"),
            ));
        }
        Ok(Self {
            width,
            height,
            channels: if matches!(kind, b'3' | b'6') { 3 } else { 1 },
            bits,
            plain: kind <= b'3',
            white,
            body: words.0,
        })
    }

    /// The samples as they are stored.
    fn stored(&self) -> Result<Vec<u16>, ImageError> {
        let cut = || damaged("PNM", "the file is cut off");
        let total = self.width * self.height * self.channels;
        // Each sample takes a bit at least, so that no more memory is taken than the file is worth.
        if self.body.len() < total / 8 {
            return Err(cut());
        }
        if self.plain {
            let mut words = Words(self.body);
            let each = (0..total).map(|_| match self.bits {
                true => Ok(u16::from(words.digit()?)),
                false => match words.number()? {
                    v if v <= self.white => Ok(v as u16),
                    v => Err(damaged("PNM", format!("a sample of {v} beyond its white"))),
                },
            });
            return each.collect();
        }
        if self.bits {
            let row = self.width.div_ceil(8);
            let body = self.body.get(..row * self.height).ok_or_else(cut)?;
            let rows = body.chunks_exact(row);
            let bit = |row: &[u8], x: usize| u16::from(row[x / 8] >> (7 - x % 8) & 1);
            return Ok(rows
                .flat_map(|row| (0..self.width).map(move |x| bit(row, x)))
                .collect());
        }
        if self.white < 256 {
            let body = self.body.get(..total).ok_or_else(cut)?;
            return Ok(body.iter().map(|&v| v.into()).collect());
        }
        let body = self.body.get(..2 * total).ok_or_else(cut)?;
        Ok(body
            .as_chunks()
            .0
            .iter()
            .map(|&b| u16::from_be_bytes(b))
            .collect())
    }

    /// `v` of 0 to white spread over 0 to `full`, rounded, halves to even.
    fn spread(&self, v: u16, full: u32) -> u16 {
        let scaled = f64::from(v) / f64::from(self.white) * f64::from(full);
        scaled.round_ties_even().min(f64::from(full)) as u16
    }
}

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let map = Map::of(data, Limit(u64::MAX >> 8))?;
    Ok(Header {
        format: Format::Pnm,
        width: map.width as u64,
        height: map.height as u64,
        mode: if map.channels == 3 {
            Mode::Rgb
        } else {
            Mode::Grey
        },
        bits: match map.white {
            1 => 1,
            ..256 => 8,
            _ => 16,
        },
        alpha: false,
        orientation: 1,
    })
}

pub(super) fn decode(data: &[u8], limit: Limit, sixteen: SixteenBit) -> Result<Deep, ImageError> {
    let map = Map::of(data, limit)?;
    let stored = map.stored()?;
    let mut largest = None;
    let samples: Vec<u8> = if map.bits {
        stored
            .iter()
            .map(|&v| if v == 1 { 0 } else { 255 })
            .collect()
    } else if map.white < 256 {
        stored.iter().map(|&v| map.spread(v, 255) as u8).collect()
    } else if map.white == 65535 {
        let shallow = depth::to_bytes(stored.iter().copied(), map.channels, false, sixteen);
        largest = Some(shallow.largest);
        shallow.samples
    } else if sixteen == SixteenBit::Full {
        // The file says itself how deep it is.
        stored.iter().map(|&v| map.spread(v, 255) as u8).collect()
    } else {
        depth::to_bytes(stored.iter().copied(), map.channels, false, sixteen).samples
    };
    let raw = Raw {
        pixels: Pixels::new(map.width, map.height, map.channels, samples)?,
        orientation: 1,
    };
    Ok(Deep { raw, largest })
}
