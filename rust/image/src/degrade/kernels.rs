//! Blur kernels of odd sides, each summing up to 1.

use crate::ImageError;

named! {
    /// Shapes of a kernel; x and y are a place's column and row, counted from the middle, and
    /// q = (x, y) Σ⁻¹ (x, y)ᵀ with the deviations of two axes and their angle in Σ.
    pub enum Shape {
        /// exp(-q / 2).
        Gaussian => "gaussian",
        /// exp(-q^β / 2): β below 1 has long tails, above 1 a flat top. Source: arXiv:2107.10833, section 3.1.
        Generalised => "generalised",
        /// 1 / (1 + q^β). Source: as above.
        Plateau => "plateau",
        /// ω J₁(ω r) / (2 π r), the ideal low-pass of cut-off ω, which rings: ω²/4π in the middle. Source: as above,
        /// section 3.3, equation 6.
        Sinc => "sinc",
    }
}

/// What a kernel is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernel {
    /// Its shape.
    pub shape: Shape,
    /// Rows and columns, odd.
    pub side: usize,
    /// Deviations in pixels along the two axes; of a sinc the first is its cut-off in radians a pixel.
    pub deviations: (f64, f64),
    /// Radians by which the first axis is turned from the columns' towards the rows'.
    pub angle: f64,
    /// The exponent β.
    pub exponent: f64,
}

/// The largest side.
pub const MOST: usize = 101;

impl Kernel {
    /// Checks its numbers.
    pub fn check(&self) -> Result<(), ImageError> {
        let (first, second) = self.deviations;
        let fine = self.side % 2 == 1
            && self.side <= MOST
            && first.is_finite()
            && first > 0.0
            && second.is_finite()
            && second > 0.0
            && self.angle.is_finite()
            && self.exponent.is_finite()
            && self.exponent > 0.0;
        if fine {
            return Ok(());
        }
        Err(ImageError::Geometry(format!(
            "{self:?}: a kernel has an odd side up to {MOST}, and positive deviations and exponent"
        )))
    }

    /// Its weights along one axis where it is their product, which is the same at a fraction of the work.
    pub(super) fn line(&self) -> Option<Vec<f64>> {
        (self.shape == Shape::Gaussian && self.deviations.0 == self.deviations.1)
            .then(|| gaussian(self.side, self.deviations.0))
    }

    /// Its weights, row by row.
    pub fn weights(&self) -> Vec<f64> {
        let half = (self.side / 2) as i64;
        let (first, second) = self.deviations;
        let (sin, cos) = self.angle.sin_cos();
        let (u, v) = (1.0 / (first * first), 1.0 / (second * second));
        let (xx, xy, yy) = (
            cos * cos * u + sin * sin * v,
            sin * cos * (u - v),
            sin * sin * u + cos * cos * v,
        );
        // A sinc depends on the distance alone, whose square is whole.
        let mut known = vec![None; (2 * half * half + 1) as usize];
        let mut value = |x: i64, y: i64| {
            let (dx, dy) = (x as f64, y as f64);
            let q = xx * dx * dx + 2.0 * xy * dx * dy + yy * dy * dy;
            match self.shape {
                Shape::Gaussian => (-0.5 * q).exp(),
                Shape::Generalised => (-0.5 * q.powf(self.exponent)).exp(),
                Shape::Plateau => 1.0 / (1.0 + q.powf(self.exponent)),
                Shape::Sinc => {
                    let square = (x * x + y * y) as usize;
                    *known[square].get_or_insert_with(|| low_pass(first, (square as f64).sqrt()))
                }
            }
        };
        let mut weights: Vec<f64> = (-half..=half)
            .flat_map(|y| (-half..=half).map(move |x| (x, y)))
            .map(|(x, y)| value(x, y))
            .collect();
        normalise(&mut weights);
        weights
    }
}

/// A line of Gauss's weights.
pub(super) fn gaussian(side: usize, deviation: f64) -> Vec<f64> {
    let half = (side / 2) as f64;
    let mut line: Vec<f64> = (0..side)
        .map(|i| {
            let at = (i as f64 - half) / deviation;
            (-0.5 * at * at).exp()
        })
        .collect();
    normalise(&mut line);
    line
}

fn normalise(weights: &mut [f64]) {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
}

fn low_pass(cutoff: f64, distance: f64) -> f64 {
    use std::f64::consts::PI;
    if distance == 0.0 {
        cutoff * cutoff / (4.0 * PI)
    } else {
        cutoff * bessel_j1(cutoff * distance) / (2.0 * PI * distance)
    }
}

/// J₁(x) = 1/π ∫ cos(t - x sin t) dt over 0..π (DLMF 10.9.2), by the rule of rectangles over a whole period, which is
/// exact but for J of an order of the number of points, smaller than any rounding where that is well above x.
fn bessel_j1(x: f64) -> f64 {
    use std::f64::consts::PI;
    let points = 48 + 2 * x.abs().ceil() as usize;
    // The integrand at t and at -t is the same: half of the points, in the middles of their intervals.
    let sum: f64 = (0..points)
        .map(|i| {
            let t = PI * (i as f64 + 0.5) / points as f64;
            (t - x * t.sin()).cos()
        })
        .sum();
    sum / points as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(
        shape: Shape,
        side: usize,
        deviations: (f64, f64),
        angle: f64,
        exponent: f64,
    ) -> Kernel {
        Kernel {
            shape,
            side,
            deviations,
            angle,
            exponent,
        }
    }

    #[test]
    fn j1_is_that_of_the_tables() {
        // Abramowitz and Stegun, table 9.1.
        for (x, value) in [
            (0.0, 0.0),
            (1.0, 0.440_050_585_7),
            (2.0, 0.576_724_807_8),
            (5.0, -0.327_579_137_6),
            (10.0, 0.043_472_746_2),
        ] {
            assert!((bessel_j1(x) - value).abs() < 1e-10, "{x}");
        }
    }

    #[test]
    fn they_sum_up_to_one_and_look_the_same_from_the_other_side() {
        for shape in Shape::NAMES.map(|(_, shape)| shape) {
            let weights = kernel(shape, 21, (2.5, 0.7), 0.6, 1.5).weights();
            assert_eq!(weights.len(), 441);
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for i in 0..441 {
                assert!((weights[i] - weights[440 - i]).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn an_equal_gaussian_is_the_product_of_its_lines() {
        let round = kernel(Shape::Gaussian, 9, (1.3, 1.3), 0.0, 1.0);
        let (line, weights) = (round.line().unwrap(), round.weights());
        for y in 0..9 {
            for x in 0..9 {
                assert!((weights[9 * y + x] - line[y] * line[x]).abs() < 1e-15);
            }
        }
        assert!(kernel(Shape::Gaussian, 9, (1.3, 1.2), 0.0, 1.0)
            .line()
            .is_none());
        assert!(kernel(Shape::Plateau, 9, (1.3, 1.3), 0.0, 1.0)
            .line()
            .is_none());
    }

    #[test]
    fn the_angle_turns_the_long_axis() {
        let flat = kernel(Shape::Gaussian, 5, (2.0, 0.5), 0.0, 1.0).weights();
        assert!(flat[10] > flat[2], "long along the columns");
        let turned = kernel(
            Shape::Gaussian,
            5,
            (2.0, 0.5),
            std::f64::consts::FRAC_PI_2,
            1.0,
        )
        .weights();
        assert!(turned[2] > turned[10]);
    }

    #[test]
    fn what_is_no_kernel() {
        for wrong in [
            kernel(Shape::Gaussian, 4, (1.0, 1.0), 0.0, 1.0),
            kernel(Shape::Gaussian, 103, (1.0, 1.0), 0.0, 1.0),
            kernel(Shape::Gaussian, 3, (0.0, 1.0), 0.0, 1.0),
            kernel(Shape::Plateau, 3, (1.0, 1.0), 0.0, -1.0),
            kernel(Shape::Sinc, 3, (f64::NAN, 1.0), 0.0, 1.0),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
