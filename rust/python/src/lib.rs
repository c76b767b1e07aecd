//! `gantools._native`: the only crate that knows Python. It converts types, releases the interpreter lock and maps
//! errors; everything else is in the crates below it.

use pyo3::prelude::*;

/// Adds functions to the module.
macro_rules! add_functions {
    ($module:ident, $($function:ident),+) => {
        $($module.add_function(wrap_pyfunction!($function, $module)?)?;)+
    };
}

mod convert;
mod degrade;
mod error;
mod image;
mod reader;
mod shard;
mod source;
mod stats;

#[pymodule(gil_used = true)]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    image::register(m)?;
    degrade::register(m)?;
    source::register(m)?;
    shard::register(m)?;
    reader::register(m)?;
    stats::register(m)?;
    Ok(())
}
