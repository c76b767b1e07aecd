//! Degraded images, for Python.

use std::sync::Mutex;

use gantools_image::degrade::{
    rounded, size_after, Degrader, Kernel, ResizeMode, Shape, Step, COLUMNS, STEPS,
};
use gantools_image::ImageError;
use gantools_threads::parallel;
use numpy::ndarray::Array2;
use numpy::{
    IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray3, PyReadonlyArray4,
    PyReadwriteArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::{by_name, Signals};

fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The values of degraded images, each turned into what `out` holds.
fn fill<T: Send + numpy::Element>(
    py: Python<'_>,
    images: &PyReadonlyArray4<'_, u8>,
    steps: &PyReadonlyArray3<'_, f64>,
    seeds: &PyReadonlyArray1<'_, u64>,
    mut out: PyReadwriteArrayDyn<'_, T>,
    threads: usize,
    convert: impl Fn(f32) -> T + Sync,
) -> PyResult<()> {
    let &[n, height, width, channels] = images.shape() else {
        unreachable!("four axes")
    };
    if steps.shape()[0] != n || seeds.len() != n || steps.shape()[2] != COLUMNS {
        return Err(value_error(format!(
            "for {n} images steps are float64 ({n}, any, {COLUMNS}) and seeds uint64 ({n},)"
        )));
    }
    let (pixels, numbers, seeds) = (images.as_slice()?, steps.as_slice()?, seeds.as_slice()?);
    let each = steps.shape()[1] * COLUMNS;
    let rows = (0..n).map(|i| {
        let rows = numbers[i * each..(i + 1) * each].chunks_exact(COLUMNS);
        rows.map(Step::parse).collect::<Result<Vec<_>, _>>()
    });
    let rows = rows
        .collect::<Result<Vec<_>, ImageError>>()
        .map_err(value_error)?;
    let shape = out.shape().to_vec();
    for steps in &rows {
        let (h, w) = size_after(steps, height, width);
        if shape != [n, h, w, channels] {
            return Err(value_error(format!(
                "out must be ({n}, {h}, {w}, {channels}) after these steps, not {shape:?}"
            )));
        }
    }
    if n == 0 {
        return Ok(());
    }
    let out = out.as_slice_mut()?;
    let (image, length) = (height * width * channels, out.len() / n);
    let failed = Mutex::new(None);
    let mut signals = Signals::default();
    py.detach(|| {
        parallel::fill_each(
            out,
            length,
            parallel::threads(threads),
            Degrader::default,
            |degrader, i, to| {
                let from = &pixels[i * image..(i + 1) * image];
                match degrader.degrade(from, (height, width, channels), &rows[i], seeds[i]) {
                    Ok(values) => to
                        .iter_mut()
                        .zip(values)
                        .for_each(|(to, value)| *to = convert(value)),
                    Err(error) => *failed.lock().expect("no thread panics here") = Some(error),
                }
            },
            |_| signals.none(),
        )
    });
    signals.raise()?;
    let failed = failed.into_inner().expect("no thread panics here");
    failed.map_or(Ok(()), |error| Err(value_error(error)))
}

#[pyfunction]
#[pyo3(signature = (images, steps, seeds, out, threads=0))]
fn degrade(
    py: Python<'_>,
    images: PyReadonlyArray4<'_, u8>,
    steps: PyReadonlyArray3<'_, f64>,
    seeds: PyReadonlyArray1<'_, u64>,
    out: PyReadwriteArrayDyn<'_, u8>,
    threads: usize,
) -> PyResult<()> {
    fill(py, &images, &steps, &seeds, out, threads, rounded)
}

#[pyfunction]
#[pyo3(signature = (images, steps, seeds, out, threads=0))]
fn degrade_float(
    py: Python<'_>,
    images: PyReadonlyArray4<'_, u8>,
    steps: PyReadonlyArray3<'_, f64>,
    seeds: PyReadonlyArray1<'_, u64>,
    out: PyReadwriteArrayDyn<'_, f32>,
    threads: usize,
) -> PyResult<()> {
    fill(py, &images, &steps, &seeds, out, threads, |value| value)
}

#[pyfunction]
#[pyo3(signature = (shape, side, deviation, other=None, angle=0.0, exponent=1.0))]
fn blur_kernel<'py>(
    py: Python<'py>,
    shape: &str,
    side: usize,
    deviation: f64,
    other: Option<f64>,
    angle: f64,
    exponent: f64,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let kernel = Kernel {
        shape: by_name("shape", shape, &Shape::NAMES)?,
        side,
        deviations: (deviation, other.unwrap_or(deviation)),
        angle,
        exponent,
    };
    kernel.check().map_err(value_error)?;
    let weights = py.detach(|| kernel.weights());
    let array = Array2::from_shape_vec((side, side), weights).map_err(value_error)?;
    Ok(array.into_pyarray(py))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(m, degrade, degrade_float, blur_kernel);
    m.add("DEGRADE_STEPS", STEPS)?;
    m.add("KERNEL_SHAPES", Shape::NAMES.map(|(name, _)| name))?;
    m.add("DEGRADE_RESIZES", ResizeMode::NAMES.map(|(name, _)| name))?;
    Ok(())
}
