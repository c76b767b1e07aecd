use faer::linalg::matmul::triangular::{matmul, BlockStructure};
use faer::{get_global_parallelism, Accum, Mat, MatRef};

use crate::{centre, Error, Real, Result};

/// Count, mean and centred second moment of rows that arrive in batches.
///
/// `m2 = sum_i (x_i - mean)(x_i - mean)^T`, kept centred at all times: raw sums of x x^T lose every digit when the mean
/// is large against the spread. Batches and shards are joined by the pairwise update of Chan, Golub and LeVeque,
/// "Updating formulae and a pairwise algorithm for computing sample variances" (1979):
/// `m2 = m2_a + m2_b + (mean_b - mean_a)(mean_b - mean_a)^T n_a n_b / (n_a + n_b)`.
#[derive(Debug, Clone)]
pub struct Moments {
    n: u64,
    mean: Vec<f64>,
    // Only the lower triangle is kept up to date.
    m2: Mat<f64>,
}

impl Moments {
    /// Nothing seen yet, for rows of width `d`.
    pub fn new(d: usize) -> Result<Self> {
        if d == 0 {
            return Err(Error::Shape {
                what: "moments",
                len: 0,
                rows: 0,
                columns: 0,
            });
        }
        Ok(Self {
            n: 0,
            mean: vec![0.0; d],
            m2: Mat::zeros(d, d),
        })
    }

    /// From what `n`, `mean` and `m2` (row-major, d x d) gave.
    pub fn from_state(n: u64, mean: &[f64], m2: &[f64]) -> Result<Self> {
        let d = mean.len();
        if d == 0 || m2.len() != d * d {
            return Err(Error::Shape {
                what: "second moment",
                len: m2.len(),
                rows: d,
                columns: d,
            });
        }
        for (what, values) in [("mean", mean), ("second moment", m2)] {
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                let (row, column) = (at / d, at % d);
                return Err(Error::NonFinite { what, row, column });
            }
        }
        Ok(Self {
            n,
            mean: mean.to_vec(),
            m2: MatRef::from_row_major_slice(m2, d, d).to_owned(),
        })
    }

    /// Rows seen.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Width of a row.
    pub fn d(&self) -> usize {
        self.mean.len()
    }

    /// Mean of the rows; zeros when there are none.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Adds `n` rows, row-major.
    pub fn update<T: Real>(&mut self, x: &[T], n: usize) -> Result<()> {
        let d = self.d();
        let (mean, mut rows) = centre(x, n, d)?;
        if n == 0 {
            return Ok(());
        }
        // The rank-one term of the merge rides along as one more row, so a batch is a single product.
        rows.extend(self.merge_mean(n as u64, &mean));
        let b = MatRef::from_row_major_slice(&rows, n + 1, d);
        let whole = BlockStructure::Rectangular;
        matmul(
            self.m2.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Add,
            b.transpose(),
            whole,
            b,
            whole,
            1.0,
            get_global_parallelism(),
        );
        Ok(())
    }

    /// Adds all that `other` has seen. The order of merges changes the result by rounding only.
    pub fn merge(&mut self, other: &Moments) -> Result<()> {
        let d = self.d();
        if other.d() != d {
            return Err(Error::Dimension { a: d, b: other.d() });
        }
        if other.n == 0 {
            return Ok(());
        }
        let u = self.merge_mean(other.n, &other.mean);
        for j in 0..d {
            for i in j..d {
                self.m2[(i, j)] += other.m2[(i, j)] + u[i] * u[j];
            }
        }
        Ok(())
    }

    /// The covariance with divisor n - 1, row-major, d x d, symmetric.
    pub fn covariance(&self) -> Result<Vec<f64>> {
        if self.n < 2 {
            return Err(Error::TooFew { n: self.n });
        }
        let divisor = (self.n - 1) as f64;
        Ok(self.full(|v| v / divisor))
    }

    /// The centred second moment, row-major, d x d, symmetric: with `n` and `mean` all there is to save.
    pub fn m2(&self) -> Vec<f64> {
        self.full(|v| v)
    }

    fn full(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let d = self.d();
        let mut out = vec![0.0; d * d];
        for j in 0..d {
            for i in j..d {
                let v = f(self.m2[(i, j)]);
                out[i * d + j] = v;
                out[j * d + i] = v;
            }
        }
        out
    }

    /// Takes `n` rows with mean `mean` into count and mean; gives u with u u^T the rank-one term of the merge.
    fn merge_mean(&mut self, n: u64, mean: &[f64]) -> Vec<f64> {
        let (na, nb) = (self.n as f64, n as f64);
        let total = na + nb;
        let root = (na / total * nb).sqrt();
        let mut u = Vec::with_capacity(mean.len());
        for (a, b) in self.mean.iter_mut().zip(mean) {
            let delta = b - *a;
            u.push(delta * root);
            // For the first batch this must be the batch's mean itself, to the last bit.
            *a = if self.n == 0 {
                *b
            } else {
                *a + delta * (nb / total)
            };
        }
        self.n += n;
        u
    }
}
