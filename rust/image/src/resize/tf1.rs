//! Bilinear resize as TensorFlow 1's `resize_bilinear(align_corners=False)`: the resize of the original FID.
//!
//! `source = target * (in / out)` without half-pixel centres and without antialiasing; float32 throughout, the result is
//! not rounded. Bit-equal with torch-fidelity's CPU path.

use crate::{ImageError, Pixels};

/// For one axis: the lower and upper source index and the weight of the upper one, for each target index.
fn axis(input: usize, output: usize) -> Vec<(usize, usize, f32)> {
    // The scale is rounded to float32 before it is multiplied, as TensorFlow does.
    let scale = (input as f64 / output as f64) as f32;
    (0..output)
        .map(|target| {
            let source = target as f32 * scale;
            // Rounding can carry the product to the input's size.
            let low = (source as usize).min(input - 1);
            (low, (low + 1).min(input - 1), source - low as f32)
        })
        .collect()
}

/// Resizes `image` to `height` x `width`, values 0..255 as float32, HWC, into `out`.
pub fn resize(
    image: &Pixels,
    width: usize,
    height: usize,
    out: &mut [f32],
) -> Result<(), ImageError> {
    let c = image.channels;
    if width == 0 || height == 0 || out.len() != width * height * c {
        return Err(ImageError::Geometry(format!(
            "{} values are not a {width}x{height} image of {c} channels",
            out.len()
        )));
    }
    let columns = axis(image.width, width);
    let stride = image.width * c;
    // Rows interpolated along x, computed once for each source row and kept while two target rows need them.
    let mut low_row = vec![0f32; width * c];
    let mut high_row = vec![0f32; width * c];
    let mut held = (usize::MAX, usize::MAX);
    let fill = |row: usize, to: &mut [f32]| {
        let source = &image.data[row * stride..(row + 1) * stride];
        for (pixel, &(low, high, weight)) in to.chunks_exact_mut(c).zip(&columns) {
            let (low, high) = (&source[low * c..][..c], &source[high * c..][..c]);
            for ((value, &a), &b) in pixel.iter_mut().zip(low).zip(high) {
                let (a, b) = (f32::from(a), f32::from(b));
                *value = a + (b - a) * weight;
            }
        }
    };
    for (target, (low, high, weight)) in out
        .chunks_exact_mut(width * c)
        .zip(axis(image.height, height))
    {
        if held.0 != low {
            if held.1 == low {
                std::mem::swap(&mut low_row, &mut high_row);
            } else {
                fill(low, &mut low_row);
            }
            held = (low, usize::MAX);
        }
        if held.1 != high {
            fill(high, &mut high_row);
            held.1 = high;
        }
        for ((value, &a), &b) in target.iter_mut().zip(&low_row).zip(&high_row) {
            *value = a + (b - a) * weight;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_size_is_the_identity() {
        let data: Vec<u8> = (0..5 * 4 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let image = Pixels::new(5, 4, 3, data.clone()).unwrap();
        let mut out = vec![0.0; data.len()];
        resize(&image, 5, 4, &mut out).unwrap();
        assert_eq!(out, data.iter().map(|&v| f32::from(v)).collect::<Vec<_>>());
    }

    #[test]
    fn doubling_keeps_samples_and_puts_midpoints_between_without_half_pixel_centres() {
        let image = Pixels::new(2, 1, 1, vec![10, 20]).unwrap();
        let mut out = vec![0.0; 4];
        resize(&image, 4, 1, &mut out).unwrap();
        assert_eq!(out, [10.0, 15.0, 20.0, 20.0]);
    }

    #[test]
    fn shrinking_takes_samples_without_antialiasing() {
        let image = Pixels::new(1, 4, 1, vec![1, 200, 3, 100]).unwrap();
        let mut out = vec![0.0; 2];
        resize(&image, 1, 2, &mut out).unwrap();
        assert_eq!(out, [1.0, 3.0]);
    }
}
