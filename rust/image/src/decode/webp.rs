//! WebP, lossy and lossless; of an animation the first frame.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::{damaged, Limit, Raw};
use crate::orientation::from_exif;
use crate::{ImageError, Pixels};

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
