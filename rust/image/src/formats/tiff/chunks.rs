//! Strips and tiles: unpacked, their differences summed.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::decode::Configuration;
use weezl::{BitOrder, LzwStatus};

use crate::formats::damaged;
use crate::ImageError;

/// How strips and tiles are packed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    /// CCITT group 4 of one bit a pixel.
    Fax4,
}

impl Compression {
    /// That of a number of the specification, or what it is called.
    pub(super) fn of(number: u64) -> Result<Self, String> {
        Err(match number {
            1 => return Ok(Self::None),
            4 => return Ok(Self::Fax4),
            5 => return Ok(Self::Lzw),
            8 | 32946 => return Ok(Self::Deflate),
            32773 => return Ok(Self::PackBits),
            2 | 3 | 32771 => "CCITT group 3".into(),
            6 | 7 => "JPEG".into(),
            34712 => "JPEG 2000".into(),
            34925 => "LZMA".into(),
            34926 | 50000 => "Zstandard".into(),
            50001 => "WebP".into(),
            50002 | 52546 => "JPEG XL".into(),
            n => format!("number {n}"),
        })
    }

    /// Whether differences may be stored in place of samples; beside other packings the tag says nothing.
    pub(super) fn predicts(self) -> bool {
        matches!(self, Self::Lzw | Self::Deflate)
    }

    /// The first `need` bytes of what `packed` holds, `width` pixels of one bit a row for a fax.
    pub(super) fn unpack<'a>(
        self,
        packed: Cow<'a, [u8]>,
        need: usize,
        width: usize,
    ) -> Result<Cow<'a, [u8]>, ImageError> {
        let unpacked = match self {
            Self::None => packed,
            Self::Lzw => lzw(&packed, need)?.into(),
            Self::Deflate => {
                let mut out = Vec::new();
                let mut reader = ZlibDecoder::new(&packed[..]).take(need as u64);
                let result = reader.read_to_end(&mut out);
                result.map_err(|e| damaged("TIFF", e))?;
                out.into()
            }
            Self::PackBits => pack_bits(&packed, need).into(),
            Self::Fax4 => fax4(&packed, need, width)?.into(),
        };
        if unpacked.len() < need {
            return Err(damaged("TIFF", "a strip or tile is cut off"));
        }
        Ok(unpacked)
    }
}

fn lzw(packed: &[u8], need: usize) -> Result<Vec<u8>, ImageError> {
    // Writers before the specification of 1992 began codes at the lowest bit: the first one, which clears, then is 0, 1.
    let configuration = match packed {
        [0, second, ..] if second & 1 == 1 => Configuration::new(BitOrder::Lsb, 8),
        _ => Configuration::with_tiff_size_switch(BitOrder::Msb, 8),
    };
    let mut decoder = configuration.with_yield_on_full_buffer(true).build();
    let mut out = vec![0; need];
    let (mut read, mut written) = (0, 0);
    while written < need {
        let step = decoder.decode_bytes(&packed[read..], &mut out[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::NoProgress | LzwStatus::Done) => break,
            Err(e) => return Err(damaged("TIFF", e)),
        }
    }
    out.truncate(written);
    Ok(out)
}

fn pack_bits(packed: &[u8], need: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = packed;
    while let Some((&head, tail)) = rest.split_first() {
        if out.len() >= need {
            break;
        }
        rest = match head {
            0..=127 => {
                let (literal, tail) = tail.split_at((usize::from(head) + 1).min(tail.len()));
                out.extend_from_slice(literal);
                tail
            }
            128 => tail,
            _ => match tail.split_first() {
                Some((&value, tail)) => {
                    out.resize(out.len() + 257 - usize::from(head), value);
                    tail
                }
                None => tail,
            },
        };
    }
    out
}

/// Rows of whole bytes, black as 1.
fn fax4(packed: &[u8], need: usize, width: usize) -> Result<Vec<u8>, ImageError> {
    let bad = |e: String| damaged("TIFF", e);
    let width = u16::try_from(width).map_err(|_| bad("a fax wider than 65535 pixels".into()))?;
    let bytes = packed
        .iter()
        .map(|&b| Ok::<u8, std::convert::Infallible>(b));
    let mut decoder = fax::decoder::Group4Decoder::new(bytes, width).map_err(|e| match e {})?;
    let mut out = Vec::new();
    while out.len() < need {
        match decoder.advance() {
            Ok(fax::decoder::DecodeStatus::Incomplete) => {}
            Ok(fax::decoder::DecodeStatus::End) => break,
            Err(_) => return Err(bad("a fax with a code that does not exist".into())),
        }
        let start = out.len();
        out.resize(start + usize::from(width).div_ceil(8), 0);
        for (x, colour) in fax::decoder::pels(decoder.transition(), width).enumerate() {
            if colour == fax::Color::Black {
                out[start + x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
    Ok(out)
}

/// Rows of `row` samples, each the difference to the one `stride` before, to the samples themselves.
pub(super) fn sum_differences<T: Copy>(
    samples: &mut [T],
    row: usize,
    stride: usize,
    add: impl Fn(T, T) -> T,
) {
    for row in samples.chunks_exact_mut(row) {
        for i in stride..row.len() {
            row[i] = add(row[i], row[i - stride]);
        }
    }
}
