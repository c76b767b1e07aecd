//! Images made worse, as networks that enlarge photographs are trained with: a row of steps, each a function of numbers
//! that are handed in and of nothing else.
//!
//! Values are float32 levels, 0 to 255, and are rounded where a file is written and at the end alone. Source: Wang et al.
//! 2021 (arXiv:2107.10833), section 3, and its code.

mod filter;
mod grain;
mod kernels;
mod resample;

pub use kernels::{Kernel, Shape};
pub use resample::Mode as ResizeMode;

use crate::encode::jpeg_file;
use crate::formats::jpeg::JpegDecoder;
use crate::formats::Limit;
use crate::noise::scattered;
use crate::{ImageError, Pixels};

/// An image of float32 levels, interleaved.
#[derive(Debug, Clone, PartialEq)]
struct Canvas {
    width: usize,
    height: usize,
    channels: usize,
    data: Vec<f32>,
}

/// Numbers that say a step: which, then its own.
pub const COLUMNS: usize = 7;

/// Names of the steps; a step's number is its place.
///
/// `none`; `blur` by a kernel (shape, side, deviation, other deviation, angle, exponent); `resize` (mode, height, width);
/// `gaussian` noise (deviation in levels, grey or not); `poisson` noise (scale, grey or not); `jpeg` (quality), with halved
/// colour; `sharpen` (weight, threshold in levels).
pub const STEPS: [&str; 7] = [
    "none", "blur", "resize", "gaussian", "poisson", "jpeg", "sharpen",
];

/// One step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Nothing is done.
    None,
    /// Filtered by a kernel.
    Blur(Kernel),
    /// At another size.
    Resize(ResizeMode, usize, usize),
    /// Gaussian noise of a deviation, the same in all channels or not.
    Gaussian(f64, bool),
    /// Poisson noise times a scale, the same in all channels or not.
    Poisson(f64, bool),
    /// Saved as a JPEG of a quality and opened again.
    Jpeg(i32),
    /// Unsharp masking by a weight where it changes more than a threshold.
    Sharpen(f32, f32),
}

/// Pixels of a side that is resized to: anything larger is a mistake.
const LARGEST: f64 = 65536.0;

impl Step {
    /// From its numbers.
    pub fn parse(row: &[f64]) -> Result<Self, ImageError> {
        let wrong = || ImageError::Geometry(format!("{row:?} is no step of a degradation"));
        let &[step, a, b, c, d, e, f] = row else {
            return Err(wrong());
        };
        let place = |value: f64, n: usize| {
            (value >= 0.0 && value.fract() == 0.0 && value < n as f64).then_some(value as usize)
        };
        let size = |value: f64| (1.0..=LARGEST).contains(&value).then_some(value as usize);
        let within = |value: f64| (0.0..=LARGEST).contains(&value).then_some(value);
        let parsed = || {
            Some(match STEPS[place(step, STEPS.len())?] {
                "none" => Self::None,
                "blur" => Self::Blur(Kernel {
                    shape: Shape::NAMES[place(a, Shape::NAMES.len())?].1,
                    side: place(b, kernels::MOST + 1)?,
                    deviations: (c, d),
                    angle: e,
                    exponent: f,
                }),
                "resize" => Self::Resize(
                    ResizeMode::NAMES[place(a, ResizeMode::NAMES.len())?].1,
                    size(b)?,
                    size(c)?,
                ),
                "gaussian" => Self::Gaussian(within(a)?, b != 0.0),
                "poisson" => Self::Poisson(within(a)?, b != 0.0),
                "jpeg" => Self::Jpeg((1.0..=100.0).contains(&a).then_some(a as i32)?),
                _ => Self::Sharpen(within(a)? as f32, within(b)? as f32),
            })
        };
        let step = parsed().ok_or_else(wrong)?;
        if let Self::Blur(kernel) = &step {
            kernel.check()?;
        }
        Ok(step)
    }
}

/// Height and width after some steps.
pub fn size_after(steps: &[Step], height: usize, width: usize) -> (usize, usize) {
    steps.iter().fold((height, width), |size, step| match step {
        Step::Resize(_, height, width) => (*height, *width),
        _ => size,
    })
}

/// Degrades image after image; keeps its memory between them, so make one for each thread.
#[derive(Default)]
pub struct Degrader {
    filter: filter::Memory,
    between: Vec<f32>,
    decoder: JpegDecoder,
}

impl Degrader {
    /// What the steps make of an image of 1 or 3 channels, as levels that are not rounded and may lie outside 0 to 255.
    ///
    /// The random numbers of step `i` are a function of `seed` and `i`.
    pub fn degrade(
        &mut self,
        image: &[u8],
        (height, width, channels): (usize, usize, usize),
        steps: &[Step],
        seed: u64,
    ) -> Result<Vec<f32>, ImageError> {
        if (channels != 1 && channels != 3)
            || image.is_empty()
            || image.len() != height * width * channels
        {
            return Err(ImageError::Geometry(format!(
                "{} bytes are no image {height} x {width} of {channels} channels, 1 or 3",
                image.len()
            )));
        }
        let mut canvas = Canvas {
            width,
            height,
            channels,
            data: image.iter().map(|&v| f32::from(v)).collect(),
        };
        for (i, step) in steps.iter().enumerate() {
            let seed = scattered(seed, i as u64);
            match step {
                Step::None => {}
                Step::Blur(kernel) => self.filter.blur(&mut canvas, kernel),
                Step::Resize(mode, height, width) => {
                    resample::resize(&mut canvas, *height, *width, *mode, &mut self.between);
                }
                Step::Gaussian(sigma, grey) => grain::gaussian(&mut canvas, *sigma, *grey, seed),
                Step::Poisson(scale, grey) => grain::poisson(&mut canvas, *scale, *grey, seed),
                Step::Jpeg(quality) => self.saved(&mut canvas, *quality)?,
                Step::Sharpen(weight, threshold) => {
                    self.filter.sharpen(&mut canvas, *weight, *threshold);
                }
            }
        }
        Ok(canvas.data)
    }

    fn saved(&mut self, canvas: &mut Canvas, quality: i32) -> Result<(), ImageError> {
        let levels = canvas.data.iter().map(|&v| rounded(v)).collect();
        let pixels = Pixels::new(canvas.width, canvas.height, canvas.channels, levels)?;
        let file = jpeg_file(&pixels, quality, true)?;
        let read = self
            .decoder
            .decode(&file, Limit(u64::MAX), |_, _| 1)?
            .pixels;
        debug_assert_eq!(read.channels, canvas.channels);
        for (to, from) in canvas.data.iter_mut().zip(&read.data) {
            *to = f32::from(*from);
        }
        Ok(())
    }
}

/// The nearest level; halves go to the even one, as in torch and NumPy.
pub fn rounded(value: f32) -> u8 {
    value.round_ties_even().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, numbers: &[f64]) -> [f64; COLUMNS] {
        let mut row = [0.0; COLUMNS];
        row[0] = STEPS.iter().position(|s| *s == name).unwrap() as f64;
        row[1..=numbers.len()].copy_from_slice(numbers);
        row
    }

    fn steps() -> Vec<Step> {
        [
            row("sharpen", &[0.5, 10.0]),
            row("blur", &[2.0, 9.0, 1.2, 0.8, 0.3, 1.4]),
            row("resize", &[2.0, 13.0, 17.0]),
            row("gaussian", &[9.0, 0.0]),
            row("jpeg", &[50.0]),
            row("poisson", &[1.0, 1.0]),
            row("none", &[]),
        ]
        .iter()
        .map(|r| Step::parse(r).unwrap())
        .collect()
    }

    #[test]
    fn it_depends_on_its_arguments_alone() {
        let image: Vec<u8> = (0..24 * 20 * 3).map(|i| (i * 31 % 251) as u8).collect();
        let mut degrader = Degrader::default();
        let first = degrader.degrade(&image, (24, 20, 3), &steps(), 5).unwrap();
        assert_eq!(first.len(), 13 * 17 * 3);
        assert_eq!(size_after(&steps(), 24, 20), (13, 17));
        degrader
            .degrade(&image[..300], (10, 10, 3), &steps(), 9)
            .unwrap();
        assert_eq!(
            degrader.degrade(&image, (24, 20, 3), &steps(), 5).unwrap(),
            first
        );
        assert_ne!(
            degrader.degrade(&image, (24, 20, 3), &steps(), 6).unwrap(),
            first
        );
    }

    #[test]
    fn a_small_image_of_grey_works_too() {
        let found = Degrader::default()
            .degrade(&[9], (1, 1, 1), &steps()[..2], 0)
            .unwrap();
        assert!((found[0] - 9.0).abs() < 1e-4);
        assert!(Degrader::default()
            .degrade(&[9, 9], (1, 1, 2), &[], 0)
            .is_err());
        assert!(Degrader::default()
            .degrade(&[9], (1, 2, 1), &[], 0)
            .is_err());
    }

    #[test]
    fn what_is_no_step() {
        for wrong in [
            row("blur", &[4.0, 9.0, 1.0, 1.0, 0.0, 1.0]),
            row("blur", &[0.0, 8.0, 1.0, 1.0, 0.0, 1.0]),
            row("resize", &[0.0, 0.0, 5.0]),
            row("resize", &[3.0, 5.0, 5.0]),
            row("gaussian", &[-1.0, 0.0]),
            row("jpeg", &[0.0]),
            row("jpeg", &[f64::NAN]),
            [7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ] {
            assert!(Step::parse(&wrong).is_err(), "{wrong:?}");
        }
        assert!(Step::parse(&[0.0]).is_err());
    }
}
