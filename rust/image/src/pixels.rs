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

/// An upright part of an image, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Columns to the left of it.
    pub x: usize,
    /// Rows above it.
    pub y: usize,
    /// Its columns.
    pub width: usize,
    /// Its rows.
    pub height: usize,
}

impl Rect {
    /// The first `width` columns of the first `height` rows.
    pub fn from_size(width: usize, height: usize) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// All of an image.
    pub fn of(image: &Pixels) -> Self {
        Self::from_size(image.width, image.height)
    }

    /// Whether it lies within `width` x `height` pixels.
    pub fn is_inside(&self, width: usize, height: usize) -> bool {
        let fits = |start: usize, length: usize, whole: usize| {
            start.checked_add(length).is_some_and(|end| end <= whole)
        };
        fits(self.x, self.width, width) && fits(self.y, self.height, height)
    }
}

impl Pixels {
    /// Row `y` of the part `rect`, counted from its upper edge.
    pub fn row(&self, rect: &Rect, y: usize) -> &[u8] {
        let start = (rect.y + y) * self.width + rect.x;
        &self.data[start * self.channels..][..rect.width * self.channels]
    }

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
