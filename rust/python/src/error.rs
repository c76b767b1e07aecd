//! One place that turns Rust errors into Python exceptions of `gantools.errors`.

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
