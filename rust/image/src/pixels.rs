//! An 8-bit image in memory.

use crate::ImageError;

/// An 8-bit image: `data` is row-major, interleaved, `height * width * channels` long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA).
    pub channels: usize,
    /// The samples.
    pub data: Vec<u8>,
}

impl Pixels {
    /// An image from its samples; an error when their number is not `height * width * channels`.
    pub fn new(
        width: usize,
        height: usize,
        channels: usize,
        data: Vec<u8>,
    ) -> Result<Self, ImageError> {
        let expected = width
            .checked_mul(height)
            .and_then(|n| n.checked_mul(channels));
        if width == 0 || height == 0 || expected != Some(data.len()) {
            return Err(ImageError::Geometry(format!(
                "{} samples are not a {width}x{height} image of {channels} channels",
                data.len()
            )));
        }
        Ok(Self {
            width,
            height,
            channels,
            data,
        })
    }
}
