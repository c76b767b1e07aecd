//! WebP, lossy and lossless; of an animation the first frame.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::{damaged, Format, Limit, Raw};
use crate::orientation::{exif_orientation, from_exif};
use crate::{Header, ImageError, Mode, Pixels};

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let declared = u32::from_le_bytes([data[4], data[5], data[6], data[7]]) as usize;
    // Some writers leave out the byte that pads the last chunk to an even length.
    if data.len() < declared.saturating_add(7) {
        return Err(damaged("WebP", "the file is cut off"));
    }
    let bad = |e: image_webp::DecodingError| damaged("WebP", e);
    let mut decoder = WebPDecoder::new(Cursor::new(data)).map_err(bad)?;
    let (width, height) = decoder.dimensions();
    let exif = decoder.exif_metadata().map_err(bad)?;
    let exif = exif
        .as_deref()
        .map(|e| e.strip_prefix(b"Exif\0\0").unwrap_or(e));
    Ok(Header {
        format: Format::WebP,
        width: width.into(),
        height: height.into(),
        mode: Mode::Rgb,
        bits: 8,
        alpha: decoder.has_alpha(),
        orientation: exif_orientation(exif),
    })
}

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let bad = |e: image_webp::DecodingError| damaged("WebP", e);
    let mut decoder = WebPDecoder::new(Cursor::new(data)).map_err(bad)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = limit.check(width.into(), height.into())?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut samples = vec![0; width * height * channels];
    decoder.read_image(&mut samples).map_err(bad)?;
    let exif = decoder.exif_metadata().map_err(bad)?;
    // Some writers put the JPEG prefix before the TIFF data.
    let exif = exif
        .as_deref()
        .map(|e| e.strip_prefix(b"Exif\0\0").unwrap_or(e));
    Ok(Raw {
        pixels: Pixels::new(width, height, channels, samples)?,
        orientation: from_exif(exif),
    })
}
