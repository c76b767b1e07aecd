//! Nearest neighbours by brute force, exactly, in O(n) memory.
//!
//! `|x - y|^2 = |x|^2 + |y|^2 - 2 x.y` makes the distances of two blocks one matrix product, but it cancels. So the
//! product is taken in f32, of centred features, and only says which pairs cannot matter: its error is bounded from
//! above (below), and whatever lies within that bound of a decision is decided by the sum of squared differences of the
//! given features in f64. The results are those of that sum for every pair, so they do not depend on blocks or threads,
//! and equal distances compare as equal.

use std::sync::atomic::{AtomicBool, Ordering};

use faer::linalg::matmul::matmul;
use faer::{get_global_parallelism, Accum, MatMut, MatRef};
use rayon::prelude::*;

use crate::rows::{blocks, squared_distance, Rows};
use crate::{Error, Real, Result};

/// Columns of a tile that are scanned together, so that each line of the cache is read once.
const STRIP: usize = 16;

/// What both sets are shifted and scaled by, and how wrong a distance from their product can be.
struct Frame {
    centre: Vec<f64>,
    /// A power of two that brings every value into [-1, 1].
    scale: f64,
    /// The error of a squared distance is at most `relative * (|x|^2 + |y|^2) + absolute`, all in scaled units.
    ///
    /// With u = 2^-24: rounding the values to f32 moves the squared distance by at most 4 u (|x|^2 + |y|^2), and the
    /// product of d terms summed in any order is off by at most d u / (1 - d u) |x| |y| (Higham, "Accuracy and
    /// Stability of Numerical Algorithms", 2002, section 3.1). `absolute` covers what underflows.
    relative: f64,
    absolute: f64,
}

impl Frame {
    fn new<T: Real, U: Real>(x: Rows<'_, T>, y: Rows<'_, U>) -> Self {
        let d = x.d();
        let centre = y.mean();
        let largest = largest(x, &centre).max(largest(y, &centre));
        let exponent = if largest > 0.0 {
            largest.log2().ceil().clamp(-500.0, 500.0) + 1.0
        } else {
            0.0
        };
        Self {
            centre,
            scale: (-exponent).exp2(),
            relative: (d + 16) as f64 * 1.01 * f64::from(f32::EPSILON) / 2.0,
            absolute: (d * d + 16) as f64 * 1e-37,
        }
    }

    fn convert<T: Real>(&self, row: &[T], to: &mut [f32]) {
        for ((t, &v), c) in to.iter_mut().zip(row).zip(&self.centre) {
            *t = ((v.into() - c) * self.scale) as f32;
        }
    }

    fn fill<T: Real>(&self, x: Rows<'_, T>, range: std::ops::Range<usize>, out: &mut Vec<f32>) {
        out.resize(range.len() * x.d(), 0.0);
        out.par_chunks_mut(x.d())
            .enumerate()
            .for_each(|(o, to)| self.convert(x.row(range.start + o), to));
    }

    /// Squared norms of the rows as the products see them.
    fn norms<T: Real>(&self, x: Rows<'_, T>) -> Vec<f64> {
        (0..x.n())
            .into_par_iter()
            .map_init(
                || vec![0.0_f32; x.d()],
                |buffer, i| {
                    self.convert(x.row(i), buffer);
                    buffer.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
                },
            )
            .collect()
    }

    /// Norms less their share of the error: the sum of two, less twice the product, is a lower bound of the distance.
    fn kept(&self, norms: &[f64]) -> Vec<f64> {
        norms.iter().map(|v| v * (1.0 - self.relative)).collect()
    }

    /// A squared distance of the given features in scaled units.
    fn scaled(&self, squared: f64) -> f64 {
        squared * self.scale * self.scale
    }
}

fn largest<T: Real>(x: Rows<'_, T>, centre: &[f64]) -> f64 {
    (0..x.n())
        .into_par_iter()
        .map(|i| {
            let row = x.row(i).iter().zip(centre);
            row.fold(0.0_f64, |m, (&v, c)| m.max((v.into() - c).abs()))
        })
        .reduce(|| 0.0, f64::max)
}

/// `tile` (rows of a, rows of b), row-major: their products.
fn products(a: &[f32], b: &[f32], d: usize, tile: &mut Vec<f32>) {
    let (m, n) = (a.len() / d, b.len() / d);
    tile.resize(m * n, 0.0);
    matmul(
        MatMut::from_row_major_slice_mut(tile, m, n),
        Accum::Replace,
        MatRef::from_row_major_slice(a, m, d),
        MatRef::from_row_major_slice(b, n, d).transpose(),
        1.0,
        get_global_parallelism(),
    );
}

/// Column `c` of each of the next columns, as rows: `buffer` (STRIP, rows) of the tile with `n` columns.
fn strip(tile: &[f32], n: usize, first: usize, width: usize, buffer: &mut Vec<f32>) {
    let m = tile.len() / n;
    buffer.resize(width * m, 0.0);
    for (i, row) in tile.chunks_exact(n).enumerate() {
        for (c, v) in row[first..first + width].iter().enumerate() {
            buffer[c * m + i] = *v;
        }
    }
}

/// For each row of `x` the squared distance to its `k`-th nearest other row (copies of it are others).
pub fn neighbour_radii<T: Real>(x: Rows<'_, T>, k: usize, stop: &AtomicBool) -> Result<Vec<f64>> {
    if k == 0 || x.n() <= k {
        return Err(Error::TooFewNeighbours { n: x.n(), k });
    }
    let d = x.d();
    let frame = Frame::new(x, x);
    let kept = frame.kept(&frame.norms(x));
    let mut best = vec![f64::INFINITY; x.n() * k];
    // The k smallest so far of row i, ascending, against one stretch of others.
    let scan = |i: usize, products: &[f32], first: usize, best: &mut [f64]| {
        let own = kept[i] - frame.absolute;
        let mut limit = frame.scaled(best[k - 1]);
        for (o, (&p, &norm)) in products.iter().zip(&kept[first..]).enumerate() {
            if own + norm - 2.0 * f64::from(p) < limit && first + o != i {
                if best[k - 1] == 0.0 {
                    return;
                }
                let distance = squared_distance(x.row(i), x.row(first + o));
                if distance < best[k - 1] {
                    let at = best.partition_point(|&b| b <= distance);
                    best[at..].rotate_right(1);
                    best[at] = distance;
                    limit = frame.scaled(best[k - 1]);
                }
            }
        }
    };
    let (mut a, mut b, mut tile) = (Vec::new(), Vec::new(), Vec::new());
    let ranges = blocks(x.n());
    // The diagonal first: neighbours in a set are often neighbours in its order, and near limits spare work later.
    for i in &ranges {
        frame.fill(x, i.clone(), &mut a);
        products(&a, &a, d, &mut tile);
        best[i.start * k..i.end * k]
            .par_chunks_mut(k)
            .zip(tile.par_chunks_exact(i.len()))
            .enumerate()
            .for_each(|(o, (best, row))| scan(i.start + o, row, i.start, best));
    }
    for (at, i) in ranges.iter().enumerate() {
        frame.fill(x, i.clone(), &mut a);
        for j in &ranges[at + 1..] {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            frame.fill(x, j.clone(), &mut b);
            products(&a, &b, d, &mut tile);
            best[i.start * k..i.end * k]
                .par_chunks_mut(k)
                .zip(tile.par_chunks_exact(j.len()))
                .enumerate()
                .for_each(|(o, (best, row))| scan(i.start + o, row, j.start, best));
            best[j.start * k..j.end * k]
                .par_chunks_mut(k * STRIP)
                .enumerate()
                .for_each_init(Vec::new, |buffer, (s, best)| {
                    strip(&tile, j.len(), s * STRIP, best.len() / k, buffer);
                    for (c, (best, column)) in best
                        .chunks_exact_mut(k)
                        .zip(buffer.chunks_exact(i.len()))
                        .enumerate()
                    {
                        scan(j.start + s * STRIP + c, column, i.start, best);
                    }
                });
        }
    }
    Ok(best.chunks_exact(k).map(|b| b[k - 1]).collect())
}

/// How two sets lie in each other's balls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balls {
    /// For each point how many balls of the other set it is in.
    pub inside: Vec<u32>,
    /// For each ball how many points of the other set it holds.
    pub holds: Vec<u32>,
}

/// Each row of `x` is a point and the centre of a ball of squared radius `x_radii`; likewise `y`. A point at exactly the
/// radius is inside where the balls are `closed`. Returns what becomes of `x` and of `y`.
pub fn balls<T: Real, U: Real>(
    x: Rows<'_, T>,
    x_radii: &[f64],
    y: Rows<'_, U>,
    y_radii: &[f64],
    closed: bool,
    stop: &AtomicBool,
) -> Result<(Balls, Balls)> {
    same_width(x.d(), y.d())?;
    for (radii, n) in [(x_radii, x.n()), (y_radii, y.n())] {
        if radii.len() != n {
            return Err(Error::Shape {
                what: "radii",
                len: radii.len(),
                rows: n,
                columns: 1,
            });
        }
    }
    let d = x.d();
    let frame = Frame::new(x, y);
    let (x_norms, y_norms) = (frame.norms(x), frame.norms(y));
    let scaled = |radii: &[f64]| radii.iter().map(|&r| frame.scaled(r)).collect::<Vec<_>>();
    let (x_scaled, y_scaled) = (scaled(x_radii), scaled(y_radii));
    let decide = |distance: f64, radius: f64| {
        if closed {
            distance <= radius
        } else {
            distance < radius
        }
    };
    // Whether pair (i, j) is in the ball of x_i, and in that of y_j.
    let test = |i: usize, j: usize, product: f32| -> (bool, bool) {
        let norms = x_norms[i] + y_norms[j];
        let near = norms - 2.0 * f64::from(product);
        let error = norms * frame.relative + frame.absolute;
        let (low, high) = (near - error, near + error);
        let (rx, ry) = (x_scaled[i], y_scaled[j]);
        let doubtful = |r: f64| low <= r && r <= high;
        if doubtful(rx) || doubtful(ry) {
            let distance = squared_distance(x.row(i), y.row(j));
            (decide(distance, x_radii[i]), decide(distance, y_radii[j]))
        } else {
            (high < rx, high < ry)
        }
    };
    let (x_kept, y_kept) = (frame.kept(&x_norms), frame.kept(&y_norms));
    // Nearly all pairs are in neither ball, and this is all there is to say of them.
    let outside = |i: usize, j: usize, product: f32| {
        let low = x_kept[i] + y_kept[j] - 2.0 * f64::from(product) - frame.absolute;
        low > x_scaled[i] && low > y_scaled[j]
    };
    let (nx, ny) = (x.n(), y.n());
    let mut of_x = vec![(0_u32, 0_u32); nx];
    let mut of_y = vec![(0_u32, 0_u32); ny];
    let (mut a, mut b, mut tile) = (Vec::new(), Vec::new(), Vec::new());
    for i in blocks(nx) {
        frame.fill(x, i.clone(), &mut a);
        for j in blocks(ny) {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            frame.fill(y, j.clone(), &mut b);
            products(&a, &b, d, &mut tile);
            of_x[i.clone()]
                .par_iter_mut()
                .zip(tile.par_chunks_exact(j.len()))
                .enumerate()
                .for_each(|(o, (count, row))| {
                    for (c, &p) in row.iter().enumerate() {
                        if outside(i.start + o, j.start + c, p) {
                            continue;
                        }
                        let (in_x, in_y) = test(i.start + o, j.start + c, p);
                        count.0 += u32::from(in_y);
                        count.1 += u32::from(in_x);
                    }
                });
            of_y[j.clone()]
                .par_chunks_mut(STRIP)
                .enumerate()
                .for_each_init(Vec::new, |buffer, (s, counts)| {
                    strip(&tile, j.len(), s * STRIP, counts.len(), buffer);
                    for (c, (count, column)) in counts
                        .iter_mut()
                        .zip(buffer.chunks_exact(i.len()))
                        .enumerate()
                    {
                        for (o, &p) in column.iter().enumerate() {
                            if outside(i.start + o, j.start + s * STRIP + c, p) {
                                continue;
                            }
                            let (in_x, in_y) = test(i.start + o, j.start + s * STRIP + c, p);
                            count.0 += u32::from(in_x);
                            count.1 += u32::from(in_y);
                        }
                    }
                });
        }
    }
    let split = |counts: Vec<(u32, u32)>| {
        let (inside, holds) = counts.into_iter().unzip();
        Balls { inside, holds }
    };
    Ok((split(of_x), split(of_y)))
}

/// For each row of `x` the squared distance to the nearest row of `y`, and that row; of equal ones the first.
pub fn nearest<T: Real, U: Real>(
    x: Rows<'_, T>,
    y: Rows<'_, U>,
    stop: &AtomicBool,
) -> Result<(Vec<f64>, Vec<u64>)> {
    same_width(x.d(), y.d())?;
    if y.n() == 0 {
        return Err(Error::TooFewNeighbours { n: 0, k: 1 });
    }
    let d = x.d();
    let frame = Frame::new(x, y);
    let (x_norms, y_norms) = (frame.norms(x), frame.norms(y));
    let mut best = vec![(f64::INFINITY, 0_u64); x.n()];
    let (mut a, mut b, mut tile) = (Vec::new(), Vec::new(), Vec::new());
    for i in blocks(x.n()) {
        frame.fill(x, i.clone(), &mut a);
        for j in blocks(y.n()) {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            frame.fill(y, j.clone(), &mut b);
            products(&a, &b, d, &mut tile);
            best[i.clone()]
                .par_iter_mut()
                .zip(tile.par_chunks_exact(j.len()))
                .enumerate()
                .for_each(|(o, (best, row))| {
                    let norms = &y_norms[j.clone()];
                    let keep = 1.0 - frame.relative;
                    let own = x_norms[i.start + o] * keep - frame.absolute;
                    let low = |c: usize| own + norms[c] * keep - 2.0 * f64::from(row[c]);
                    let mut offer = |c: usize| {
                        let settled = best.0 == 0.0 && best.1 <= (j.start + c) as u64;
                        if !settled && low(c) <= frame.scaled(best.0) {
                            let found = (
                                squared_distance(x.row(i.start + o), y.row(j.start + c)),
                                (j.start + c) as u64,
                            );
                            if found < *best {
                                *best = found;
                            }
                        }
                    };
                    // What looks nearest goes first, or rows in descending order would all be looked at closely.
                    let guess = (0..row.len()).min_by(|&p, &q| low(p).total_cmp(&low(q)));
                    guess.into_iter().for_each(&mut offer);
                    (0..row.len()).for_each(&mut offer);
                });
        }
    }
    Ok(best.into_iter().unzip())
}

fn same_width(a: usize, b: usize) -> Result<()> {
    if a == b {
        Ok(())
    } else {
        Err(Error::Dimension { a, b })
    }
}
