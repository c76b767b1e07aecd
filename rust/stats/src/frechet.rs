//! The Frechet distance between Gaussians for covariances of any rank (Dowson and Landau, "The Frechet distance between
//! multivariate normal distributions", 1982; FID: Heusel et al., arXiv:1706.08500, equation 6):
//!
//! `d^2 = |mu_a - mu_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)`
//!
//! The last trace is never taken from a square root of the non-symmetric S_a S_b. For any factor `S_a = F F^T` the
//! non-zero eigenvalues of S_a S_b are those of the symmetric `F^T S_b F`, so the trace is the sum of their square
//! roots. What F is decides the cost: centred features (n x n instead of d x d), a Cholesky factor, or, for a singular
//! S_a, its truncated eigenvectors.

use faer::linalg::matmul::{matmul, triangular};
use faer::{get_global_parallelism, Accum, Mat, MatRef, Side};

use crate::{centre, Error, Real, Result};

use triangular::BlockStructure::{Rectangular, TriangularLower, TriangularUpper};

/// Mean and covariance (row-major, d x d) of one set of features.
#[derive(Debug, Clone, Copy)]
pub struct Gaussian<'a> {
    mean: &'a [f64],
    covariance: MatRef<'a, f64>,
}

/// Relative asymmetry and relative negative eigenvalue that statistics stored in single precision can have.
const STORED_IN_SINGLE: f64 = 1e-4;

impl<'a> Gaussian<'a> {
    /// Checks shapes, that all is finite and that the covariance is symmetric; `what` names it in an error.
    pub fn new(what: &'static str, mean: &'a [f64], covariance: &'a [f64]) -> Result<Self> {
        let d = mean.len();
        if d == 0 || covariance.len() != d * d {
            return Err(Error::Shape {
                what,
                len: covariance.len(),
                rows: d,
                columns: d,
            });
        }
        for values in [mean, covariance] {
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                let (row, column) = (at / d, at % d);
                return Err(Error::NonFinite { what, row, column });
            }
        }
        let s = MatRef::from_row_major_slice(covariance, d, d);
        let largest = (0..d).fold(0.0_f64, |m, i| m.max(s[(i, i)]));
        for column in 0..d {
            for row in column..d {
                let difference = (s[(row, column)] - s[(column, row)]).abs();
                if difference > STORED_IN_SINGLE * largest {
                    return Err(Error::NotSymmetric {
                        what,
                        row,
                        column,
                        difference,
                    });
                }
                if row == column && s[(row, row)] < -STORED_IN_SINGLE * largest {
                    return Err(Error::Indefinite {
                        what,
                        smallest: s[(row, row)],
                        largest,
                    });
                }
            }
        }
        Ok(Self {
            mean,
            covariance: s,
        })
    }

    fn d(&self) -> usize {
        self.mean.len()
    }

    fn trace(&self) -> f64 {
        (0..self.d()).map(|i| self.covariance[(i, i)]).sum()
    }
}

/// The features themselves, centred: cheaper than their covariance when there are fewer of them than columns.
#[derive(Debug, Clone)]
pub struct Features {
    n: usize,
    mean: Vec<f64>,
    centred: Vec<f64>,
}

impl Features {
    /// `n` rows of width `d`, row-major; at least 2.
    pub fn new<T: Real>(x: &[T], n: usize, d: usize) -> Result<Self> {
        let (mean, centred) = centre(x, n, d)?;
        if n < 2 {
            return Err(Error::TooFew { n: n as u64 });
        }
        Ok(Self { n, mean, centred })
    }

    /// Rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Width of a row.
    pub fn d(&self) -> usize {
        self.mean.len()
    }

    fn rows(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.centred, self.n, self.d())
    }

    fn divisor(&self) -> f64 {
        (self.n - 1) as f64
    }

    fn trace(&self) -> f64 {
        // Several sums side by side: one alone waits for each addition.
        let mut sums = [0.0_f64; 16];
        let mut chunks = self.centred.chunks_exact(sums.len());
        for chunk in &mut chunks {
            for (s, v) in sums.iter_mut().zip(chunk) {
                *s += v * v;
            }
        }
        let rest: f64 = chunks.remainder().iter().map(|v| v * v).sum();
        (sums.iter().sum::<f64>() + rest) / self.divisor()
    }

    fn covariance(&self) -> Vec<f64> {
        let d = self.d();
        let mut s = Mat::zeros(d, d);
        let par = get_global_parallelism();
        let scale = 1.0 / self.divisor();
        triangular::matmul(
            s.as_mut(),
            TriangularLower,
            Accum::Replace,
            self.rows().transpose(),
            Rectangular,
            self.rows(),
            Rectangular,
            scale,
            par,
        );
        let mut out = vec![0.0; d * d];
        for j in 0..d {
            for i in j..d {
                out[i * d + j] = s[(i, j)];
                out[j * d + i] = s[(i, j)];
            }
        }
        out
    }
}

/// How the trace of the square root was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Singular values of A B^T, of two sets of centred features.
    Features,
    /// Eigenvalues of A S_b A^T / (n - 1), of centred features and a covariance.
    FeaturesMoments,
    /// Eigenvalues of L^T S L with a Cholesky factor L of one covariance.
    Cholesky,
    /// Eigenvalues of F^T S F with F the eigenvectors of a singular covariance that carry variance.
    TruncatedEigen,
}

impl Route {
    /// A stable name, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Route::Features => "features",
            Route::FeaturesMoments => "features-moments",
            Route::Cholesky => "cholesky",
            Route::TruncatedEigen => "truncated-eigen",
        }
    }
}

/// A Frechet distance and how it came about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frechet {
    /// The squared distance d^2, which is what FID is; never negative.
    pub distance: f64,
    /// |mu_a - mu_b|^2, its share that is due to the means.
    pub mean_term: f64,
    pub route: Route,
    /// Numerical rank of S_a S_b: how many directions of variance the two have in common.
    pub rank: usize,
}

/// Both as features. The smaller problem is chosen by how many there are; any n >= 2 is right.
pub fn frechet_features(a: &Features, b: &Features) -> Result<Frechet> {
    same_width(a.d(), b.d())?;
    let d = a.d();
    if a.n.min(b.n) > d {
        let (s, t) = (a.covariance(), b.covariance());
        return frechet_moments(
            Gaussian::new("first features", &a.mean, &s)?,
            Gaussian::new("second features", &b.mean, &t)?,
        );
    }
    if a.n.max(b.n) > d {
        let (small, large) = if a.n <= d { (a, b) } else { (b, a) };
        let s = large.covariance();
        return frechet_features_moments(small, Gaussian::new("features", &large.mean, &s)?);
    }
    // tr (S_a S_b)^(1/2) = |A B^T|_* / sqrt((n_a - 1)(n_b - 1)). Singular values keep the digits that eigenvalues of the
    // squared matrix would lose.
    let scale = 1.0 / (a.divisor() * b.divisor()).sqrt();
    let mut product = Mat::zeros(a.n, b.n);
    matmul(
        product.as_mut(),
        Accum::Replace,
        a.rows(),
        b.rows().transpose(),
        scale,
        get_global_parallelism(),
    );
    finite(product.as_ref(), "product of the features")?;
    let values = product
        .singular_values()
        .map_err(|_| Error::NoConvergence {
            what: "singular values",
        })?;
    let largest = values.first().copied().unwrap_or(0.0);
    let noise = a.n.max(b.n) as f64 * f64::EPSILON * largest;
    let roots = Roots {
        sum: values.iter().sum(),
        largest,
        rank: values.iter().filter(|&&v| v > noise).count(),
    };
    finish(
        &a.mean,
        &b.mean,
        a.trace(),
        b.trace(),
        roots,
        Route::Features,
    )
}

/// One as features, one as moments. With more features than columns their covariance is taken instead.
pub fn frechet_features_moments(a: &Features, b: Gaussian<'_>) -> Result<Frechet> {
    same_width(a.d(), b.d())?;
    if a.n > a.d() {
        let s = a.covariance();
        return frechet_moments(Gaussian::new("features", &a.mean, &s)?, b);
    }
    let par = get_global_parallelism();
    let mut left = Mat::zeros(a.n, a.d());
    matmul(
        left.as_mut(),
        Accum::Replace,
        a.rows(),
        b.covariance,
        1.0 / a.divisor(),
        par,
    );
    let mut m = Mat::zeros(a.n, a.n);
    triangular::matmul(
        m.as_mut(),
        TriangularLower,
        Accum::Replace,
        left.as_ref(),
        Rectangular,
        a.rows().transpose(),
        Rectangular,
        1.0,
        par,
    );
    let roots = Roots::of(m.as_ref(), "covariance")?;
    finish(
        &a.mean,
        b.mean,
        a.trace(),
        b.trace(),
        roots,
        Route::FeaturesMoments,
    )
}

/// Both as moments.
pub fn frechet_moments(a: Gaussian<'_>, b: Gaussian<'_>) -> Result<Frechet> {
    same_width(a.d(), b.d())?;
    let (sa, sb) = (a.covariance, b.covariance);
    let (roots, route) = if let Some(l) = cholesky(sa) {
        (by_cholesky(l.as_ref(), sb)?, Route::Cholesky)
    } else if let Some(l) = cholesky(sb) {
        (by_cholesky(l.as_ref(), sa)?, Route::Cholesky)
    } else {
        (by_truncation(sa, sb)?, Route::TruncatedEigen)
    };
    finish(a.mean, b.mean, a.trace(), b.trace(), roots, route)
}

/// Square roots of the eigenvalues of a symmetric positive semi-definite product.
struct Roots {
    sum: f64,
    largest: f64,
    rank: usize,
}

impl Roots {
    /// From the lower triangle of `m`.
    fn of(m: MatRef<'_, f64>, what: &'static str) -> Result<Self> {
        finite(m, what)?;
        let values = m
            .self_adjoint_eigenvalues(Side::Lower)
            .map_err(|_| Error::NoConvergence {
                what: "eigenvalues",
            })?;
        let smallest = values.first().copied().unwrap_or(0.0);
        let largest = values.last().copied().unwrap_or(0.0).max(0.0);
        if smallest < -STORED_IN_SINGLE * largest.max(f64::MIN_POSITIVE) {
            return Err(Error::Indefinite {
                what,
                smallest,
                largest,
            });
        }
        // No eigenvalue is truly negative, so the most negative one measures the rounding in this very matrix. Noise of
        // that size has a square root 1e8 times larger, and a singular product has hundreds of such values: summed,
        // they would shift the distance in the fifth digit. A fixed cut would instead take real variance from a
        // well-conditioned one.
        let noise = (-2.0 * smallest).max(f64::EPSILON * largest);
        let kept = values.iter().filter(|&&v| v > noise);
        Ok(Self {
            sum: kept.clone().map(|v| v.sqrt()).sum(),
            largest: largest.sqrt(),
            rank: kept.count(),
        })
    }
}

/// The Cholesky factor of `s`, or None where `s` is singular to working precision.
fn cholesky(s: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let d = s.nrows();
    let largest = (0..d).fold(0.0_f64, |m, i| m.max(s[(i, i)]));
    let l = s.llt(Side::Lower).ok()?.L().to_owned();
    // A pivot of rounding noise can come out positive by luck; its column would be noise as well.
    let smallest = (0..d).fold(f64::INFINITY, |m, i| m.min(l[(i, i)] * l[(i, i)]));
    (smallest > d as f64 * f64::EPSILON * largest).then_some(l)
}

fn by_cholesky(l: MatRef<'_, f64>, s: MatRef<'_, f64>) -> Result<Roots> {
    let d = l.nrows();
    let par = get_global_parallelism();
    let mut right = Mat::zeros(d, d);
    triangular::matmul(
        right.as_mut(),
        Rectangular,
        Accum::Replace,
        s,
        Rectangular,
        l,
        TriangularLower,
        1.0,
        par,
    );
    let mut m = Mat::zeros(d, d);
    triangular::matmul(
        m.as_mut(),
        TriangularLower,
        Accum::Replace,
        l.transpose(),
        TriangularUpper,
        right.as_ref(),
        Rectangular,
        1.0,
        par,
    );
    Roots::of(m.as_ref(), "covariance")
}

fn by_truncation(s: MatRef<'_, f64>, other: MatRef<'_, f64>) -> Result<Roots> {
    let d = s.nrows();
    let par = get_global_parallelism();
    let eigen = s
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::NoConvergence {
            what: "eigenvalues",
        })?;
    let values = eigen.S().column_vector();
    let (smallest, largest) = (values[0], values[d - 1].max(0.0));
    if smallest < -STORED_IN_SINGLE * largest.max(f64::MIN_POSITIVE) {
        return Err(Error::Indefinite {
            what: "covariance",
            smallest,
            largest,
        });
    }
    let noise = (d as f64 * f64::EPSILON * largest).max(-2.0 * smallest);
    let first = (0..d).find(|&i| values[i] > noise).unwrap_or(d);
    let r = d - first;
    if r == 0 {
        return Ok(Roots {
            sum: 0.0,
            largest: 0.0,
            rank: 0,
        });
    }
    let u = eigen.U();
    let f = Mat::from_fn(d, r, |i, j| u[(i, first + j)] * values[first + j].sqrt());
    let mut right = Mat::zeros(d, r);
    matmul(right.as_mut(), Accum::Replace, other, f.as_ref(), 1.0, par);
    let mut m = Mat::zeros(r, r);
    triangular::matmul(
        m.as_mut(),
        TriangularLower,
        Accum::Replace,
        f.transpose(),
        Rectangular,
        right.as_ref(),
        Rectangular,
        1.0,
        par,
    );
    Roots::of(m.as_ref(), "covariance")
}

fn finish(
    mean_a: &[f64],
    mean_b: &[f64],
    trace_a: f64,
    trace_b: f64,
    roots: Roots,
    route: Route,
) -> Result<Frechet> {
    let d = mean_a.len();
    let mean_term: f64 = mean_a
        .iter()
        .zip(mean_b)
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    let distance = mean_term + trace_a + trace_b - 2.0 * roots.sum;
    if !distance.is_finite() {
        return Err(Error::Overflow {
            what: "Frechet distance",
        });
    }
    // An eigenvalue is right to eps times the largest, so its root to sqrt(eps) times the largest root, d times over;
    // and the traces themselves are rounded.
    let rounding = 2.0 * d as f64 * f64::EPSILON.sqrt() * roots.largest
        + 8.0 * f64::EPSILON * (trace_a + trace_b + mean_term);
    if distance < -rounding {
        return Err(Error::Indefinite {
            what: "the two covariances together",
            smallest: distance,
            largest: trace_a + trace_b,
        });
    }
    Ok(Frechet {
        distance: distance.max(0.0),
        mean_term,
        route,
        rank: roots.rank,
    })
}

fn same_width(a: usize, b: usize) -> Result<()> {
    if a == b {
        Ok(())
    } else {
        Err(Error::Dimension { a, b })
    }
}

/// The eigensolvers do not end on NaN or infinity, so what overflowed must be found before them.
fn finite(m: MatRef<'_, f64>, what: &'static str) -> Result<()> {
    let bad = (0..m.ncols()).any(|j| m.col(j).iter().any(|v| !v.is_finite()));
    if bad {
        Err(Error::Overflow { what })
    } else {
        Ok(())
    }
}
