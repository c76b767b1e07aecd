//! `gantools-pack` for Python: item sources and shards.

use std::path::PathBuf;
use std::sync::Arc;

use gantools_image as gi;
use gantools_pack as pack;
use numpy::{PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;

use crate::error::{data_error, os_error};
use crate::image::{by_name, decode_options};

/// The items that a set is made of.
#[pyclass(frozen, module = "gantools._native")]
struct Source(Arc<pack::Source>);

#[pymethods]
impl Source {
    #[staticmethod]
    fn files(root: PathBuf, names: Vec<String>) -> Self {
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
        let data = match images.as_slice() {
            Ok(contiguous) => contiguous.to_vec(),
            Err(_) => images.as_array().iter().copied().collect(),
        };
        Ok(Self(Arc::new(pack::Source::Array { shape, data })))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn names(&self) -> Option<Vec<String>> {
        self.0.names()
    }

    fn fingerprint(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.fingerprint())
    }
}

/// Everything that decides the pixels of a prepared image.
#[pyclass(frozen, module = "gantools._native")]
struct PixelPolicy(gi::PixelPolicy);

#[pymethods]
impl PixelPolicy {
    #[new]
    #[pyo3(signature = (*, width, height, channels, crop="center", band=None,
                        background=None, filter="lanczos", fast=false, alpha="error", orientation="apply",
                        max_pixels=178_956_970))]
    fn new(
        width: usize,
        height: usize,
        channels: usize,
        crop: &str,
        band: Option<usize>,
        background: Option<(u8, u8, u8)>,
        filter: &str,
        fast: bool,
        alpha: &str,
        orientation: &str,
        max_pixels: u64,
    ) -> PyResult<Self> {
        if width == 0 || height == 0 {
            return Err(PyValueError::new_err("width and height are at least 1"));
        }
        Ok(Self(gi::PixelPolicy {
            width,
            height,
            crop: by_name("crop", crop, &gi::Crop::NAMES)?,
            band: band.unwrap_or(height),
            background: background.map_or([0; 3], Into::into),
            fast,
            filter: by_name("filter", filter, &gi::Filter::NAMES)?,
            decode: decode_options(channels, alpha, orientation, max_pixels)?,
        }))
    }
}

/// Count, hash, and (position, reason) of the rejects.
type Prepared = (usize, String, Vec<(usize, String)>);

#[pyfunction]
#[pyo3(signature = (source, items, policy, path, threads=0, progress=None))]
fn prepare_shard(
    py: Python<'_>,
    source: &Source,
    items: PyReadonlyArray1<'_, i64>,
    policy: &PixelPolicy,
    path: PathBuf,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Prepared> {
    let total = source.0.len();
    let items = items
        .as_array()
        .iter()
        .map(|&i| usize::try_from(i).ok().filter(|&i| i < total))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| PyIndexError::new_err(format!("items are in [0, {total})")))?;
    let mut raised = Ok(());
    let result = py.detach(|| {
        pack::prepare_shard(&source.0, &items, &policy.0, &path, threads, |done| {
            raised = Python::attach(|py| {
                if let Some(progress) = &progress {
                    progress.call1(py, (done,))?;
                }
                py.check_signals()
            });
            raised.is_ok()
        })
    });
    raised?;
    match result {
        Ok(shard) => Ok((shard.count, shard.xxh3, shard.rejects)),
        Err(pack::ShardError::Write { path, error }) => Err(os_error(&error, &path)),
        Err(pack::ShardError::Interrupted) => unreachable!("only a raised error interrupts"),
    }
}

#[pyfunction]
fn hash_file(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    py.detach(|| pack::hash_file(&path))
        .map_err(|e| os_error(&e, &path))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Source>()?;
    m.add_class::<PixelPolicy>()?;
    m.add_function(wrap_pyfunction!(prepare_shard, m)?)?;
    m.add_function(wrap_pyfunction!(hash_file, m)?)?;
    // The command line offers exactly the names that are known here.
    m.add("CROPS", gi::Crop::NAMES.map(|(name, _)| name))?;
    m.add("FILTERS", gi::Filter::NAMES.map(|(name, _)| name))?;
    m.add(
        "ALPHA_POLICIES",
        gi::AlphaPolicy::NAMES.map(|(name, _)| name),
    )?;
    m.add(
        "ORIENTATION_POLICIES",
        gi::OrientationPolicy::NAMES.map(|(name, _)| name),
    )?;
    m.add("DECODERS", gi::DECODERS)?;
    Ok(())
}
