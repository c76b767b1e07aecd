//! Pixels to PNG or JPEG bytes. The same pixels always give the same bytes.

use crate::{ImageError, Pixels};

/// The PNG file of an image of 1 (grey), 3 (RGB) or 4 (RGBA) channels.
///
/// Compression and filter are fixed, so equal pixels give equal files on every machine.
pub fn encode_png(image: &Pixels) -> Result<Vec<u8>, ImageError> {
    let color = match image.channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        4 => png::ColorType::Rgba,
        n => {
            return Err(ImageError::Geometry(format!(
                "a PNG has 1, 3 or 4 channels, not {n}"
            )))
        }
    };
    let too_large = |_| ImageError::Geometry("too large for a PNG".into());
    let width = u32::try_from(image.width).map_err(too_large)?;
    let height = u32::try_from(image.height).map_err(too_large)?;
    let failed = |e: png::EncodingError| ImageError::Geometry(e.to_string());
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    encoder.set_filter(png::Filter::Adaptive);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&image.data).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

/// The quality of [`encode_jpeg`]: about 45 dB on photographs, a fifth of the pixels' bytes.
pub const JPEG_QUALITY: i32 = 95;

/// The JPEG file of an image of 1 (grey) or 3 (RGB) channels: quality 95, colour at full resolution (4:4:4).
pub fn encode_jpeg(image: &Pixels) -> Result<Vec<u8>, ImageError> {
    jpeg_file(image, JPEG_QUALITY, false)
}

/// The JPEG file of an image of 1 or 3 channels, of a quality of 1 to 100, and with colour at half the size (4:2:0) or not.
pub(crate) fn jpeg_file(image: &Pixels, quality: i32, halved: bool) -> Result<Vec<u8>, ImageError> {
    let (format, subsampling) = match (image.channels, halved) {
        (1, _) => (turbojpeg::PixelFormat::GRAY, turbojpeg::Subsamp::Gray),
        (3, false) => (turbojpeg::PixelFormat::RGB, turbojpeg::Subsamp::None),
        (3, true) => (turbojpeg::PixelFormat::RGB, turbojpeg::Subsamp::Sub2x2),
        (n, _) => {
            return Err(ImageError::Geometry(format!(
                "a JPEG has 1 or 3 channels, not {n}"
            )))
        }
    };
    let failed = |e: turbojpeg::Error| ImageError::Geometry(e.to_string());
    let mut compressor = turbojpeg::Compressor::new().map_err(failed)?;
    compressor.set_quality(quality).map_err(failed)?;
    compressor.set_subsamp(subsampling).map_err(failed)?;
    let pixels = turbojpeg::Image {
        pixels: &image.data[..],
        width: image.width,
        pitch: image.width * image.channels,
        height: image.height,
        format,
    };
    compressor.compress_to_vec(pixels).map_err(failed)
}
