//! The items that a set is made of, for Python.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantools_pack as pack;
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{row_major, Signals};
use crate::error::{data_error, os_error, raise};

/// How often Ctrl-C is asked for while archives are read.
const SIGNALS: Duration = Duration::from_millis(100);

/// The items that a set is made of.
#[pyclass(frozen, module = "gantools._native")]
pub struct Source(pub(crate) Arc<pack::Source>);

impl Source {
    /// The numbers of items, or an IndexError.
    pub fn numbers(&self, items: &PyReadonlyArray1<'_, i64>) -> PyResult<Vec<usize>> {
        let total = self.0.len();
        let number = |&i: &i64| usize::try_from(i).ok().filter(|&i| i < total);
        let numbers: Option<Vec<_>> = items.as_array().iter().map(number).collect();
        numbers.ok_or_else(|| PyIndexError::new_err(format!("items are in [0, {total})")))
    }
}

#[pymethods]
impl Source {
    #[staticmethod]
    fn files(root: PathBuf, names: Vec<OsString>) -> Self {
        Self(Arc::new(pack::Source::Files { root, names }))
    }

    #[staticmethod]
    fn zip(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        match py.detach(|| pack::Source::zip(&path)) {
            Ok(source) => Ok(Self(Arc::new(source))),
            Err(e) if e.raw_os_error().is_some() => Err(os_error(&e, &path)),
            Err(e) => Err(data_error(
                py,
                format!("{}: not a readable zip archive ({e})", path.display()),
            )),
        }
    }

    #[staticmethod]
    fn tar(py: Python<'_>, archives: Vec<(PathBuf, OsString)>) -> PyResult<Self> {
        let mut signals = Signals::default();
        let mut asked = Instant::now();
        // Not at every call: each takes the interpreter lock.
        let mut watch = || {
            if asked.elapsed() < SIGNALS {
                return true;
            }
            asked = Instant::now();
            signals.none()
        };
        let found = py.detach(|| pack::Source::tar(&archives, &mut watch));
        signals.raise()?;
        match found {
            Ok(source) => Ok(Self(Arc::new(source))),
            Err((path, pack::TarError::Io(e))) => Err(os_error(&e, &path)),
            Err((path, error)) => {
                let hint = match error {
                    pack::TarError::Compressed(_) => "Uncompress it first; .tar, .tar.gz and .tar.zst are read.",
                    pack::TarError::Room { .. } => {
                        "Set TMPDIR to a folder with room for the unpacked archive, or uncompress it yourself."
                    }
                    _ => "Fetch or make the archive again.",
                };
                let message = format!("{}: {error}.", path.display());
                Err(raise(py, "DataError", &message, Some(hint)))
            }
        }
    }

    #[staticmethod]
    #[pyo3(signature = (files, ranges, *, names=None, shape=None))]
    fn ranges(
        files: Vec<PathBuf>,
        ranges: PyReadonlyArray2<'_, i64>,
        names: Option<Vec<OsString>>,
        shape: Option<[usize; 3]>,
    ) -> PyResult<Self> {
        let wrong = |words: &str| PyValueError::new_err(words.to_owned());
        if names.is_some() == shape.is_some() {
            return Err(wrong("ranges have names (encoded) or a shape (pixels)"));
        }
        if ranges.shape()[1] != 3 || names.as_ref().is_some_and(|n| n.len() != ranges.shape()[0]) {
            return Err(wrong("ranges are int64 (n, 3), with n names"));
        }
        let length = shape.map(|s| s.iter().product::<usize>() as u64);
        let mut list = Vec::with_capacity(ranges.shape()[0]);
        for row in ranges.as_array().rows() {
            let unsigned = |i: usize| u64::try_from(row[i]).map_err(|_| wrong("negative range"));
            let range = pack::Range {
                file: unsigned(0)? as usize,
                offset: unsigned(1)?,
                length: unsigned(2)?,
            };
            if range.file >= files.len() || length.is_some_and(|n| n != range.length) {
                return Err(wrong(
                    "a range names no file, or has not the shape's length",
                ));
            }
            list.push(range);
        }
        let first = files.first().cloned().unwrap_or_default();
        pack::Source::ranges(files, names, list, shape)
            .map(|source| Self(Arc::new(source)))
            .map_err(|e| os_error(&e, &first))
    }

    #[staticmethod]
    fn fetched(names: Vec<OsString>, fingerprint: String, fetch: Py<PyAny>) -> Self {
        let fetch = Box::new(move |i: usize| {
            Python::attach(|py| {
                let data = fetch.call1(py, (i,)).map_err(|e| words(py, &e))?;
                let data = data.cast_bound::<PyBytes>(py);
                let data = data.map_err(|_| "its reader gave no bytes".to_owned())?;
                Ok(data.as_bytes().to_vec())
            })
        });
        Self(Arc::new(pack::Source::Fetched {
            names,
            fingerprint,
            fetch,
        }))
    }

    #[staticmethod]
    fn array(images: PyReadonlyArrayDyn<'_, u8>) -> PyResult<Self> {
        let shape = match *images.shape() {
            [_, h, w] => [h, w, 1],
            [_, h, w, c] => [h, w, c],
            _ => {
                return Err(PyValueError::new_err(
                    "images are uint8 (n, h, w) or (n, h, w, c)",
                ))
            }
        };
        if shape.contains(&0) {
            return Err(PyValueError::new_err("images of size 0"));
        }
        let data = row_major(&images);
        Ok(Self(Arc::new(pack::Source::Array { shape, data })))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn names(&self) -> Option<Vec<&OsStr>> {
        self.0.names()
    }

    #[getter]
    fn faults(&self) -> Vec<(&OsStr, &str)> {
        let faults = self.0.faults().iter();
        faults.map(|f| (&*f.name, &*f.reason)).collect()
    }

    fn read<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        if index >= self.0.len() {
            return Err(PyIndexError::new_err(format!("item {index}")));
        }
        match py.detach(|| self.0.read(index)) {
            Ok(pack::Item::Encoded(data)) => Ok(PyBytes::new(py, &data)),
            Ok(pack::Item::Raw(pixels)) => Ok(PyBytes::new(py, &pixels.data)),
            Err(reason) => Err(data_error(
                py,
                format!("{}: {reason}.", self.0.place(index)),
            )),
        }
    }

    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.fingerprint())
            .map_err(|e| data_error(py, format!("the source cannot be read: {e}.")))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Source>()
}

/// What an exception says, without its class and without its hint.
fn words(py: Python<'_>, error: &PyErr) -> String {
    let text = error.value(py).str().map(|text| text.to_string());
    let text = text.unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        "it cannot be read".to_owned()
    } else {
        first.to_owned()
    }
}
