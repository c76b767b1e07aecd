//! JPEG by libjpeg-turbo: the accurate inverse DCT and smooth ("fancy") chroma upsampling, as in Pillow and OpenCV.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

use super::{damaged, Limit};
use crate::colour::adobe_cmyk_to_rgb;
use crate::{ImageError, Pixels};

/// Scans of a progressive file beyond this many are an attack, not an image.
const SCAN_LIMIT: u32 = 500;

/// Memory kept from one image to the next, at most; larger images are rare and pay for their own.
const KEPT_MEMORY: usize = 128 << 20;

#[derive(Default)]
pub(super) struct JpegDecoder {
    // Made on first use; kept, because making one costs as much as decoding a small image.
    decompressor: Option<Decompressor>,
    /// The memory of an earlier image. Fresh memory costs a page fault for every 4 KiB.
    spare: Vec<u8>,
}

/// A JPEG as stored, not yet turned, reduced along each axis.
pub(super) struct Jpeg {
    pub(super) pixels: Pixels,
    pub(super) full: (usize, usize),
    pub(super) by: usize,
}

impl JpegDecoder {
    /// A damaged or truncated file is an error: libjpeg's warnings are taken as errors, because what it returns then is
    /// an image that is partly grey.
    pub(super) fn decode(
        &mut self,
        data: &[u8],
        limit: Limit,
        reduction: impl FnOnce(usize, usize) -> usize,
    ) -> Result<Jpeg, ImageError> {
        // After some errors (a marker of impossible length) a decompressor refuses every later file, so one that failed
        // is not used again.
        let mut decompressor = match self.decompressor.take() {
            Some(d) => d,
            None => new_decompressor().map_err(bad)?,
        };
        let samples = std::mem::take(&mut self.spare);
        let jpeg = decode_with(&mut decompressor, samples, data, limit, reduction)?;
        self.decompressor = Some(decompressor);
        Ok(jpeg)
    }

    /// Keeps the memory of an image for the next one.
    pub(super) fn recycle(&mut self, memory: Vec<u8>) {
        if memory.capacity() <= KEPT_MEMORY && memory.capacity() > self.spare.capacity() {
            self.spare = memory;
        }
    }
}

fn bad(error: turbojpeg::Error) -> ImageError {
    match error {
        // The size of a file of tables only: -1, or with a used decompressor that of the image before and, when it is
        // decoded, this error.
        turbojpeg::Error::IntegerOverflow(_) => {
            damaged("JPEG", "TurboJPEG error: JPEG datastream contains no image")
        }
        error => damaged("JPEG", error),
    }
}

fn new_decompressor() -> turbojpeg::Result<Decompressor> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scan_limit(SCAN_LIMIT)?;
    Ok(decompressor)
}

/// Decodes into `samples`, whatever it holds.
fn decode_with(
    decompressor: &mut Decompressor,
    mut samples: Vec<u8>,
    data: &[u8],
    limit: Limit,
    reduction: impl FnOnce(usize, usize) -> usize,
) -> Result<Jpeg, ImageError> {
    let header = decompressor.read_header(data).map_err(bad)?;
    let full = limit.check(header.width as u64, header.height as u64)?;
    // A lossless JPEG has no DCT that could be taken at fewer points.
    let by = match header.is_lossless {
        true => 1,
        false => reduction(full.0, full.1),
    };
    let factor = ScalingFactor::new(1, by);
    decompressor.set_scaling_factor(factor).map_err(bad)?;
    let (width, height) = (factor.scale(full.0), factor.scale(full.1));
    let format = match header.colorspace {
        Colorspace::Gray => PixelFormat::GRAY,
        Colorspace::CMYK | Colorspace::YCCK => PixelFormat::CMYK,
        _ => PixelFormat::RGB,
    };
    let pitch = width * format.size();
    // Only growth is cleared; what is there is overwritten.
    samples.resize(height * pitch, 0);
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
    Ok(Jpeg {
        pixels: Pixels::new(width, height, channels, samples)?,
        full,
        by,
    })
}
