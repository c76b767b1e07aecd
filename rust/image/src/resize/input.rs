//! An image of any size to a network's input: cropped or squeezed to a square and resized by a named rule, as float32.

use super::fixed::{Filter, Weights};
pub use super::part::Square;
use super::pillow::{Geometry, Resizer};
use super::weighted;
use super::{lerp, tf1, torch};
use crate::{ImageError, Pixels};

named! {
    /// A resize rule, exact against the tool it is named after.
    pub enum Rule {
        /// TensorFlow 1's bilinear resize: no half-pixel centres, no antialiasing.
        Tf1Bilinear => "tf1-bilinear",
        /// PyTorch's bilinear resize: half-pixel centres, no antialiasing.
        TorchBilinear => "torch-bilinear",
        /// The same with `antialias=True`.
        TorchBilinearAntialias => "torch-bilinear-antialias",
        /// Pillow's resize of each channel as float32 (mode `F`), clipped to 0..255 and not rounded.
        PillowFloat(Filter) =>
            "pillow-bicubic-float"(Filter::Bicubic)
            | "pillow-bilinear-float"(Filter::Bilinear),
        /// Pillow's resize of the 8-bit image, rounded to whole levels.
        Pillow(Filter) =>
            "pillow-bicubic"(Filter::Bicubic)
            | "pillow-bilinear"(Filter::Bilinear)
            | "pillow-lanczos"(Filter::Lanczos),
    }
}

/// How an image becomes a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Input {
    /// The resize.
    pub rule: Rule,
    /// Side of the result.
    pub size: usize,
    /// What becomes of images that are not square.
    pub square: Square,
}

/// What decides the weights.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    rule: Rule,
    from: (usize, usize),
    size: usize,
}

/// The weights of both axes.
enum Table {
    Lerp(lerp::Lerps, lerp::Lerps),
    Torch(Weights<f32>, Weights<f32>),
    Pillow(Weights<f64>, Weights<f64>),
}

/// Tables kept: sets mostly have one size of image, and a folder of mixed sizes must not fill the memory.
const KEPT_TABLES: usize = 8;

/// Resizes image after image; keeps the weights of the last few sizes and the memory between the passes.
#[derive(Default)]
pub struct InputResizer {
    tables: Vec<(Key, Table)>,
    memory: weighted::Memory,
    bytes: Vec<u8>,
    resizer: Resizer,
}

impl InputResizer {
    /// Makes `out` (`size * size * 3`, HWC, 0..255) of an image of 1 or 3 channels; grey becomes three equal ones.
    pub fn resize(
        &mut self,
        image: &Pixels,
        input: &Input,
        out: &mut [f32],
    ) -> Result<(), ImageError> {
        let area = input.size * input.size;
        if area == 0 || out.len() != area * 3 {
            return Err(ImageError::Geometry(format!(
                "{} values are not a {size}x{size} image of 3 channels",
                out.len(),
                size = input.size
            )));
        }
        match image.channels {
            3 => self.channels(image, input, out),
            1 => {
                // Repeating after resizing is the same as before it, at a third of the work.
                self.channels(image, input, &mut out[..area])?;
                for i in (0..area).rev() {
                    let value = out[i];
                    out[3 * i..3 * i + 3].fill(value);
                }
                Ok(())
            }
            n => Err(ImageError::Geometry(format!(
                "an image of {n} channels; 1 and 3 are known here"
            ))),
        }
    }

    /// As `resize`, with as many channels as the image has.
    fn channels(
        &mut self,
        image: &Pixels,
        input: &Input,
        out: &mut [f32],
    ) -> Result<(), ImageError> {
        let part = input.square.part(image);
        if let Rule::Pillow(filter) = input.rule {
            let geometry = Geometry::whole(part, (input.size, input.size));
            self.bytes.resize(out.len(), 0);
            self.resizer
                .resize(image, &geometry, filter, &mut self.bytes)?;
            for (value, &byte) in out.iter_mut().zip(&self.bytes) {
                *value = f32::from(byte);
            }
            return Ok(());
        }
        let key = Key {
            rule: input.rule,
            from: (part.width, part.height),
            size: input.size,
        };
        match Self::table(&mut self.tables, key) {
            Table::Lerp(x, y) => lerp::resize(image, &part, x, y, out),
            Table::Torch(x, y) => weighted::torch(&mut self.memory, image, &part, x, y, out),
            Table::Pillow(x, y) => weighted::pillow(&mut self.memory, image, &part, x, y, out),
        }
        Ok(())
    }

    fn table(kept: &mut Vec<(Key, Table)>, key: Key) -> &Table {
        if let Some(at) = kept.iter().position(|t| t.0 == key) {
            // Most recently used last.
            let table = kept.remove(at);
            kept.push(table);
        } else {
            if kept.len() == KEPT_TABLES {
                kept.remove(0);
            }
            let ((w, h), size) = (key.from, key.size);
            let table = match key.rule {
                Rule::Tf1Bilinear => Table::Lerp(tf1::axis(w, size), tf1::axis(h, size)),
                Rule::TorchBilinear => Table::Lerp(torch::axis(w, size), torch::axis(h, size)),
                Rule::TorchBilinearAntialias => {
                    Table::Torch(torch::antialiased(w, size), torch::antialiased(h, size))
                }
                Rule::PillowFloat(filter) | Rule::Pillow(filter) => Table::Pillow(
                    Weights::pillow(w, size, filter),
                    Weights::pillow(h, size, filter),
                ),
            };
            kept.push((key, table));
        }
        &kept[kept.len() - 1].1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resized(image: &Pixels, rule: Rule, size: usize, square: Square) -> Vec<f32> {
        let mut out = vec![0.0; size * size * 3];
        let input = Input { rule, size, square };
        InputResizer::default()
            .resize(image, &input, &mut out)
            .unwrap();
        out
    }

    fn grey(width: usize, height: usize, data: &[u8]) -> Pixels {
        Pixels::new(width, height, 1, data.to_vec()).unwrap()
    }

    fn first_channel(image: &Pixels, rule: Rule, size: usize) -> Vec<f32> {
        let all = resized(image, rule, size, Square::Squeeze);
        all.chunks_exact(3).map(|p| p[0]).collect()
    }

    #[test]
    fn tf1_keeps_samples_and_puts_midpoints_between_without_half_pixel_centres() {
        let image = grey(2, 1, &[10, 20]);
        let row = &first_channel(&image, Rule::Tf1Bilinear, 4)[..4];
        assert_eq!(row, [10.0, 15.0, 20.0, 20.0]);
    }

    #[test]
    fn tf1_shrinks_by_taking_samples() {
        let image = grey(1, 4, &[1, 200, 3, 100]);
        assert_eq!(
            first_channel(&image, Rule::Tf1Bilinear, 2),
            [1.0, 1.0, 3.0, 3.0]
        );
    }

    #[test]
    fn torch_has_half_pixel_centres() {
        let image = grey(2, 1, &[10, 20]);
        let row = &first_channel(&image, Rule::TorchBilinear, 4)[..4];
        assert_eq!(row, [10.0, 12.5, 17.5, 20.0]);
    }

    #[test]
    fn antialiasing_is_a_triangle_over_twice_the_scale() {
        let image = grey(4, 1, &[0, 80, 160, 240]);
        // Weights 3, 3, 1 and 1, 3, 3 eighths over the pixels that exist, the sum of them 7.
        let row = &first_channel(&image, Rule::TorchBilinearAntialias, 2)[..2];
        let expected = [
            (3.0 * 80.0 + 160.0) / 7.0,
            (80.0 + 3.0 * 160.0 + 3.0 * 240.0) / 7.0,
        ];
        for (a, b) in row.iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{a} is not {b}");
        }
    }

    #[test]
    fn the_centre_square_loses_an_odd_pixel_at_the_far_side() {
        let image = grey(6, 3, &(0..18).collect::<Vec<_>>());
        let same = resized(&image, Rule::Tf1Bilinear, 3, Square::Center);
        let firsts: Vec<_> = same.iter().step_by(3).copied().collect();
        assert_eq!(firsts, [1.0, 2.0, 3.0, 7.0, 8.0, 9.0, 13.0, 14.0, 15.0]);
    }

    #[test]
    fn other_channels_and_lengths_are_refused() {
        let image = Pixels::new(2, 2, 4, vec![0; 16]).unwrap();
        let input = Input {
            rule: Rule::TorchBilinear,
            size: 2,
            square: Square::Squeeze,
        };
        let mut resizer = InputResizer::default();
        assert!(resizer.resize(&image, &input, &mut [0.0; 12]).is_err());
        let image = Pixels::new(2, 2, 3, vec![0; 12]).unwrap();
        assert!(resizer.resize(&image, &input, &mut [0.0; 11]).is_err());
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        prop::sample::select(Rule::NAMES.map(|(_, rule)| rule).to_vec())
    }

    proptest! {
        #[test]
        fn the_same_size_is_the_identity(
            side in 1usize..20, rule in any_rule(), seed in any::<u8>()
        ) {
            let data: Vec<u8> = (0..side * side * 3).map(|i| (i * 37 + seed as usize) as u8).collect();
            let image = Pixels::new(side, side, 3, data.clone()).unwrap();
            let out = resized(&image, rule, side, Square::Squeeze);
            prop_assert_eq!(out, data.iter().map(|&v| f32::from(v)).collect::<Vec<_>>());
        }

        #[test]
        fn one_colour_stays_and_nothing_leaves_the_range(
            w in 1usize..60, h in 1usize..60, size in 1usize..70, rule in any_rule(), level in any::<u8>()
        ) {
            let flat = grey(w, h, &vec![level; w * h]);
            for value in resized(&flat, rule, size, Square::Squeeze) {
                prop_assert!((value - f32::from(level)).abs() < 1e-4, "{} from {}", value, level);
            }
            let hard = grey(w, h, &(0..w * h).map(|i| if i % 3 == 0 { 255 } else { 0 }).collect::<Vec<_>>());
            for value in resized(&hard, rule, size, Square::Squeeze) {
                prop_assert!((0.0..=255.001).contains(&value));
            }
        }

        #[test]
        fn the_centre_square_is_the_crop_resized(
            w in 1usize..40, h in 1usize..40, size in 1usize..50, rule in any_rule(), c in prop::sample::select(vec![1usize, 3])
        ) {
            let data: Vec<u8> = (0..w * h * c).map(|i| (i * i * 31 + i * 7) as u8).collect();
            let image = Pixels::new(w, h, c, data).unwrap();
            let part = Square::Center.part(&image);
            let cropped: Vec<u8> = (0..part.height).flat_map(|y| image.row(&part, y).to_vec()).collect();
            let crop = Pixels::new(part.width, part.height, c, cropped).unwrap();
            prop_assert_eq!(resized(&image, rule, size, Square::Center), resized(&crop, rule, size, Square::Squeeze));
        }

        #[test]
        fn a_resizer_that_has_seen_other_images_gives_the_same(
            sizes in prop::collection::vec((1usize..30, 1usize..30, 1usize..30, any_rule()), 1..12)
        ) {
            let mut used = InputResizer::default();
            for (w, h, size, rule) in sizes {
                let image = grey(w, h, &(0..w * h).map(|i| (i * 83) as u8).collect::<Vec<_>>());
                let mut out = vec![0.0; size * size * 3];
                let input = Input { rule, size, square: Square::Squeeze };
                used.resize(&image, &input, &mut out).unwrap();
                prop_assert_eq!(out, resized(&image, rule, size, Square::Squeeze));
            }
        }
    }
}
