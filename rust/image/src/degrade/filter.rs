//! Images filtered by a kernel, mirrored beyond their border without its pixels repeated (PyTorch's `reflect`).

use super::kernels::Kernel;
use super::Canvas;

/// Values whose sums are kept in registers.
const LANES: usize = 64;

/// The memory of a filter, kept from image to image.
#[derive(Default)]
pub(super) struct Memory {
    padded: Vec<f32>,
    between: Vec<f32>,
}

/// Where place `i`, which may lie outside, is looked up among `n`.
fn reflected(i: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let at = i.rem_euclid(period);
    at.min(period - at) as usize
}

/// Terms that are added to a sum between its loads and stores.
const GROUP: usize = 8;

/// Sums of weighted values: `out[y][x] = Σ weight rows[y * stride + x + offset]`, term after term in the order of `terms`.
fn sums(rows: &[f32], stride: usize, terms: &[(usize, f32)], length: usize, out: &mut [f32]) {
    for (y, to) in out.chunks_exact_mut(length).enumerate() {
        for (piece, to) in to.chunks_mut(LANES).enumerate() {
            let mut sum = [0f32; LANES];
            let from = &rows[y * stride + piece * LANES..];
            let mut groups = terms.chunks_exact(GROUP);
            for group in &mut groups {
                let values: [&[f32; LANES]; GROUP] =
                    std::array::from_fn(|i| lanes(from, group[i].0));
                for (lane, sum) in sum.iter_mut().enumerate() {
                    let mut found = *sum;
                    for i in 0..GROUP {
                        found += group[i].1 * values[i][lane];
                    }
                    *sum = found;
                }
            }
            for &(offset, weight) in groups.remainder() {
                for (sum, value) in sum.iter_mut().zip(lanes(from, offset)) {
                    *sum += weight * value;
                }
            }
            to.copy_from_slice(&sum[..to.len()]);
        }
    }
}

#[inline(always)]
fn lanes(values: &[f32], at: usize) -> &[f32; LANES] {
    values[at..at + LANES].try_into().expect("as many")
}

dispatch!(filtered, filtered_avx2, filtered_avx512, sums, (rows: &[f32], stride: usize, terms: &[(usize, f32)], length: usize, out: &mut [f32]));

impl Memory {
    /// Rows of `image` with `half` more of them above and below, and `half` pixels more at both ends of each; behind
    /// each row there is room for `LANES` values. Returns the length of such a row.
    fn pad(&mut self, image: &Canvas, half_rows: usize, half: usize) -> usize {
        let Canvas {
            width,
            height,
            channels,
            ref data,
        } = *image;
        let stride = (width + 2 * half) * channels + LANES;
        self.padded.clear();
        self.padded.resize((height + 2 * half_rows) * stride, 0.0);
        for (y, to) in self.padded.chunks_exact_mut(stride).enumerate() {
            let from = reflected(y as isize - half_rows as isize, height) * width * channels;
            let from = &data[from..][..width * channels];
            to[half * channels..][..from.len()].copy_from_slice(from);
            for i in 0..half {
                for (at, source) in [
                    (i, i as isize - half as isize),
                    (half + width + i, (width + i) as isize),
                ] {
                    let source = reflected(source, width) * channels;
                    to[at * channels..][..channels].copy_from_slice(&from[source..][..channels]);
                }
            }
        }
        stride
    }

    /// Filters an image by a line of weights along both axes.
    pub(super) fn separable(&mut self, image: &mut Canvas, line: &[f64]) {
        let (c, length, half) = (image.channels, image.width * image.channels, line.len() / 2);
        let terms = |step: usize| -> Vec<_> {
            let each = line.iter().enumerate();
            each.map(|(i, &w)| (i * step, w as f32)).collect()
        };
        let stride = self.pad(image, half, 0);
        let between = &mut self.between;
        between.resize(image.data.len(), 0.0);
        filtered(&self.padded, stride, &terms(stride), length, between);
        image.data.copy_from_slice(between);
        let stride = self.pad(image, 0, half);
        filtered(&self.padded, stride, &terms(c), length, &mut image.data);
    }

    /// Filters an image by a kernel.
    pub(super) fn blur(&mut self, image: &mut Canvas, kernel: &Kernel) {
        if let Some(line) = kernel.line() {
            return self.separable(image, &line);
        }
        let (c, length, side) = (image.channels, image.width * image.channels, kernel.side);
        let stride = self.pad(image, side / 2, side / 2);
        let weights = kernel.weights().into_iter().enumerate();
        let terms: Vec<_> = weights
            .map(|(i, w)| (i / side * stride + i % side * c, w as f32))
            .filter(|&(_, w)| w != 0.0)
            .collect();
        filtered(&self.padded, stride, &terms, length, &mut image.data);
    }

    /// Unsharp masking where it changes much, and softly between: with B the image blurred by a Gaussian of side 51 and
    /// deviation 8 (OpenCV's for that side), R = I - B, M the mask |R| > threshold blurred likewise, and S = I + weight R
    /// within 0 to 255: M S + (1 - M) I. Source: arXiv:2107.10833, section 3.4 and its code (`USMSharp`).
    pub(super) fn sharpen(&mut self, image: &mut Canvas, weight: f32, threshold: f32) {
        let line = super::kernels::gaussian(SHARPEN_SIDE, SHARPEN_DEVIATION);
        let mut blurred = image.clone();
        self.separable(&mut blurred, &line);
        let mut mask = blurred.clone();
        for (mask, value) in mask.data.iter_mut().zip(&image.data) {
            *mask = f32::from((value - *mask).abs() > threshold);
        }
        self.separable(&mut mask, &line);
        let beside = blurred.data.iter().zip(&mask.data);
        for (value, (blurred, mask)) in image.data.iter_mut().zip(beside) {
            let sharp = (*value + weight * (*value - blurred)).clamp(0.0, 255.0);
            *value = mask * sharp + (1.0 - mask) * *value;
        }
    }
}

/// Side and deviation of the Gaussian of unsharp masking: 0.3 ((side - 1) / 2 - 1) + 0.8.
const SHARPEN_SIDE: usize = 51;
const SHARPEN_DEVIATION: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::super::kernels::Shape;
    use super::*;

    fn image(width: usize, height: usize, channels: usize) -> Canvas {
        let data = (0..width * height * channels)
            .map(|i| ((i * 37 + i * i % 101) % 256) as f32)
            .collect();
        Canvas {
            width,
            height,
            channels,
            data,
        }
    }

    fn by_hand(image: &Canvas, kernel: &Kernel) -> Vec<f64> {
        let (weights, half) = (kernel.weights(), (kernel.side / 2) as isize);
        let mut out = Vec::new();
        for y in 0..image.height as isize {
            for x in 0..image.width as isize {
                for c in 0..image.channels {
                    let mut sum = 0.0;
                    for dy in -half..=half {
                        for dx in -half..=half {
                            let from = reflected(y + dy, image.height) * image.width
                                + reflected(x + dx, image.width);
                            let weight =
                                weights[((dy + half) * (2 * half + 1) + dx + half) as usize];
                            sum += weight * f64::from(image.data[from * image.channels + c]);
                        }
                    }
                    out.push(sum);
                }
            }
        }
        out
    }

    #[test]
    fn it_is_the_definition_at_any_size() {
        for (width, height, channels) in [(40, 9, 3), (1, 5, 1), (3, 2, 3), (70, 3, 1)] {
            for (shape, angle) in [
                (Shape::Gaussian, 0.0),
                (Shape::Gaussian, 0.4),
                (Shape::Sinc, 0.0),
            ] {
                let second = if angle == 0.0 { 1.5 } else { 0.6 };
                let kernel = Kernel {
                    shape,
                    side: 7,
                    deviations: (1.5, second),
                    angle,
                    exponent: 1.0,
                };
                let mut found = image(width, height, channels);
                let expected = by_hand(&found, &kernel);
                Memory::default().blur(&mut found, &kernel);
                for (found, expected) in found.data.iter().zip(&expected) {
                    assert!(
                        (f64::from(*found) - expected).abs() < 1e-3,
                        "{found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_mirror_does_not_repeat_the_border() {
        let found: Vec<_> = (-4..7).map(|i| reflected(i, 3)).collect();
        assert_eq!(found, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(reflected(-9, 1), 0);
    }

    #[test]
    fn a_plane_stays_and_an_edge_gets_sharper() {
        let mut plane = image(30, 20, 1);
        plane.data.fill(77.0);
        Memory::default().sharpen(&mut plane, 0.5, 10.0);
        assert!(plane.data.iter().all(|v| (v - 77.0).abs() < 1e-3));
        let mut step = image(60, 4, 1);
        for (i, value) in step.data.iter_mut().enumerate() {
            *value = if i % 60 < 30 { 80.0 } else { 160.0 };
        }
        Memory::default().sharpen(&mut step, 0.5, 10.0);
        assert!(step.data[29] < 70.0 && step.data[30] > 170.0);
        assert!((step.data[0] - 80.0).abs() < 2.0);
    }
}
