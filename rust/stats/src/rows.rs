//! Features as they were given, and the pieces that blocked sums over pairs of them share.

use rayon::prelude::*;

use crate::{Error, Real, Result};

/// Rows to a tile's side: the products of two blocks (in f32 16 MiB) stay in the last cache.
pub(crate) const BLOCK: usize = 2048;
/// Above this a squared distance or a product of two features could leave double precision.
const LARGEST: f64 = 1e140;

/// Checked features: n rows of width d, row-major, finite and small enough to be squared.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    values: &'a [T],
    n: usize,
    d: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    /// `what` names them in an error.
    pub fn new(what: &'static str, values: &'a [T], n: usize, d: usize) -> Result<Self> {
        if d == 0 || Some(values.len()) != n.checked_mul(d) {
            return Err(Error::Shape {
                what,
                len: values.len(),
                rows: n,
                columns: d,
            });
        }
        let wrong = values
            .par_chunks(d)
            .position_first(|row| row.iter().any(|&v| !v.into().is_finite()));
        if let Some(row) = wrong {
            let column = values[row * d..(row + 1) * d]
                .iter()
                .position(|&v| !v.into().is_finite())
                .unwrap_or(0);
            return Err(Error::NonFinite { what, row, column });
        }
        if values.par_iter().any(|&v| v.into().abs() > LARGEST) {
            return Err(Error::Overflow { what });
        }
        Ok(Self { values, n, d })
    }

    pub fn n(&self) -> usize {
        self.n
    }

    pub fn d(&self) -> usize {
        self.d
    }

    pub(crate) fn row(&self, i: usize) -> &'a [T] {
        &self.values[i * self.d..(i + 1) * self.d]
    }

    /// The mean of the rows; zeros where there are none.
    pub(crate) fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.d];
        for row in self.values.chunks_exact(self.d) {
            for (m, &v) in mean.iter_mut().zip(row) {
                *m += v.into() / self.n as f64;
            }
        }
        mean
    }
}

/// The ranges of at most `BLOCK` rows that make up `n`.
pub(crate) fn blocks(n: usize) -> Vec<std::ops::Range<usize>> {
    (0..n)
        .step_by(BLOCK)
        .map(|at| at..(at + BLOCK).min(n))
        .collect()
}

/// |x - y|^2 from the differences themselves. The order of the sum is fixed and (x, y) gives the very bits of (y, x), so
/// equal pairs are equal whatever block or thread they are met in.
pub(crate) fn squared_distance<T: Real, U: Real>(x: &[T], y: &[U]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0_f64; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = xs
        .remainder()
        .iter()
        .zip(ys.remainder())
        .map(|(&a, &b)| {
            let d: f64 = a.into() - b.into();
            d * d
        })
        .sum();
    for (a, b) in xs.zip(ys) {
        for ((s, &p), &q) in sums.iter_mut().zip(a).zip(b) {
            let d: f64 = p.into() - q.into();
            *s += d * d;
        }
    }
    sums.iter().sum::<f64>() + rest
}
