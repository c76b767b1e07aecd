//! Sums of a kernel over all pairs of two sets of features, which is all that the maximum mean discrepancy needs
//! (Gretton et al., "A kernel two-sample test", JMLR 13, 2012, equations 3 and 5).
//!
//! The kernel matrix is made tile by tile and never held: memory is O(n). What is kept is the sum of each row, because
//! leaving a sample out is then a subtraction.

use std::sync::atomic::{AtomicBool, Ordering};

use faer::linalg::matmul::matmul;
use faer::{get_global_parallelism, Accum, MatMut, MatRef};
use rayon::prelude::*;

use crate::rows::{blocks, Rows};
use crate::{Error, Real, Result};

/// k(x, y).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// (gamma x.y + coef)^degree
    Polynomial { gamma: f64, coef: f64, degree: u32 },
    /// exp(-|x - y|^2 / (2 sigma^2))
    Gaussian { sigma: f64 },
}

/// The sums of the rows of a kernel matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfSums {
    /// For each i the sum of k(x_i, x_j) over j != i.
    pub others: Vec<f64>,
    /// k(x_i, x_i).
    pub diagonal: Vec<f64>,
}

/// A set of features as the tiles use it: f64 blocks, and what the kernel adds to their products.
struct Prepared<'a, T> {
    rows: Rows<'a, T>,
    centre: Option<Vec<f64>>,
    norms: Vec<f64>,
}

impl<'a, T: Real> Prepared<'a, T> {
    /// A Gaussian depends on differences only, so a common offset, which would cost digits, is taken away.
    fn new(rows: Rows<'a, T>, kernel: Kernel, centre: &[f64]) -> Self {
        match kernel {
            Kernel::Polynomial { .. } => Self {
                rows,
                centre: None,
                norms: vec![0.0; rows.n()],
            },
            Kernel::Gaussian { .. } => Self {
                rows,
                centre: Some(centre.to_vec()),
                norms: (0..rows.n())
                    .into_par_iter()
                    .map(|i| {
                        let row = rows.row(i).iter().zip(centre);
                        row.map(|(&v, c)| (v.into() - c).powi(2)).sum()
                    })
                    .collect(),
            },
        }
    }

    fn fill(&self, range: std::ops::Range<usize>, out: &mut Vec<f64>) {
        let d = self.rows.d();
        out.resize(range.len() * d, 0.0);
        out.par_chunks_mut(d).enumerate().for_each(|(o, to)| {
            let row = self.rows.row(range.start + o);
            match &self.centre {
                None => to.iter_mut().zip(row).for_each(|(t, &v)| *t = v.into()),
                Some(c) => {
                    for ((t, &v), c) in to.iter_mut().zip(row).zip(c) {
                        *t = v.into() - c;
                    }
                }
            }
        });
    }
}

/// Rows as `Prepared` fills them in, and the norm of each.
type Block<'a> = (&'a [f64], &'a [f64]);

/// For each row of `x` the sum of the kernel with all other rows, and with itself.
pub fn kernel_self_sums<T: Real>(
    x: Rows<'_, T>,
    kernel: Kernel,
    stop: &AtomicBool,
) -> Result<SelfSums> {
    let p = Prepared::new(x, kernel, &x.mean());
    let mut sums = SelfSums {
        others: vec![0.0; x.n()],
        diagonal: vec![0.0; x.n()],
    };
    let (mut a, mut b, mut tile) = (Vec::new(), Vec::new(), Vec::new());
    let ranges = blocks(x.n());
    for (at, i) in ranges.iter().enumerate() {
        p.fill(i.clone(), &mut a);
        let block = (&a[..], &p.norms[i.clone()]);
        evaluate(block, block, kernel, &mut tile);
        for (o, row) in tile.chunks_exact(i.len()).enumerate() {
            sums.diagonal[i.start + o] = row[o];
        }
        let rows: Vec<f64> = tile
            .par_chunks_exact(i.len())
            .enumerate()
            .map(|(o, row)| row[..o].iter().sum::<f64>() + row[o + 1..].iter().sum::<f64>())
            .collect();
        add(&mut sums.others[i.clone()], &rows);
        // The matrix is symmetric: the tiles above the diagonal serve the rows below it as well.
        for j in &ranges[at + 1..] {
            p.fill(j.clone(), &mut b);
            let other = (&b[..], &p.norms[j.clone()]);
            let (rows, columns) = tile_sums(block, other, kernel, &mut tile, stop)?;
            add(&mut sums.others[i.clone()], &rows);
            add(&mut sums.others[j.clone()], &columns);
        }
    }
    finite(&sums.others)?;
    Ok(sums)
}

/// For each row of `x` the sum of the kernel with all rows of `y`, and for each row of `y` with all of `x`.
pub fn kernel_cross_sums<T: Real, U: Real>(
    x: Rows<'_, T>,
    y: Rows<'_, U>,
    kernel: Kernel,
    stop: &AtomicBool,
) -> Result<(Vec<f64>, Vec<f64>)> {
    if x.d() != y.d() {
        let (a, b) = (x.d(), y.d());
        return Err(Error::Dimension { a, b });
    }
    let centre = y.mean();
    let (p, q) = (
        Prepared::new(x, kernel, &centre),
        Prepared::new(y, kernel, &centre),
    );
    let (mut of_x, mut of_y) = (vec![0.0; x.n()], vec![0.0; y.n()]);
    let (mut a, mut b, mut tile) = (Vec::new(), Vec::new(), Vec::new());
    for i in blocks(x.n()) {
        p.fill(i.clone(), &mut a);
        let block = (&a[..], &p.norms[i.clone()]);
        for j in blocks(y.n()) {
            q.fill(j.clone(), &mut b);
            let other = (&b[..], &q.norms[j.clone()]);
            let (rows, columns) = tile_sums(block, other, kernel, &mut tile, stop)?;
            add(&mut of_x[i.clone()], &rows);
            add(&mut of_y[j.clone()], &columns);
        }
    }
    finite(&of_x)?;
    Ok((of_x, of_y))
}

/// The sums of the rows and of the columns of the tile of `a` and `b`.
fn tile_sums(
    a: Block<'_>,
    b: Block<'_>,
    kernel: Kernel,
    tile: &mut Vec<f64>,
    stop: &AtomicBool,
) -> Result<(Vec<f64>, Vec<f64>)> {
    if stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    evaluate(a, b, kernel, tile);
    Ok(margins(tile, b.1.len()))
}

/// `tile` (rows of a, rows of b), row-major: the kernel of each pair.
fn evaluate((a, norms_a): Block<'_>, (b, norms_b): Block<'_>, kernel: Kernel, tile: &mut Vec<f64>) {
    let (m, n) = (norms_a.len(), norms_b.len());
    let d = a.len() / m;
    tile.resize(m * n, 0.0);
    let gamma = match kernel {
        Kernel::Polynomial { gamma, .. } => gamma,
        Kernel::Gaussian { .. } => 1.0,
    };
    matmul(
        MatMut::from_row_major_slice_mut(tile, m, n),
        Accum::Replace,
        MatRef::from_row_major_slice(a, m, d),
        MatRef::from_row_major_slice(b, n, d).transpose(),
        gamma,
        get_global_parallelism(),
    );
    let rows = tile.par_chunks_exact_mut(n).zip(norms_a);
    match kernel {
        // The usual kernel, without a call in its loop.
        Kernel::Polynomial {
            coef, degree: 3, ..
        } => rows.for_each(|(row, _)| {
            for v in row {
                let u = *v + coef;
                *v = u * u * u;
            }
        }),
        Kernel::Polynomial { coef, degree, .. } => rows.for_each(|(row, _)| {
            for v in row {
                *v = (*v + coef).powi(degree as i32);
            }
        }),
        Kernel::Gaussian { sigma } => {
            let scale = -0.5 / (sigma * sigma);
            rows.for_each(|(row, na)| {
                for (v, nb) in row.iter_mut().zip(norms_b) {
                    *v = (scale * (na + nb - 2.0 * *v).max(0.0)).exp();
                }
            });
        }
    }
}

/// The sums of the rows and of the columns of a row-major tile with `n` columns.
fn margins(tile: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = tile
        .par_chunks_exact(n)
        .map(|row| row.iter().sum())
        .collect();
    let mut columns = vec![0.0; n];
    columns
        .par_chunks_mut(64)
        .enumerate()
        .for_each(|(c, sums)| {
            for row in tile.chunks_exact(n) {
                add(sums, &row[c * 64..c * 64 + sums.len()]);
            }
        });
    (rows, columns)
}

fn add(to: &mut [f64], values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(t, v)| *t += v);
}

fn finite(sums: &[f64]) -> Result<()> {
    if sums.iter().all(|v| v.is_finite()) {
        Ok(())
    } else {
        Err(Error::Overflow {
            what: "kernel of the features",
        })
    }
}
