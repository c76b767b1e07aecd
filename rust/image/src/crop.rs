//! Which part of an image is kept, by name.

use crate::ImageError;

/// A crop rule; the kept part is then resized to the target size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crop {
    /// The largest centred part with the target's aspect ratio, offsets rounded down.
    ///
    /// For a square target this is the crop of StyleGAN's `dataset_tool.py --transform=center-crop`.
    Center,
    /// The whole image; its aspect ratio changes when the target's differs.
    None,
}

impl Crop {
    /// All rules with their names.
    pub const NAMES: [(&'static str, Self); 2] = [("center", Self::Center), ("none", Self::None)];

    /// `(x, y, width, height)` of the kept part of a `width` x `height` image.
    pub fn rectangle(
        self,
        width: usize,
        height: usize,
        target_width: usize,
        target_height: usize,
    ) -> Result<(usize, usize, usize, usize), ImageError> {
        if width == 0 || height == 0 || target_width == 0 || target_height == 0 {
            return Err(ImageError::Geometry("an image or target of size 0".into()));
        }
        match self {
            Self::None => Ok((0, 0, width, height)),
            Self::Center => {
                let (w, h) = if width * target_height > height * target_width {
                    ((height * target_width / target_height).max(1), height)
                } else {
                    (width, (width * target_height / target_width).max(1))
                };
                Ok(((width - w) / 2, (height - h) / 2, w, h))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn center_of_celeba_is_the_middle_square() {
        assert_eq!(
            Crop::Center.rectangle(178, 218, 64, 64),
            Ok((0, 20, 178, 178))
        );
        assert_eq!(
            Crop::Center.rectangle(218, 178, 64, 64),
            Ok((20, 0, 178, 178))
        );
        assert_eq!(Crop::Center.rectangle(5, 8, 4, 4), Ok((0, 1, 5, 5)));
    }

    #[test]
    fn center_keeps_the_aspect_ratio_of_the_target() {
        assert_eq!(
            Crop::Center.rectangle(300, 100, 64, 32),
            Ok((50, 0, 200, 100))
        );
        assert_eq!(Crop::Center.rectangle(1, 1000, 64, 32), Ok((0, 499, 1, 1)));
    }

    #[test]
    fn none_keeps_everything() {
        assert_eq!(Crop::None.rectangle(178, 218, 64, 64), Ok((0, 0, 178, 218)));
    }
}
