//! TIFF: grey of 1 to 16 bits, RGB and RGBA of 8 or 16, CMYK of 8; of several pages the first. Stored plainly or by
//! PackBits, LZW, Deflate or CCITT group 4. 16-bit samples keep their high byte.

use std::io::Cursor;

use image::metadata::Orientation;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::{damaged, Format, Limit, Raw};
use crate::colour::adobe_cmyk_to_rgb;
use crate::{Header, ImageError, Mode, Pixels};

/// What the decoder needs at most for a tag's value that takes one byte in the file.
const BYTES_OF_A_VALUE: usize = 64;

/// The meaning of a fourth (or, beside grey, second) sample: tag ExtraSamples of the TIFF 6.0 specification.
#[derive(Clone, Copy, PartialEq)]
enum Extra {
    /// It is no transparency.
    Ignored,
    /// The colours are multiplied with it.
    Associated,
    /// The colours stand by themselves.
    Unassociated,
}

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let bad = |e: tiff::TiffError| damaged("TIFF", e);
    let mut limits = Limits::default();
    limits.ifd_value_size = data.len();
    limits.decoding_buffer_size = data.len().saturating_mul(64);
    let decoder = Decoder::new(Cursor::new(data)).map_err(bad)?;
    let mut decoder = decoder.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(bad)?;
    let orientation = decoder
        .find_tag_unsigned_vec::<u16>(Tag::Orientation)
        .map_err(bad)?;
    let (mode, alpha, bits) = match decoder.colortype().map_err(bad)? {
        ColorType::Gray(bits) => (Mode::Grey, false, bits),
        ColorType::GrayA(bits) => (Mode::Grey, true, bits),
        ColorType::Multiband {
            bit_depth,
            num_samples: 2,
        } => (Mode::Grey, true, bit_depth),
        ColorType::RGB(bits) => (Mode::Rgb, false, bits),
        ColorType::RGBA(bits) => (Mode::Rgb, true, bits),
        ColorType::Palette(bits) => (Mode::Palette, false, bits),
        ColorType::CMYK(bits) => (Mode::Cmyk, false, bits),
        other => return Err(ImageError::Unsupported(format!("TIFF: {other:?}"))),
    };
    Ok(Header {
        format: Format::Tiff,
        width: width.into(),
        height: height.into(),
        mode,
        bits,
        alpha,
        orientation: match orientation.as_deref() {
            Some([value @ 1..=8, ..]) => *value as u8,
            _ => 1,
        },
    })
}

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let bad = |e: TiffError| match e {
        TiffError::UnsupportedError(e) => ImageError::Unsupported(format!("TIFF: {e}")),
        e => damaged("TIFF", e),
    };
    let unsupported = |what: String| Err(ImageError::Unsupported(format!("TIFF: {what}")));
    let decoder = Decoder::new(Cursor::new(data)).map_err(bad)?;
    let mut limits = Limits::default();
    // Nothing in a file is longer than the file, decoded strips apart. The limit of the decoding buffer also bounds the
    // memory that a tag's values are given before they are read.
    limits.ifd_value_size = data.len();
    limits.decoding_buffer_size = data.len().saturating_mul(BYTES_OF_A_VALUE);
    let mut decoder = decoder.with_limits(limits.clone());
    let (width, height) = decoder.dimensions().map_err(bad)?;
    let (width, height) = limit.check(width.into(), height.into())?;

    let mut tag = |tag| decoder.find_tag_unsigned_vec::<u16>(tag).map_err(bad);
    if tag(Tag::FillOrder)?.is_some_and(|v| v != [1]) {
        return unsupported("bits in reversed order".into());
    }
    if tag(Tag::SampleFormat)?.is_some_and(|v| v.iter().any(|&f| f != 1)) {
        return unsupported("samples that are no unsigned integers".into());
    }
    let planar = tag(Tag::PlanarConfiguration)?.is_some_and(|v| v == [2]);
    let extra = match tag(Tag::ExtraSamples)?.as_deref() {
        Some([1]) => Extra::Associated,
        // Many writers of RGBA leave the tag out.
        None | Some([] | [2]) => Extra::Unassociated,
        Some([0]) => Extra::Ignored,
        Some(other) => return unsupported(format!("extra samples {other:?}")),
    };
    let orientation = tag(Tag::Orientation)?
        .and_then(|v| Orientation::from_exif(u8::try_from(*v.first()?).ok()?))
        .unwrap_or(Orientation::NoTransforms);
    let color = decoder.colortype().map_err(bad)?;
    let (bits, stored) = match color {
        ColorType::Gray(bits @ (1 | 2 | 4 | 8 | 16)) => (bits, 1),
        ColorType::Multiband {
            bit_depth: bits @ (8 | 16),
            num_samples: 2,
        } if extra != Extra::Associated => (bits, 2),
        ColorType::RGB(bits @ (8 | 16)) => (bits, 3),
        ColorType::RGBA(bits @ (8 | 16)) => (bits, 4),
        ColorType::CMYK(8) => (8, 4),
        other => return unsupported(format!("{other:?}")),
    };

    // At most eight bytes for each of the limited number of pixels.
    limits.decoding_buffer_size = limits.decoding_buffer_size.max(width * height * 8);
    let mut decoder = decoder.with_limits(limits);
    let row = (width * stored * usize::from(bits)).div_ceil(8);
    let layout = decoder.image_buffer_layout().map_err(bad)?;
    if layout.complete_len != row * height && !planar {
        return Err(damaged("TIFF", "its size and its data do not agree"));
    }
    let mut bytes = vec![0; layout.complete_len];
    decoder.read_image_bytes(&mut bytes).map_err(bad)?;
    let mut samples = match bits {
        8 => bytes,
        16 => (bytes.as_chunks().0.iter())
            .map(|&b| (u16::from_ne_bytes(b) >> 8) as u8)
            .collect(),
        _ => unpack_bits(&bytes, row, width, bits),
    };
    if planar && stored > 1 {
        samples = interleave(&samples, stored);
    }
    let (channels, samples) = match (color, extra) {
        (ColorType::CMYK(_), _) => {
            samples.iter_mut().for_each(|v| *v = 255 - *v);
            (3, adobe_cmyk_to_rgb(&samples))
        }
        (_, Extra::Ignored) if stored == 2 || stored == 4 => {
            (stored - 1, without_last(&samples, stored))
        }
        (ColorType::RGBA(_), Extra::Associated) => {
            samples.as_chunks_mut().0.iter_mut().for_each(divide_alpha);
            (4, samples)
        }
        _ => (stored, samples),
    };
    Ok(Raw {
        pixels: Pixels::new(width, height, channels, samples)?,
        orientation,
    })
}

/// Grey samples of 1, 2 or 4 bits, rows padded to whole bytes, spread over 0..=255.
fn unpack_bits(bytes: &[u8], row: usize, width: usize, bits: u8) -> Vec<u8> {
    let largest = (1u8 << bits) - 1;
    let unpacked = bytes.chunks_exact(row).flat_map(|bytes| {
        (0..width).map(move |x| {
            let at = x * usize::from(bits);
            let shift = 8 - usize::from(bits) - at % 8;
            ((bytes[at / 8] >> shift) & largest) * (255 / largest)
        })
    });
    unpacked.collect()
}

/// One plane after the other to one pixel after the other.
fn interleave(planes: &[u8], channels: usize) -> Vec<u8> {
    let length = planes.len() / channels;
    (0..length)
        .flat_map(|i| (0..channels).map(move |c| planes[c * length + i]))
        .collect()
}

fn without_last(samples: &[u8], channels: usize) -> Vec<u8> {
    let pixels = samples.chunks_exact(channels);
    pixels.flat_map(|px| &px[..channels - 1]).copied().collect()
}

/// Takes the multiplication with alpha back, in Pillow's integer arithmetic (`RGBa`): rounded down, clipped.
fn divide_alpha(px: &mut [u8; 4]) {
    let alpha = u32::from(px[3]);
    for v in &mut px[..3] {
        *v = (u32::from(*v) * 255)
            .checked_div(alpha)
            .map_or(0, |v| v.min(255) as u8);
    }
}
