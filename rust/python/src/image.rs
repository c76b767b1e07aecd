//! `gantools-image` for Python.

use gantools_image as gi;
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::data_error;

/// uint8 (h, w) or (h, w, c), C-contiguous or not, to pixels.
pub fn pixels_from_array(image: &PyReadonlyArrayDyn<'_, u8>) -> PyResult<gi::Pixels> {
    let (height, width, channels) = match *image.shape() {
        [h, w] => (h, w, 1),
        [h, w, c] => (h, w, c),
        _ => {
            return Err(PyValueError::new_err(
                "an image is uint8 (h, w) or (h, w, c)",
            ))
        }
    };
    let data = image.as_array().iter().copied().collect();
    gi::Pixels::new(width, height, channels, data).map_err(|e| PyValueError::new_err(e.to_string()))
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

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(encode_png, m)?)?;
    Ok(())
}
