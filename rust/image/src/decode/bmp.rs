//! Windows BMP.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder};

use super::{damaged, Limit, Raw};
use crate::{ImageError, Pixels};

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let bad = |e: image::ImageError| damaged("BMP", e);
    let decoder = BmpDecoder::new(Cursor::new(data)).map_err(bad)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = limit.check(width.into(), height.into())?;
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        ColorType::Rgba8 => 4,
        other => return Err(ImageError::Unsupported(format!("BMP of type {other:?}"))),
    };
    let mut samples = vec![0; width * height * channels];
    decoder.read_image(&mut samples).map_err(bad)?;
    Ok(Raw {
        pixels: Pixels::new(width, height, channels, samples)?,
        orientation: Orientation::NoTransforms,
    })
}
