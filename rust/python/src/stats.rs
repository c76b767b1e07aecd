//! `gantools-stats` for Python.

use gantools_stats as gs;
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::raise;

/// Without the interpreter lock, on the pool of the statistics.
fn detach<R: Send>(py: Python<'_>, f: impl FnOnce() -> R + Send) -> R {
    py.detach(|| gs::in_pool(f))
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
    detach(py, || {
        gs::frechet_moments(
            gs::Gaussian::new("first covariance", &mu1, &sigma1)?,
            gs::Gaussian::new("second covariance", &mu2, &sigma2)?,
        )
    })
    .map(Frechet)
    .map_err(|e| stats_error(py, e))
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
    py.detach(|| gs::frechet_features_moments(&a, gs::Gaussian::new("covariance", &mu, &sigma)?))
        .map(Frechet)
        .map_err(|e| stats_error(py, e))
}

#[pyfunction]
fn frechet_distance_features(
    py: Python<'_>,
    features1: AnyFeatures<'_>,
    features2: AnyFeatures<'_>,
) -> PyResult<Frechet> {
    let (a, b) = (centred(py, &features1)?, centred(py, &features2)?);
    detach(py, || gs::frechet_features(&a, &b))
        .map(Frechet)
        .map_err(|e| stats_error(py, e))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Moments>()?;
    m.add_class::<Frechet>()?;
    m.add_function(wrap_pyfunction!(frechet_distance, m)?)?;
    m.add_function(wrap_pyfunction!(frechet_distance_features_moments, m)?)?;
    m.add_function(wrap_pyfunction!(frechet_distance_features, m)?)?;
    Ok(())
}
