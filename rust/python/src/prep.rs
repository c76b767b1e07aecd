//! `gantools-pack` for Python: item sources, shards and their reader.

use std::path::PathBuf;
use std::sync::Arc;

use gantools_image as gi;
use gantools_pack as pack;
use numpy::{
    PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{data_error, os_error, raise};
use crate::image::{by_name, decode_options, row_major};

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
    fn tar(py: Python<'_>, archives: Vec<(PathBuf, String)>) -> PyResult<Self> {
        match py.detach(|| pack::Source::tar(&archives)) {
            Ok(source) => Ok(Self(Arc::new(source))),
            Err((path, pack::TarError::Io(e))) => Err(os_error(&e, &path)),
            Err((path, error @ pack::TarError::Compressed(_))) => Err(raise(
                py,
                "DataError",
                &format!("{}: {error}.", path.display()),
                Some("Images cannot be addressed in it. Uncompress it first, for example: gunzip FILE.tar.gz"),
            )),
            Err((path, error @ pack::TarError::Format(_))) => Err(raise(
                py,
                "DataError",
                &format!("{}: {error}.", path.display()),
                Some("Fetch or make the archive again."),
            )),
        }
    }

    #[staticmethod]
    #[pyo3(signature = (files, ranges, *, names=None, shape=None))]
    fn ranges(
        files: Vec<PathBuf>,
        ranges: PyReadonlyArray2<'_, i64>,
        names: Option<Vec<String>>,
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
    fn fetched(names: Vec<String>, fingerprint: String, fetch: Py<PyAny>) -> Self {
        let fetch = Box::new(move |i: usize| {
            Python::attach(|py| {
                let data = fetch.call1(py, (i,)).map_err(|e| e.to_string())?;
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
    fn names(&self) -> Option<Vec<String>> {
        self.0.names()
    }

    fn read<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        if index >= self.0.len() {
            return Err(PyIndexError::new_err(format!("item {index}")));
        }
        match py.detach(|| self.0.read(index)) {
            Ok(pack::Item::Encoded(data)) => Ok(PyBytes::new(py, &data)),
            Ok(pack::Item::Raw(pixels)) => Ok(PyBytes::new(py, &pixels.data)),
            Err(reason) => {
                let names = self.0.names();
                let name = names.map_or_else(|| index.to_string(), |names| names[index].clone());
                Err(data_error(py, format!("{name}: {reason}.")))
            }
        }
    }

    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.fingerprint())
            .map_err(|e| data_error(py, format!("the source cannot be read: {e}.")))
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
    let items = source.numbers(&items)?;
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

/// The images of a prepared set.
#[pyclass(frozen, module = "gantools._native")]
struct Reader(pack::Reader);

fn read_error(py: Python<'_>, error: &pack::ReadError) -> PyErr {
    let hint = "Prepare the set again, or restore the file from where it was copied.";
    match error {
        pack::ReadError::Index { .. } => PyIndexError::new_err(error.to_string()),
        pack::ReadError::Length { .. } => PyValueError::new_err(error.to_string()),
        _ => raise(py, "DataError", &format!("{error}."), Some(hint)),
    }
}

impl Reader {
    /// Whether `shape` is that of a batch of `n` images, with the image's dimensions as in `image`.
    fn check_shape(shape: &[usize], n: usize, image: [usize; 3]) -> PyResult<()> {
        if *shape == [n, image[0], image[1], image[2]] {
            return Ok(());
        }
        let [a, b, c] = image;
        Err(PyValueError::new_err(format!(
            "out must be ({n}, {a}, {b}, {c}), not {shape:?}"
        )))
    }
}

#[pymethods]
impl Reader {
    #[new]
    fn new(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        counts: Vec<usize>,
        shape: [usize; 3],
    ) -> PyResult<Self> {
        if paths.len() != counts.len() || shape.contains(&0) {
            return Err(PyValueError::new_err(
                "as many counts as paths, and a shape without 0",
            ));
        }
        let shards: Vec<_> = paths.into_iter().zip(counts).collect();
        py.detach(|| pack::Reader::open(&shards, shape))
            .map(Self)
            .map_err(|e| read_error(py, &e))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[pyo3(signature = (indices, out, flip=None))]
    fn gather(
        &self,
        py: Python<'_>,
        indices: PyReadonlyArray1<'_, i64>,
        mut out: PyReadwriteArrayDyn<'_, u8>,
        flip: Option<PyReadonlyArray1<'_, bool>>,
    ) -> PyResult<()> {
        Self::check_shape(out.shape(), indices.len(), self.0.shape())?;
        let indices = indices.as_slice()?;
        let flip = flip.as_ref().map(|f| f.as_slice()).transpose()?;
        let out = out.as_slice_mut()?;
        py.detach(|| self.0.gather(indices, flip, out))
            .map_err(|e| read_error(py, &e))
    }

    #[pyo3(signature = (indices, out, layout="nchw", flip=None))]
    fn gather_float(
        &self,
        py: Python<'_>,
        indices: PyReadonlyArray1<'_, i64>,
        mut out: PyReadwriteArrayDyn<'_, f32>,
        layout: &str,
        flip: Option<PyReadonlyArray1<'_, bool>>,
    ) -> PyResult<()> {
        let layout = by_name("layout", layout, &pack::Layout::NAMES)?;
        let [h, w, c] = self.0.shape();
        let image = match layout {
            pack::Layout::Nchw => [c, h, w],
            pack::Layout::Nhwc => [h, w, c],
        };
        Self::check_shape(out.shape(), indices.len(), image)?;
        let indices = indices.as_slice()?;
        let flip = flip.as_ref().map(|f| f.as_slice()).transpose()?;
        let out = out.as_slice_mut()?;
        py.detach(|| self.0.gather_float(indices, flip, layout, out))
            .map_err(|e| read_error(py, &e))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Source>()?;
    m.add_class::<PixelPolicy>()?;
    m.add_class::<Reader>()?;
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
