//! `gantools-image` for Python.

use std::path::PathBuf;
use std::sync::Mutex;

use gantools_image as gi;
use gantools_pack::parallel;
use numpy::ndarray::{Array3, Array4};
use numpy::{
    IntoPyArray, PyArray3, PyArray4, PyReadonlyArray4, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::data_error;

// Signatures that Python can show hold numbers, not constants.
const _: () = assert!(gi::DEFAULT_MAX_PIXELS == 178_956_970);

/// The value that `name` stands for in a table of names, or a ValueError that lists them.
pub fn by_name<T: Copy>(kind: &str, name: &str, names: &[(&'static str, T)]) -> PyResult<T> {
    names
        .iter()
        .find(|(n, _)| *n == name)
        .map(|&(_, value)| value)
        .ok_or_else(|| {
            let known: Vec<_> = names.iter().map(|(n, _)| *n).collect();
            PyValueError::new_err(format!(
                "{kind} is one of {}, not {name:?}",
                known.join(", ")
            ))
        })
}

/// Decode options from their names.
pub fn decode_options(
    channels: usize,
    alpha: &str,
    orientation: &str,
    max_pixels: u64,
) -> PyResult<gi::DecodeOptions> {
    if channels != 1 && channels != 3 {
        return Err(PyValueError::new_err(format!(
            "channels is 1 or 3, not {channels}"
        )));
    }
    Ok(gi::DecodeOptions {
        channels,
        alpha: by_name("alpha", alpha, &gi::AlphaPolicy::NAMES)?,
        orientation: by_name("orientation", orientation, &gi::OrientationPolicy::NAMES)?,
        max_pixels,
    })
}

/// The values in row-major order, however they lie in memory.
pub fn row_major(array: &PyReadonlyArrayDyn<'_, u8>) -> Vec<u8> {
    match array.as_slice() {
        // A slice is also given of an array in Fortran order, in that order.
        Ok(values) if array.is_c_contiguous() => values.to_vec(),
        _ => array.as_array().iter().copied().collect(),
    }
}

/// uint8 (h, w) or (h, w, c), C-contiguous or not, to pixels.
fn pixels_from_array(image: &PyReadonlyArrayDyn<'_, u8>) -> PyResult<gi::Pixels> {
    let (height, width, channels) = match *image.shape() {
        [h, w] => (h, w, 1),
        [h, w, c] => (h, w, c),
        _ => {
            return Err(PyValueError::new_err(
                "an image is uint8 (h, w) or (h, w, c)",
            ))
        }
    };
    gi::Pixels::new(width, height, channels, row_major(image))
        .map_err(|e| PyValueError::new_err(e.to_string()))
}

fn to_array3(py: Python<'_>, pixels: gi::Pixels) -> PyResult<Bound<'_, PyArray3<u8>>> {
    let shape = (pixels.height, pixels.width, pixels.channels);
    let array = Array3::from_shape_vec(shape, pixels.data)
        .map_err(|e| PyValueError::new_err(e.to_string()))?;
    Ok(array.into_pyarray(py))
}

#[pyfunction]
#[pyo3(signature = (data, *, channels=3, alpha="error", orientation="apply", max_pixels=178_956_970))]
fn decode<'py>(
    py: Python<'py>,
    data: &[u8],
    channels: usize,
    alpha: &str,
    orientation: &str,
    max_pixels: u64,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let options = decode_options(channels, alpha, orientation, max_pixels)?;
    let pixels = py
        .detach(|| gi::Decoder::default().decode(data, &options))
        .map_err(|e| data_error(py, e))?;
    to_array3(py, pixels)
}

#[pyfunction]
fn encode_png<'py>(
    py: Python<'py>,
    image: PyReadonlyArrayDyn<'py, u8>,
) -> PyResult<Bound<'py, PyBytes>> {
    let pixels = pixels_from_array(&image)?;
    let bytes = py
        .detach(|| gi::encode_png(&pixels))
        .map_err(|e| data_error(py, e))?;
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
#[pyo3(signature = (image, height, width, filter="lanczos"))]
fn resize<'py>(
    py: Python<'py>,
    image: PyReadonlyArrayDyn<'py, u8>,
    height: usize,
    width: usize,
    filter: &str,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let filter = by_name("filter", filter, &gi::Filter::NAMES)?;
    let pixels = pixels_from_array(&image)?;
    let resized = py.detach(|| {
        let part = (0, 0, pixels.width, pixels.height);
        let geometry = gi::resize::pillow::Geometry::whole(part, (width, height));
        let mut data = vec![0; height * width * pixels.channels];
        gi::resize::pillow::Resizer::default().resize(&pixels, &geometry, filter, &mut data)?;
        gi::Pixels::new(width, height, pixels.channels, data)
    });
    to_array3(
        py,
        resized.map_err(|e| PyValueError::new_err(e.to_string()))?,
    )
}

/// Fills float32 (n, size, size, c) in parallel: `fill(decoder, i, out)` makes image `i`. The error of the image with
/// the lowest number is raised; Ctrl-C stops between images.
fn tf1_batch<'py>(
    py: Python<'py>,
    n: usize,
    size: usize,
    channels: usize,
    threads: usize,
    fill: impl Fn(&mut gi::Decoder, usize, &mut [f32]) -> Result<(), String> + Sync,
) -> PyResult<Bound<'py, PyArray4<f32>>> {
    let length = size * size * channels;
    if length == 0 {
        return Err(PyValueError::new_err("size must be at least 1"));
    }
    let mut out = vec![0f32; n * length];
    let mut signal = Ok(());
    let failures = Mutex::new(Vec::new());
    py.detach(|| {
        parallel::fill_each(
            &mut out,
            length,
            parallel::threads(threads),
            gi::Decoder::default,
            |decoder, i, slot| {
                if let Err(e) = fill(decoder, i, slot) {
                    failures.lock().expect("no panic while held").push((i, e));
                }
            },
            |_| {
                signal = Python::attach(|py| py.check_signals());
                signal.is_ok()
            },
        )
    });
    signal?;
    let mut failures = failures.into_inner().expect("no panic while held");
    failures.sort();
    if let Some((_, message)) = failures.first() {
        return Err(data_error(py, message));
    }
    let array = Array4::from_shape_vec((n, size, size, channels), out)
        .map_err(|e| PyValueError::new_err(e.to_string()))?;
    Ok(array.into_pyarray(py))
}

#[pyfunction]
#[pyo3(signature = (paths, size, threads=0))]
fn read_images_tf1<'py>(
    py: Python<'py>,
    paths: Vec<PathBuf>,
    size: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray4<f32>>> {
    // What Pillow's `Image.open(path).convert("RGB")` gives, since that is what the other tools score.
    let options = decode_options(3, "drop", "ignore", gi::DEFAULT_MAX_PIXELS)?;
    tf1_batch(py, paths.len(), size, 3, threads, |decoder, i, out| {
        let path = &paths[i];
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let data = std::fs::read(path).map_err(|e| failed(&e))?;
        let image = decoder.decode(&data, &options).map_err(|e| failed(&e))?;
        gi::resize::tf1::resize(&image, size, size, out).map_err(|e| failed(&e))
    })
}

#[pyfunction]
#[pyo3(signature = (images, size, threads=0))]
fn resize_tf1<'py>(
    py: Python<'py>,
    images: PyReadonlyArray4<'py, u8>,
    size: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray4<f32>>> {
    let &[n, height, width, channels] = images.shape() else {
        return Err(PyValueError::new_err("images are uint8 (n, h, w, c)"));
    };
    let array = images.as_array();
    tf1_batch(py, n, size, channels, threads, |_, i, out| {
        let image = array.index_axis(numpy::ndarray::Axis(0), i);
        let data = match image.as_slice() {
            Some(contiguous) => contiguous.to_vec(),
            None => image.iter().copied().collect(),
        };
        gi::Pixels::new(width, height, channels, data)
            .and_then(|image| gi::resize::tf1::resize(&image, size, size, out))
            .map_err(|e| format!("image {i}: {e}"))
    })
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(decode, m)?)?;
    m.add_function(wrap_pyfunction!(encode_png, m)?)?;
    m.add_function(wrap_pyfunction!(resize, m)?)?;
    m.add_function(wrap_pyfunction!(read_images_tf1, m)?)?;
    m.add_function(wrap_pyfunction!(resize_tf1, m)?)?;
    Ok(())
}
