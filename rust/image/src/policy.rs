//! The whole way of one image: bytes -> decode -> orientation -> alpha -> channels -> crop -> resize.

use crate::resize::pillow::Resizer;
use crate::{Crop, DecodeOptions, Decoder, Filter, ImageError, Pixels};

/// Everything that decides the pixels of a prepared image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelPolicy {
    /// Width of the result.
    pub width: usize,
    /// Height of the result.
    pub height: usize,
    /// Which part of the image is kept.
    pub crop: Crop,
    /// How that part is resized.
    pub filter: Filter,
    /// Channels, transparency, orientation and the size limit.
    pub decode: DecodeOptions,
}

impl PixelPolicy {
    /// Bytes of one prepared image.
    pub fn image_len(&self) -> usize {
        self.width * self.height * self.decode.channels
    }
}

/// Prepares one image after the other; keeps decoder, tables and scratch memory, so make one for each thread.
#[derive(Default)]
pub struct Preparer {
    decoder: Decoder,
    resizer: Resizer,
}

impl Preparer {
    /// Decodes `data` and writes the prepared image, `policy.image_len()` bytes, into `out`.
    pub fn encoded(
        &mut self,
        data: &[u8],
        policy: &PixelPolicy,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let image = self.decoder.decode(data, &policy.decode)?;
        self.crop_and_resize(&image, policy, out)
    }

    /// As `encoded`, for an image that is pixels already (1 to 4 channels).
    pub fn raw(
        &mut self,
        image: Pixels,
        policy: &PixelPolicy,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let image = crate::colour::flatten_alpha(image, policy.decode.alpha)?;
        let image = crate::colour::to_channels(image, policy.decode.channels)?;
        self.crop_and_resize(&image, policy, out)
    }

    fn crop_and_resize(
        &mut self,
        image: &Pixels,
        policy: &PixelPolicy,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let (x, y, w, h) =
            policy
                .crop
                .rectangle(image.width, image.height, policy.width, policy.height)?;
        self.resizer.resize(
            image,
            (x, y, w, h),
            policy.width,
            policy.height,
            policy.filter,
            out,
        )
    }
}
