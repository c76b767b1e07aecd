//! What several bindings convert alike: names to values, arrays to bytes, Ctrl-C to an error.

use gantools_image as gi;
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

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
    sixteen_bit: &str,
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
        sixteen_bit: gi::SixteenBit::parse(sixteen_bit).ok_or_else(|| {
            PyValueError::new_err(format!(
                "sixteen_bit is full, stretch or LOW:HIGH with LOW below HIGH, not {sixteen_bit:?}"
            ))
        })?,
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

/// Watches for Ctrl-C while work goes on without the interpreter lock.
#[derive(Default)]
pub struct Signals(Option<PyErr>);

impl Signals {
    /// Whether nothing was raised so far; for the watchers of long work, which stop on false.
    pub fn none(&mut self) -> bool {
        self.after(|_| Ok(()))
    }

    /// As `none`, after a call of Python that may raise too.
    pub fn after(&mut self, call: impl FnOnce(Python<'_>) -> PyResult<()>) -> bool {
        if self.0.is_none() {
            self.0 = Python::attach(|py| call(py).and_then(|()| py.check_signals())).err();
        }
        self.0.is_none()
    }

    /// What was raised.
    pub fn raise(self) -> PyResult<()> {
        self.0.map_or(Ok(()), Err)
    }
}
