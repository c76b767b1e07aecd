//! Features to numbers: streamed moments, the Frechet distance, kernels, neighbours. No Python.
//!
//! Matrices cross this crate's border as row-major slices, so a caller needs no linear algebra library of its own.
//! All sums are in f64, whatever the features are.

mod error;
mod frechet;
mod kernels;
mod moments;
mod neighbours;
mod rows;

pub use error::{Error, Result};
pub use frechet::{
    frechet_features, frechet_features_moments, frechet_moments, Features, Frechet, Gaussian, Route,
};
pub use kernels::{kernel_cross_sums, kernel_self_sums, Kernel, SelfSums};
pub use moments::Moments;
pub use neighbours::{balls, nearest, neighbour_radii, Balls};
pub use rows::Rows;

/// What features may be stored as; every one of them is exact in f64.
pub trait Real: Copy + Send + Sync + Into<f64> {}
impl Real for f32 {}
impl Real for f64 {}

/// The mean of the rows of `x` (n, d), and `x` minus it.
///
/// Sums are taken relative to the first row: with a large common offset the differences are exact, so neither the
/// mean nor the centred rows lose what a plain sum would.
pub(crate) fn centre<T: Real>(x: &[T], n: usize, d: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    if d == 0 || Some(x.len()) != n.checked_mul(d) {
        return Err(Error::Shape {
            what: "features",
            len: x.len(),
            rows: n,
            columns: d,
        });
    }
    let mut centred: Vec<f64> = x.iter().map(|&v| v.into()).collect();
    // Row by row without an early end, which the compiler turns into wide instructions.
    let wrong = |row: &[f64]| row.iter().fold(false, |bad, v| bad | !v.is_finite());
    if let Some(row) = centred.chunks_exact(d).position(wrong) {
        let values = &centred[row * d..(row + 1) * d];
        let column = values.iter().position(|v| !v.is_finite()).unwrap_or(0);
        return Err(Error::NonFinite {
            what: "features",
            row,
            column,
        });
    }
    if n == 0 {
        return Ok((vec![0.0; d], centred));
    }
    let first = centred[..d].to_vec();
    let mut offset = vec![0.0; d];
    for row in centred.chunks_exact(d) {
        for ((o, v), f) in offset.iter_mut().zip(row).zip(&first) {
            *o += v - f;
        }
    }
    offset.iter_mut().for_each(|o| *o /= n as f64);
    for row in centred.chunks_exact_mut(d) {
        for ((v, f), o) in row.iter_mut().zip(&first).zip(&offset) {
            *v = (*v - f) - o;
        }
    }
    let mean = first.iter().zip(&offset).map(|(f, o)| f + o).collect();
    Ok((mean, centred))
}
