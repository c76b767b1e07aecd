//! One place that turns Rust errors into Python exceptions of `gantools.errors`.

use std::io;
use std::path::Path;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Raises `gantools.errors.<class>(message, hint)`.
pub fn raise(py: Python<'_>, class: &str, message: &str, hint: Option<&str>) -> PyErr {
    let build = || -> PyResult<Bound<'_, PyAny>> {
        let kwargs = PyDict::new(py);
        kwargs.set_item("hint", hint)?;
        py.import("gantools.errors")?
            .getattr(class)?
            .call((message,), Some(&kwargs))
    };
    match build() {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// `gantools.errors.DataError(message)`.
pub fn data_error(py: Python<'_>, message: impl std::fmt::Display) -> PyErr {
    raise(py, "DataError", &message.to_string(), None)
}

/// An `OSError` with number, words and file, so that Python makes it the right subclass and can tell a full disk.
pub fn os_error(error: &io::Error, path: &Path) -> PyErr {
    match error.raw_os_error() {
        Some(number) => {
            // Rust appends " (os error 28)" to the system's words.
            let words = error.to_string();
            let words = words
                .split(" (os error")
                .next()
                .unwrap_or(&words)
                .to_owned();
            PyOSError::new_err((number, words, path.to_path_buf()))
        }
        None => PyOSError::new_err(format!("{}: {error}", path.display())),
    }
}
