//! The reader of a prepared set's shards, for Python.

use std::path::PathBuf;

use gantools_pack as pack;
use numpy::{PyReadonlyArray1, PyReadwriteArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;

use crate::convert::by_name;
use crate::error::raise;
use crate::shard::PixelPolicy;

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
    #[pyo3(signature = (paths, counts, shape, *, store="pixels", policy=None))]
    fn new(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        counts: Vec<usize>,
        shape: [usize; 3],
        store: &str,
        policy: Option<&PixelPolicy>,
    ) -> PyResult<Self> {
        let store = by_name("store", store, &pack::Store::NAMES)?;
        let encoding = match (store, policy) {
            (pack::Store::Pixels, _) => None,
            (_, Some(PixelPolicy(policy)))
                if [policy.height, policy.width, policy.decode.channels] == shape =>
            {
                Some(pack::Encoding::of(store, policy))
            }
            _ => {
                return Err(PyValueError::new_err(
                    "encoded shards need the policy of this shape",
                ))
            }
        };
        if paths.len() != counts.len() || shape.contains(&0) {
            return Err(PyValueError::new_err(
                "as many counts as paths, and a shape without 0",
            ));
        }
        let shards: Vec<_> = paths.into_iter().zip(counts).collect();
        py.detach(|| pack::Reader::open(&shards, shape, encoding))
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
    m.add_class::<Reader>()
}
