//! JPEG by libjpeg-turbo: the accurate inverse DCT and smooth ("fancy") chroma upsampling, as in Pillow and OpenCV.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

use super::{damaged, Limit, Raw};
use crate::colour::adobe_cmyk_to_rgb;
use crate::orientation::jpeg_exif;
use crate::{ImageError, Pixels};

/// Scans of a progressive file beyond this many are an attack, not an image.
const SCAN_LIMIT: u32 = 500;

#[derive(Default)]
pub(super) struct JpegDecoder {
    // Made on first use; kept, because making one costs as much as decoding a small image.
    decompressor: Option<Decompressor>,
}

impl JpegDecoder {
    /// A damaged or truncated file is an error: libjpeg's warnings are taken as errors, because what it returns then is
    /// an image that is partly grey.
    pub(super) fn decode(&mut self, data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
        let bad = |e: turbojpeg::Error| damaged("JPEG", e);
        let decompressor = match &mut self.decompressor {
            Some(d) => d,
            none => {
                let mut d = Decompressor::new().map_err(bad)?;
                d.set_scan_limit(SCAN_LIMIT).map_err(bad)?;
                none.insert(d)
            }
        };
        let header = decompressor.read_header(data).map_err(bad)?;
        let (width, height) = limit.check(header.width as u64, header.height as u64)?;
        let format = match header.colorspace {
            Colorspace::Gray => PixelFormat::GRAY,
            Colorspace::CMYK | Colorspace::YCCK => PixelFormat::CMYK,
            _ => PixelFormat::RGB,
        };
        let pitch = width * format.size();
        let mut samples = vec![0; height * pitch];
        let image = Image {
            pixels: &mut samples[..],
            width,
            pitch,
            height,
            format,
        };
        decompressor.decompress(data, image).map_err(bad)?;
        let (channels, samples) = match format {
            PixelFormat::GRAY => (1, samples),
            PixelFormat::CMYK => (3, adobe_cmyk_to_rgb(&samples)),
            _ => (3, samples),
        };
        Ok(Raw {
            pixels: Pixels::new(width, height, channels, samples)?,
            exif: jpeg_exif(data).map(<[u8]>::to_vec),
        })
    }
}
