//! Noise of degraded images: Gauss's and Poisson's, of each value or of each pixel.

use super::Canvas;
use crate::noise::{normal, scattered};

/// torchvision's weights of red, green and blue in grey.
const GREY: [f32; 3] = [0.2989, 0.587, 0.114];

/// Adds Gaussian noise of deviation `sigma` levels, within 0 to 255; the same in all channels where `grey`.
pub(super) fn gaussian(image: &mut Canvas, sigma: f64, grey: bool, seed: u64) {
    let each = if grey { image.channels } else { 1 };
    for (i, values) in image.data.chunks_exact_mut(each).enumerate() {
        let noise = (sigma * normal(seed, i as u64)) as f32;
        for value in values {
            *value = (*value + noise).clamp(0.0, 255.0);
        }
    }
}

/// Adds `scale` times the difference between an image and what a sensor counts of it, within 0 to 255.
///
/// With x the image rounded to levels, in [0, 1], and v the smallest power of two that is not below the number of
/// different levels in it, the noise is P(v x) / v - x, P a number of Poisson's distribution; where `grey`, x is the grey
/// image and the noise the same in all channels. Source: the code of arXiv:2107.10833 (`generate_poisson_noise_pt`).
pub(super) fn poisson(image: &mut Canvas, scale: f64, grey: bool, seed: u64) {
    let c = image.channels;
    let each = if grey { c } else { 1 };
    let level = |values: &[f32]| {
        let value = match values {
            [r, g, b] => GREY[0] * r + GREY[1] * g + GREY[2] * b,
            _ => values[0],
        };
        value.round_ties_even().clamp(0.0, 255.0) as u8
    };
    let levels: Vec<u8> = image.data.chunks_exact(each).map(level).collect();
    let mut seen = [false; 256];
    levels.iter().for_each(|&l| seen[usize::from(l)] = true);
    let counts = seen.iter().filter(|&&s| s).count().next_power_of_two() as f64;
    let tables: Vec<Option<Table>> = (0..256)
        .map(|l| seen[l].then(|| Table::of(l as f64 / 255.0 * counts)))
        .collect();
    let beside = levels.iter().zip(image.data.chunks_exact_mut(each));
    for (i, (&l, values)) in beside.enumerate() {
        let table = tables[usize::from(l)].as_ref().expect("it was seen");
        let uniform = (scattered(seed, i as u64) >> 11) as f64 / (1u64 << 53) as f64;
        let counted = table.number(uniform) as f64 / counts * 255.0;
        let noise = (scale * (counted - f64::from(l))) as f32;
        for value in values {
            *value = (*value + noise).clamp(0.0, 255.0);
        }
    }
}

/// Poisson's distribution of one mean: its numbers from `first` on, with the probability of each and all before.
///
/// By additions, multiplications and divisions alone, so that every machine has the same numbers.
struct Table {
    first: usize,
    sums: Vec<f64>,
    /// Where a number is looked for first, by the leading bits of what decides it.
    starts: [u16; STARTS],
}

const STARTS: usize = 32;
/// Probabilities below this part of the largest are left out.
const LEAST: f64 = 1e-17;

impl Table {
    fn of(mean: f64) -> Self {
        let mode = mean.floor() as usize;
        let mut below = Vec::new();
        let (mut p, mut k) = (1.0, mode);
        while k > 0 {
            p *= k as f64 / mean;
            k -= 1;
            if p < LEAST {
                k += 1;
                break;
            }
            below.push(p);
        }
        let first = k;
        let mut sums: Vec<f64> = below.into_iter().rev().collect();
        (p, k) = (1.0, mode);
        while p >= LEAST {
            sums.push(p);
            k += 1;
            p *= mean / k as f64;
        }
        let mut sum = 0.0;
        for value in &mut sums {
            sum += *value;
            *value = sum;
        }
        sums.iter_mut().for_each(|value| *value /= sum);
        let starts = std::array::from_fn(|i| {
            sums.partition_point(|&s| s <= i as f64 / STARTS as f64) as u16
        });
        Self {
            first,
            sums,
            starts,
        }
    }

    /// The number that a uniform one in [0, 1) stands for.
    fn number(&self, uniform: f64) -> usize {
        let start = usize::from(self.starts[(uniform * STARTS as f64) as usize]);
        let more = self.sums[start..]
            .iter()
            .take_while(|&&s| s <= uniform)
            .count();
        self.first + (start + more).min(self.sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(value: f32, n: usize) -> Canvas {
        Canvas {
            width: n,
            height: 1,
            channels: 3,
            data: vec![value; 3 * n],
        }
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        (mean, square / values.len() as f64)
    }

    #[test]
    fn a_table_has_poissons_probabilities() {
        for mean in [0.3, 1.0, 7.5, 40.0, 256.0] {
            let table = Table::of(mean);
            let mut before = 0.0;
            for (i, sum) in table.sums.iter().enumerate() {
                let k = table.first + i;
                // e^-m m^k / k! by logarithms.
                let log = -mean + k as f64 * f64::ln(mean)
                    - (1..=k).map(|j| (j as f64).ln()).sum::<f64>();
                assert!((sum - before - log.exp()).abs() < 1e-12, "{mean} {k}");
                before = *sum;
            }
            for u in [0.0, 0.03125, 0.5, 0.97, 0.999_999_999] {
                let k = table.number(u) - table.first;
                assert!(table.sums[k] > u && (k == 0 || table.sums[k - 1] <= u));
            }
            assert_eq!(
                table.number(1.0 - 1e-16),
                table.first
                    + table
                        .sums
                        .partition_point(|&s| s <= 1.0 - 1e-16)
                        .min(table.sums.len() - 1)
            );
        }
        assert_eq!(Table::of(0.0).number(0.7), 0);
    }

    #[test]
    fn counted_levels_have_poissons_moments() {
        // A plane has one level, so v = 1 and x v = 0.4: noise of mean 0 and variance 0.4, times 255² in levels.
        let n = 40_000;
        let mut image = plane(102.0, n);
        poisson(&mut image, 0.1, false, 3);
        let noise: Vec<f64> = image
            .data
            .iter()
            .map(|v| f64::from(*v) / 255.0 - 0.4)
            .collect();
        let (mean, variance) = moments(&noise);
        assert!(mean.abs() < 1e-3, "{mean}");
        assert!((variance - 0.01 * 0.4).abs() < 1e-4, "{variance}");
        poisson(&mut image, 0.0, false, 3);
        let mut grey = plane(102.0, 500);
        poisson(&mut grey, 0.1, true, 3);
        assert!(grey.data.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
        assert!(grey.data.iter().any(|&v| v != 102.0));
    }

    #[test]
    fn gauss_in_grey_is_the_same_in_all_channels() {
        let mut grey = plane(128.0, 30_000);
        gaussian(&mut grey, 12.0, true, 5);
        assert!(grey.data.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
        let values: Vec<f64> = grey.data.iter().step_by(3).map(|&v| f64::from(v)).collect();
        let (mean, variance) = moments(&values);
        assert!((mean - 128.0).abs() < 0.3 && (variance.sqrt() - 12.0).abs() < 0.2);
        let mut colour = plane(128.0, 1000);
        gaussian(&mut colour, 12.0, false, 5);
        assert!(colour.data.chunks(3).any(|p| p[0] != p[1]));
        let mut black = plane(0.0, 1000);
        gaussian(&mut black, 12.0, false, 5);
        assert!(black.data.iter().all(|&v| v >= 0.0) && black.data.iter().any(|&v| v > 5.0));
    }
}
