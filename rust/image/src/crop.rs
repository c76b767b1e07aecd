//! Which part of an image is kept and where it goes, by name.

use crate::{ImageError, Rect};

named! {
    /// A crop rule.
    pub enum Crop {
        /// The largest centred part with the target's aspect ratio, offsets rounded down.
        ///
        /// For a square target this is the crop of StyleGAN's `dataset_tool.py --transform=center-crop`.
        Center => "center",
        /// The whole image; its aspect ratio changes when the target's differs.
        None => "none",
        /// The band of `dataset_tool.py --transform=center-crop-wide --resolution=WxH`: a W x H picture in the middle of
        /// a black W x W square.
        ///
        /// As that tool does, of a w x h image the full width and the middle `round(W * h / w)` *source* rows are kept.
        /// That is as many rows as the image would have if it were W wide, so an image wider than W is stretched.
        CenterWide => "center-wide",
        /// The crop of ADM (Dhariwal and Nichol, `center_crop_arr`) and EDM2 (`center-crop-dhariwal`): halved by BOX
        /// while its shorter side is at least twice the target's, resized by BICUBIC until that side is the target's,
        /// then the middle. The filters belong to the rule.
        Dhariwal => "dhariwal",
        /// The middle N x N of an aligned CelebA image, which is 178 x 218, offsets rounded down.
        Celeba(usize) =>
            "celeba-108"(108)
            | "celeba-128"(128)
            | "celeba-140"(140)
            | "celeba-148"(148)
            | "celeba-178"(178),
        /// The whole image, as large as fits, in the middle of a background: Pillow's `ImageOps.pad`.
        Pad => "pad",
        /// A square given for each image.
        Box => "box",
        /// A quadrilateral given for each image, straightened.
        Landmarks => "landmarks",
        /// A square given for each image, whose side is a whole multiple of the target's: of the whole image made
        /// smaller by that factor, the part that shows the square.
        Tile => "tile",
    }
}

/// The size of CelebA's aligned images.
const CELEBA: (usize, usize) = (178, 218);

/// Where the pixels of a result come from: `part` of the image is resized to `size`, and what `window` shows of that is
/// put at `at` of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// What of the image.
    pub part: Rect,
    /// Width and height that the part is resized to.
    pub size: (usize, usize),
    /// What of the resized part.
    pub window: Rect,
    /// x and y in the result.
    pub at: (usize, usize),
}

impl Placement {
    /// The whole of the resized part, at `at`.
    fn whole(part: Rect, size: (usize, usize), at: (usize, usize)) -> Self {
        Self {
            part,
            size,
            window: Rect::from_size(size.0, size.1),
            at,
        }
    }
}

impl Crop {
    /// What becomes of a `width` x `height` image when the result is `target`; `band` is the height of
    /// [`Crop::CenterWide`]'s picture.
    ///
    /// For [`Crop::Dhariwal`] the image is the one that has been halved already. The crops that are given for each image
    /// have none (an error): [`crate::Region`] is where they are.
    pub fn placement(
        self,
        width: usize,
        height: usize,
        target: (usize, usize),
        band: usize,
    ) -> Result<Placement, ImageError> {
        if width == 0 || height == 0 || target.0 == 0 || target.1 == 0 {
            return Err(ImageError::Geometry("an image or target of size 0".into()));
        }
        let everything = Rect::from_size(width, height);
        let middle = |w: usize, h: usize| Rect {
            x: (width - w) / 2,
            y: (height - h) / 2,
            width: w,
            height: h,
        };
        Ok(match self {
            Self::None => Placement::whole(everything, target, (0, 0)),
            Self::Center => {
                let (w, h) = if width * target.1 > height * target.0 {
                    ((height * target.0 / target.1).max(1), height)
                } else {
                    (width, (width * target.1 / target.0).max(1))
                };
                Placement::whole(middle(w, h), target, (0, 0))
            }
            Self::CenterWide => {
                let rows = target.0 as f64 * height as f64 / width as f64;
                let rows = rows.round_ties_even() as usize; // as numpy.round
                if width < target.0 || rows < band || band == 0 || band > target.1 {
                    return Err(ImageError::Geometry(format!(
                        "{width}x{height} is too small or too wide for a picture of {}x{band}",
                        target.0
                    )));
                }
                Placement::whole(
                    middle(width, rows),
                    (target.0, band),
                    (0, (target.1 - band) / 2),
                )
            }
            Self::Dhariwal => {
                let scale = target.0 as f64 / width.min(height) as f64;
                let size = [width, height].map(|n| (n as f64 * scale).round_ties_even() as usize);
                let [x, y] = [size[0] - target.0, size[1] - target.1].map(|n| n / 2);
                Placement {
                    part: everything,
                    size: (size[0], size[1]),
                    window: Rect {
                        x,
                        y,
                        width: target.0,
                        height: target.1,
                    },
                    at: (0, 0),
                }
            }
            Self::Celeba(side) => {
                if (width, height) != CELEBA {
                    return Err(ImageError::Geometry(format!(
                        "{width}x{height} is no aligned CelebA image, which is {}x{}",
                        CELEBA.0, CELEBA.1
                    )));
                }
                Placement::whole(middle(side, side), target, (0, 0))
            }
            Self::Box | Self::Landmarks | Self::Tile => {
                return Err(ImageError::Geometry("its place is not given".into()));
            }
            Self::Pad => {
                let (w, h) = (width as f64, height as f64);
                let round = |n: f64| n.round_ties_even() as usize; // as Python's round
                let size = if w / h > target.0 as f64 / target.1 as f64 {
                    let fitting = round(h / w * target.0 as f64);
                    (target.0, fitting.clamp(1, target.1))
                } else {
                    let fitting = round(w / h * target.1 as f64);
                    (fitting.clamp(1, target.0), target.1)
                };
                let middle = |outer: usize, inner: usize| round((outer - inner) as f64 * 0.5);
                let at = (middle(target.0, size.0), middle(target.1, size.1));
                Placement::whole(everything, size, at)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(crop: Crop, image: (usize, usize), target: (usize, usize)) -> [usize; 4] {
        let placement = crop.placement(image.0, image.1, target, 0).unwrap();
        assert_eq!((placement.size, placement.at), (target, (0, 0)));
        let Rect {
            x,
            y,
            width,
            height,
        } = placement.part;
        [x, y, width, height]
    }

    #[test]
    fn center_of_celeba_is_the_middle_square() {
        let square = (64, 64);
        assert_eq!(part(Crop::Center, (178, 218), square), [0, 20, 178, 178]);
        assert_eq!(part(Crop::Center, (218, 178), square), [20, 0, 178, 178]);
        assert_eq!(part(Crop::Center, (5, 8), (4, 4)), [0, 1, 5, 5]);
    }

    #[test]
    fn center_keeps_the_aspect_ratio_of_the_target() {
        assert_eq!(part(Crop::Center, (300, 100), (64, 32)), [50, 0, 200, 100]);
        assert_eq!(part(Crop::Center, (1, 1000), (64, 32)), [0, 499, 1, 1]);
    }

    #[test]
    fn none_keeps_everything() {
        assert_eq!(part(Crop::None, (178, 218), (64, 64)), [0, 0, 178, 218]);
    }

    #[test]
    fn celeba_boxes_are_those_of_the_published_code() {
        for (side, x, y) in [
            (108, 35, 55),
            (128, 25, 45),
            (140, 19, 39),
            (148, 15, 35),
            (178, 0, 20),
        ] {
            let crop = Crop::Celeba(side);
            assert_eq!(part(crop, (178, 218), (64, 64)), [x, y, side, side]);
            assert!(crop.placement(218, 178, (64, 64), 0).is_err());
        }
    }

    #[test]
    fn every_rule_stays_inside_the_image_and_the_target_or_refuses() {
        for (name, crop) in Crop::NAMES {
            for (w, h) in [(1, 1), (1, 5000), (5000, 1), (178, 218), (64, 64), (999, 7)] {
                for side in [1, 2, 63, 64] {
                    for band in [1, side / 2, side] {
                        let Ok(p) = crop.placement(w, h, (side, side), band) else {
                            assert!(
                                matches!(
                                    crop,
                                    Crop::CenterWide
                                        | Crop::Celeba(_)
                                        | Crop::Box
                                        | Crop::Tile
                                        | Crop::Landmarks
                                ),
                                "{name}"
                            );
                            continue;
                        };
                        assert!(p.part.is_inside(w, h), "{name}");
                        assert!(p.window.is_inside(p.size.0, p.size.1), "{name}");
                        assert!(
                            p.at.0 + p.window.width <= side && p.at.1 + p.window.height <= side
                        );
                        assert!([p.part, p.window]
                            .iter()
                            .all(|r| r.width > 0 && r.height > 0));
                    }
                }
            }
        }
    }
}
