//! Where a prepared image lies on the image that it was made of.

use crate::{Crop, ImageError, PixelPolicy};

/// The size after one halving by [`Crop::Dhariwal`]; None where the shorter side is less than twice `target`.
pub(crate) fn halved((width, height): (usize, usize), target: usize) -> Option<(usize, usize)> {
    (width.min(height) >= 2 * target).then_some((width / 2, height / 2))
}

impl PixelPolicy {
    /// Left, top, width and height of what a prepared image shows, in the coordinates of an upright image of this size.
    ///
    /// The point (x, y) of the image is at ((x - left) * self.width / width, (y - top) * self.height / height) of the
    /// result. With a background around the picture the rectangle reaches beyond the image. The crops that are given for
    /// each image have none (an error).
    pub fn shown(&self, width: usize, height: usize) -> Result<[f64; 4], ImageError> {
        let target = (self.width, self.height);
        let mut size = (width, height);
        if self.crop == Crop::Dhariwal {
            while let Some(half) = halved(size, self.width) {
                size = half;
            }
        }
        let placement = self.crop.placement(size.0, size.1, target, self.band)?;
        // Along each axis: the part, what it is resized to, where the window into that begins, where that is put, and how
        // far the halvings shrank the image.
        let axis = |start: usize,
                    part: usize,
                    resized: usize,
                    window: usize,
                    at: usize,
                    side: usize,
                    shrunk: f64| {
            let scale = part as f64 / resized as f64;
            let from = start as f64 + (window as f64 - at as f64) * scale;
            (from * shrunk, side as f64 * scale * shrunk)
        };
        let (part, window) = (placement.part, placement.window);
        let shrunk = [width as f64 / size.0 as f64, height as f64 / size.1 as f64];
        let (left, across) = axis(
            part.x,
            part.width,
            placement.size.0,
            window.x,
            placement.at.0,
            self.width,
            shrunk[0],
        );
        let (top, down) = axis(
            part.y,
            part.height,
            placement.size.1,
            window.y,
            placement.at.1,
            self.height,
            shrunk[1],
        );
        Ok([left, top, across, down])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AlphaPolicy, DecodeOptions, Effect, Filter, Half, OrientationPolicy, Pixels, Preparer,
        SixteenBit,
    };

    fn policy(crop: Crop, width: usize, height: usize) -> PixelPolicy {
        PixelPolicy {
            width,
            height,
            crop,
            band: height / 2,
            background: [0; 3],
            fast: false,
            half: Half::Whole,
            effect: Effect::None,
            filter: Filter::Bilinear,
            decode: DecodeOptions {
                sixteen_bit: SixteenBit::Full,
                channels: 1,
                alpha: AlphaPolicy::Error,
                orientation: OrientationPolicy::Apply,
                max_pixels: 1 << 20,
            },
        }
    }

    #[test]
    fn a_spot_of_the_image_is_found_where_the_rectangle_says() {
        // (crop, result, image, middle of a spot)
        for (crop, target, size, spot) in [
            (Crop::None, (32, 32), (90, 60), (30.0, 40.0)),
            (Crop::Center, (32, 32), (90, 60), (40.0, 20.0)),
            (Crop::Center, (48, 32), (60, 90), (22.0, 45.0)),
            (Crop::Pad, (48, 48), (120, 60), (80.0, 30.0)),
            (Crop::Pad, (48, 48), (60, 120), (20.0, 90.0)),
            (Crop::CenterWide, (48, 48), (120, 90), (80.0, 50.0)),
            (Crop::Dhariwal, (24, 24), (131, 103), (70.0, 40.0)),
            (Crop::Celeba(108), (54, 54), (178, 218), (70.0, 120.0)),
        ] {
            let policy = policy(crop, target.0, target.1);
            let (cx, cy): (f64, f64) = spot;
            let mut data = vec![0; size.0 * size.1];
            for (i, value) in data.iter_mut().enumerate() {
                let (dx, dy) = (
                    (i % size.0) as f64 + 0.5 - cx,
                    (i / size.0) as f64 + 0.5 - cy,
                );
                *value = (255.0 * (-(dx * dx + dy * dy) / 40.0).exp()) as u8;
            }
            let image = Pixels::new(size.0, size.1, 1, data).unwrap();
            let mut out = vec![0; policy.image_len()];
            Preparer::default()
                .raw(image, &policy, None, &mut out)
                .unwrap();
            let mut sums = [0.0; 3];
            for (i, &value) in out.iter().enumerate() {
                let at = ((i % target.0) as f64 + 0.5, (i / target.0) as f64 + 0.5);
                let v = f64::from(value);
                sums = [sums[0] + v, sums[1] + v * at.0, sums[2] + v * at.1];
            }
            let [left, top, width, height] = policy.shown(size.0, size.1).unwrap();
            let x = (cx - left) * target.0 as f64 / width;
            let y = (cy - top) * target.1 as f64 / height;
            let found = (sums[1] / sums[0], sums[2] / sums[0]);
            assert!(
                (found.0 - x).abs() < 0.3 && (found.1 - y).abs() < 0.3,
                "{crop:?}: {found:?} {x} {y}"
            );
        }
    }

    #[test]
    fn crops_of_each_image_have_no_rectangle() {
        assert!(policy(Crop::Box, 8, 8).shown(10, 10).is_err());
        assert!(policy(Crop::Landmarks, 8, 8).shown(10, 10).is_err());
        assert!(policy(Crop::Celeba(108), 8, 8).shown(10, 10).is_err());
    }
}
