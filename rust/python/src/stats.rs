//! `gantools-stats` for Python.

use std::sync::atomic::AtomicBool;

use gantools_stats as gs;
use gantools_threads::{in_pool, parallel};
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::Signals;
use crate::error::raise;

/// Without the interpreter lock, on the pool of this process.
fn detach<R: Send>(py: Python<'_>, f: impl FnOnce() -> R + Send) -> R {
    py.detach(|| in_pool(f))
}

/// As `detach`, for what can take minutes: Ctrl-C sets the flag that `f` is to look at, and is raised when it ended.
///
/// Python hands signals to its main thread only, so `f` runs on another one while this one waits and asks.
fn detach_interruptible<R: Send>(
    py: Python<'_>,
    f: impl FnOnce(&AtomicBool) -> Result<R, gs::Error> + Send,
) -> PyResult<R> {
    let mut signals = Signals::default();
    let result = py.detach(|| parallel::watched(|stop| in_pool(|| f(stop)), || signals.none()));
    signals.raise()?;
    result.map_err(|e| stats_error(py, e))
}

fn stats_error(py: Python<'_>, error: gs::Error) -> PyErr {
    match error {
        gs::Error::Shape { .. } | gs::Error::Dimension { .. } => {
            PyValueError::new_err(error.to_string())
        }
        _ => raise(py, "MetricError", &format!("{error}."), hint(&error)),
    }
}

fn hint(error: &gs::Error) -> Option<&'static str> {
    match error {
        gs::Error::TooFew { .. } => {
            Some("Give at least 2 images; a score that means something needs thousands.")
        }
        gs::Error::NonFinite { .. } => {
            Some("The network gave NaN or infinity: check its weights and its input.")
        }
        gs::Error::TooFewNeighbours { .. } => {
            Some("Give more samples, or choose a smaller number of neighbours (k).")
        }
        gs::Error::NotSymmetric { .. } | gs::Error::Indefinite { .. } => {
            Some("The stored statistics are damaged; compute them again from the images.")
        }
        _ => None,
    }
}

/// Features as they come: float32 from a network, float64 from a file.
enum AnyFeatures<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'py> FromPyObject<'_, 'py> for AnyFeatures<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(x) = object.extract() {
            Ok(Self::Single(x))
        } else if let Ok(x) = object.extract() {
            Ok(Self::Double(x))
        } else {
            Err(PyValueError::new_err(
                "features must be a float32 or float64 array (n, d)",
            ))
        }
    }
}

/// The values in row-major order, borrowed where they lie that way already.
fn row_major<'a, T: numpy::Element + Copy>(
    x: &'a PyReadonlyArray2<'_, T>,
) -> std::borrow::Cow<'a, [T]> {
    match x.as_slice() {
        Ok(values) if x.is_c_contiguous() => values.into(),
        _ => x.as_array().iter().copied().collect::<Vec<T>>().into(),
    }
}

fn vector(x: &PyReadonlyArray1<'_, f64>) -> Vec<f64> {
    x.as_array().iter().copied().collect()
}

/// A covariance as d x d values; a shape that only has the right number of values is refused here.
fn square<'a>(x: &'a PyReadonlyArray2<'_, f64>, d: usize) -> PyResult<std::borrow::Cow<'a, [f64]>> {
    match *x.shape() {
        [r, c] if r == d && c == d => Ok(row_major(x)),
        _ => Err(PyValueError::new_err(format!(
            "a covariance for a mean of {d} values must be ({d}, {d}), not {:?}",
            x.shape()
        ))),
    }
}

fn matrix<'py>(py: Python<'py>, values: Vec<f64>, d: usize) -> PyResult<Bound<'py, PyArray2<f64>>> {
    PyArray1::from_vec(py, values).reshape([d, d])
}

#[pyclass(module = "gantools._native", name = "Moments")]
struct Moments(gs::Moments);

#[pymethods]
impl Moments {
    #[new]
    fn new(py: Python<'_>, d: usize) -> PyResult<Self> {
        gs::Moments::new(d)
            .map(Self)
            .map_err(|e| stats_error(py, e))
    }

    #[staticmethod]
    fn from_state(
        py: Python<'_>,
        n: u64,
        mean: PyReadonlyArray1<'_, f64>,
        m2: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Self> {
        let mean = vector(&mean);
        let m2 = square(&m2, mean.len())?;
        py.detach(|| gs::Moments::from_state(n, &mean, &m2))
            .map(Self)
            .map_err(|e| stats_error(py, e))
    }

    #[getter]
    fn n(&self) -> u64 {
        self.0.n()
    }

    #[getter]
    fn d(&self) -> usize {
        self.0.d()
    }

    #[getter]
    fn mean<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.mean())
    }

    fn update(&mut self, py: Python<'_>, features: AnyFeatures<'_>) -> PyResult<()> {
        let inner = &mut self.0;
        let width = |shape: &[usize]| {
            if shape[1] == inner.d() {
                Ok(shape[0])
            } else {
                let (a, b) = (inner.d(), shape[1]);
                Err(stats_error(py, gs::Error::Dimension { a, b }))
            }
        };
        match &features {
            AnyFeatures::Single(x) => {
                let (n, x) = (width(x.shape())?, row_major(x));
                detach(py, || inner.update(&x, n))
            }
            AnyFeatures::Double(x) => {
                let (n, x) = (width(x.shape())?, row_major(x));
                detach(py, || inner.update(&x, n))
            }
        }
        .map_err(|e| stats_error(py, e))
    }

    fn merge(slf: &Bound<'_, Self>, other: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        // A copy, so that merging an object with itself is two borrows of different things.
        let other = other.borrow().0.clone();
        let mut target = slf.borrow_mut();
        let inner = &mut target.0;
        py.detach(|| inner.merge(&other))
            .map_err(|e| stats_error(py, e))
    }

    fn covariance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let values = py
            .detach(|| self.0.covariance())
            .map_err(|e| stats_error(py, e))?;
        matrix(py, values, self.0.d())
    }

    fn m2<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let values = py.detach(|| self.0.m2());
        matrix(py, values, self.0.d())
    }

    fn __repr__(&self) -> String {
        format!("Moments(n={}, d={})", self.0.n(), self.0.d())
    }
}

#[pyclass(module = "gantools._native", name = "Frechet", frozen)]
struct Frechet(gs::Frechet);

#[pymethods]
impl Frechet {
    #[getter]
    fn distance(&self) -> f64 {
        self.0.distance
    }

    fn __float__(&self) -> f64 {
        self.0.distance
    }

    #[getter]
    fn mean_term(&self) -> f64 {
        self.0.mean_term
    }

    #[getter]
    fn route(&self) -> &'static str {
        self.0.route.name()
    }

    #[getter]
    fn rank(&self) -> usize {
        self.0.rank
    }

    fn __repr__(&self) -> String {
        format!(
            "Frechet(distance={}, mean_term={}, route='{}', rank={})",
            self.0.distance,
            self.0.mean_term,
            self.0.route.name(),
            self.0.rank
        )
    }
}

fn centred(py: Python<'_>, features: &AnyFeatures<'_>) -> PyResult<gs::Features> {
    match features {
        AnyFeatures::Single(x) => {
            let (n, d, x) = (x.shape()[0], x.shape()[1], row_major(x));
            py.detach(|| gs::Features::new(&x, n, d))
        }
        AnyFeatures::Double(x) => {
            let (n, d, x) = (x.shape()[0], x.shape()[1], row_major(x));
            py.detach(|| gs::Features::new(&x, n, d))
        }
    }
    .map_err(|e| stats_error(py, e))
}

/// The distance that `f` computes, without the interpreter lock.
fn frechet(
    py: Python<'_>,
    f: impl FnOnce() -> Result<gs::Frechet, gs::Error> + Send,
) -> PyResult<Frechet> {
    detach(py, f).map(Frechet).map_err(|e| stats_error(py, e))
}

#[pyfunction]
fn frechet_distance(
    py: Python<'_>,
    mu1: PyReadonlyArray1<'_, f64>,
    sigma1: PyReadonlyArray2<'_, f64>,
    mu2: PyReadonlyArray1<'_, f64>,
    sigma2: PyReadonlyArray2<'_, f64>,
) -> PyResult<Frechet> {
    let (mu1, mu2) = (vector(&mu1), vector(&mu2));
    let (sigma1, sigma2) = (square(&sigma1, mu1.len())?, square(&sigma2, mu2.len())?);
    frechet(py, || {
        gs::frechet_moments(
            gs::Gaussian::new("first covariance", &mu1, &sigma1)?,
            gs::Gaussian::new("second covariance", &mu2, &sigma2)?,
        )
    })
}

#[pyfunction]
fn frechet_distance_features_moments(
    py: Python<'_>,
    features: AnyFeatures<'_>,
    mu: PyReadonlyArray1<'_, f64>,
    sigma: PyReadonlyArray2<'_, f64>,
) -> PyResult<Frechet> {
    let a = centred(py, &features)?;
    let mu = vector(&mu);
    let sigma = square(&sigma, mu.len())?;
    frechet(py, || {
        gs::frechet_features_moments(&a, gs::Gaussian::new("covariance", &mu, &sigma)?)
    })
}

#[pyfunction]
fn frechet_distance_features(
    py: Python<'_>,
    features1: AnyFeatures<'_>,
    features2: AnyFeatures<'_>,
) -> PyResult<Frechet> {
    let (a, b) = (centred(py, &features1)?, centred(py, &features2)?);
    frechet(py, || gs::frechet_features(&a, &b))
}

/// Calls `$body` with two sets of features of one type as `Rows`, on the pool and with Ctrl-C.
macro_rules! with_pair {
    ($py:ident, $x:ident, $y:ident, |$p:ident, $q:ident, $stop:ident| $body:expr) => {
        match (&$x, &$y) {
            (AnyFeatures::Single(a), AnyFeatures::Single(b)) => {
                with_pair!(@run $py, a, b, $p, $q, $stop, $body)
            }
            (AnyFeatures::Double(a), AnyFeatures::Double(b)) => {
                with_pair!(@run $py, a, b, $p, $q, $stop, $body)
            }
            _ => Err(PyValueError::new_err(
                "both must be float32 or both float64",
            )),
        }
    };
    (@run $py:ident, $a:ident, $b:ident, $p:ident, $q:ident, $stop:ident, $body:expr) => {{
        let ([n, d], [m, e]) = ([$a.shape()[0], $a.shape()[1]], [$b.shape()[0], $b.shape()[1]]);
        let (a, b) = (row_major($a), row_major($b));
        let (a, b): (&[_], &[_]) = (&a, &b);
        detach_interruptible($py, |$stop| {
            let $p = gs::Rows::new("first features", a, n, d)?;
            let $q = gs::Rows::new("second features", b, m, e)?;
            $body
        })
    }};
}

/// Likewise with one set.
macro_rules! with_one {
    ($py:ident, $x:ident, |$p:ident, $stop:ident| $body:expr) => {
        match &$x {
            AnyFeatures::Single(a) => with_one!(@run $py, a, $p, $stop, $body),
            AnyFeatures::Double(a) => with_one!(@run $py, a, $p, $stop, $body),
        }
    };
    (@run $py:ident, $a:ident, $p:ident, $stop:ident, $body:expr) => {{
        let (n, d) = ($a.shape()[0], $a.shape()[1]);
        let a = row_major($a);
        let a: &[_] = &a;
        detach_interruptible($py, |$stop| {
            let $p = gs::Rows::new("features", a, n, d)?;
            $body
        })
    }};
}

/// `polynomial` with gamma, coef and degree, or `gaussian` with sigma.
#[pyclass(module = "gantools._native", name = "Kernel", frozen)]
struct Kernel(gs::Kernel);

#[pymethods]
impl Kernel {
    #[staticmethod]
    fn polynomial(gamma: f64, coef: f64, degree: u32) -> PyResult<Self> {
        if !gamma.is_finite() || !coef.is_finite() || degree == 0 || degree > 64 {
            return Err(PyValueError::new_err(
                "gamma and coef must be finite and degree in 1..=64",
            ));
        }
        Ok(Self(gs::Kernel::Polynomial {
            gamma,
            coef,
            degree,
        }))
    }

    #[staticmethod]
    fn gaussian(sigma: f64) -> PyResult<Self> {
        if !(sigma.is_finite() && sigma > 0.0) {
            return Err(PyValueError::new_err("sigma must be positive and finite"));
        }
        Ok(Self(gs::Kernel::Gaussian { sigma }))
    }

    fn __repr__(&self) -> String {
        match self.0 {
            gs::Kernel::Polynomial {
                gamma,
                coef,
                degree,
            } => format!("Kernel.polynomial(gamma={gamma}, coef={coef}, degree={degree})"),
            gs::Kernel::Gaussian { sigma } => format!("Kernel.gaussian(sigma={sigma})"),
        }
    }
}

type Vector<'py, T> = Bound<'py, PyArray1<T>>;

#[pyfunction]
fn kernel_self_sums<'py>(
    py: Python<'py>,
    features: AnyFeatures<'py>,
    kernel: &Kernel,
) -> PyResult<(Vector<'py, f64>, Vector<'py, f64>)> {
    let kernel = kernel.0;
    let sums = with_one!(py, features, |x, stop| gs::kernel_self_sums(
        x, kernel, stop
    ))?;
    Ok((
        PyArray1::from_vec(py, sums.others),
        PyArray1::from_vec(py, sums.diagonal),
    ))
}

#[pyfunction]
fn kernel_cross_sums<'py>(
    py: Python<'py>,
    features1: AnyFeatures<'py>,
    features2: AnyFeatures<'py>,
    kernel: &Kernel,
) -> PyResult<(Vector<'py, f64>, Vector<'py, f64>)> {
    let kernel = kernel.0;
    let (a, b) = with_pair!(
        py,
        features1,
        features2,
        |x, y, stop| gs::kernel_cross_sums(x, y, kernel, stop)
    )?;
    Ok((PyArray1::from_vec(py, a), PyArray1::from_vec(py, b)))
}

#[pyfunction]
fn neighbour_radii<'py>(
    py: Python<'py>,
    features: AnyFeatures<'py>,
    k: usize,
) -> PyResult<Vector<'py, f64>> {
    let radii = with_one!(py, features, |x, stop| gs::neighbour_radii(x, k, stop))?;
    Ok(PyArray1::from_vec(py, radii))
}

type BallCounts<'py> = (Vector<'py, u32>, Vector<'py, u32>);

#[pyfunction]
fn balls<'py>(
    py: Python<'py>,
    features1: AnyFeatures<'py>,
    radii1: PyReadonlyArray1<'py, f64>,
    features2: AnyFeatures<'py>,
    radii2: PyReadonlyArray1<'py, f64>,
    closed: bool,
) -> PyResult<(BallCounts<'py>, BallCounts<'py>)> {
    let (radii1, radii2) = (vector(&radii1), vector(&radii2));
    let (a, b) = with_pair!(py, features1, features2, |x, y, stop| gs::balls(
        x, &radii1, y, &radii2, closed, stop
    ))?;
    let arrays = |b: gs::Balls| {
        (
            PyArray1::from_vec(py, b.inside),
            PyArray1::from_vec(py, b.holds),
        )
    };
    Ok((arrays(a), arrays(b)))
}

#[pyfunction]
fn nearest<'py>(
    py: Python<'py>,
    features1: AnyFeatures<'py>,
    features2: AnyFeatures<'py>,
) -> PyResult<(Vector<'py, f64>, Vector<'py, i64>)> {
    let (distances, rows) = with_pair!(py, features1, features2, |x, y, stop| gs::nearest(
        x, y, stop
    ))?;
    let rows = rows.into_iter().map(|r| r as i64).collect();
    Ok((
        PyArray1::from_vec(py, distances),
        PyArray1::from_vec(py, rows),
    ))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Moments>()?;
    m.add_class::<Frechet>()?;
    m.add_class::<Kernel>()?;
    add_functions!(
        m,
        frechet_distance,
        frechet_distance_features_moments,
        frechet_distance_features,
        kernel_self_sums,
        kernel_cross_sums,
        neighbour_radii,
        balls,
        nearest
    );
    Ok(())
}
