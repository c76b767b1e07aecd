//! Windows BMP.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{ColorType, ExtendedColorType, ImageDecoder};

use super::{damaged, Format, Limit, Raw};
use crate::{Header, ImageError, Mode, Pixels};

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let decoder = BmpDecoder::new(Cursor::new(data)).map_err(|e| damaged("BMP", e))?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    Ok(Header {
        format: Format::Bmp,
        width: width.into(),
        height: height.into(),
        mode: match decoder.original_color_type() {
            ExtendedColorType::L8 => Mode::Grey,
            // Bits 28 and 29 of the file: its bits a pixel; up to eight are indices.
            _ if data.get(28).is_some_and(|&bits| bits <= 8) => Mode::Palette,
            _ => Mode::Rgb,
        },
        bits: 8,
        alpha: color.has_alpha(),
        orientation: 1,
    })
}

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
        orientation: 1,
    })
}
