//! Shards of a prepared set and what decides their pixels, for Python.

use std::path::PathBuf;

use gantools_image as gi;
use gantools_pack as pack;
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::{by_name, decode_options, Signals};
use crate::error::{data_error, os_error};
use crate::source::Source;

/// Everything that decides the pixels of a prepared image.
#[pyclass(frozen, module = "gantools._native")]
pub struct PixelPolicy(pub(crate) gi::PixelPolicy);

#[pymethods]
impl PixelPolicy {
    #[new]
    #[pyo3(signature = (*, width, height, channels, crop="center", band=None,
                        background=None, filter="lanczos", fast=false, alpha="error", orientation="apply",
                        sixteen_bit="full", half="whole", effect="none", max_pixels=178_956_970))]
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
        sixteen_bit: &str,
        half: &str,
        effect: &str,
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
            half: by_name("half", half, &gi::Half::NAMES)?,
            effect: by_name("effect", effect, &gi::Effect::NAMES)?,
            decode: decode_options(channels, alpha, orientation, sixteen_bit, max_pixels)?,
        }))
    }
}

/// Left, top, width and height in the image.
type Rectangle = (f64, f64, f64, f64);

#[pyfunction]
fn placement(
    py: Python<'_>,
    policy: &PixelPolicy,
    width: usize,
    height: usize,
) -> PyResult<Rectangle> {
    let shown = policy.0.shown(width, height);
    shown
        .map(Into::into)
        .map_err(|e| data_error(py, format!("{e}.")))
}

/// Position, class and reason.
type Reject = (usize, &'static str, String);

/// Count, hash, the rejects, the sizes of the others before, and how many hold 12 bits in 16.
type Prepared = (usize, String, Vec<Reject>, Vec<(usize, usize)>, usize);

#[pyfunction]
#[pyo3(signature = (source, items, policy, path, threads=0, progress=None, *, store="pixels", regions=None,
                    noise=None, seeds=None, yaws=None))]
fn prepare_shard(
    py: Python<'_>,
    source: &Source,
    items: PyReadonlyArray1<'_, i64>,
    policy: &PixelPolicy,
    path: PathBuf,
    threads: usize,
    progress: Option<Py<PyAny>>,
    store: &str,
    regions: Option<PyReadonlyArray2<'_, f64>>,
    noise: Option<f64>,
    seeds: Option<PyReadonlyArray1<'_, u64>>,
    yaws: Option<PyReadonlyArray1<'_, f64>>,
) -> PyResult<Prepared> {
    let store = by_name("store", store, &pack::Store::NAMES)?;
    let regions = regions
        .map(|regions| {
            let rows = regions.as_array();
            if rows.dim() != (items.len(), 8) {
                return Err(PyValueError::new_err("regions are float64 (n, 8)"));
            }
            let corners =
                |row: numpy::ndarray::ArrayView1<'_, f64>| std::array::from_fn(|i| row[i]);
            Ok(rows
                .rows()
                .into_iter()
                .map(|r| gi::Region(corners(r)))
                .collect::<Vec<_>>())
        })
        .transpose()?;
    if noise.is_some() != seeds.is_some()
        || seeds
            .as_ref()
            .is_some_and(|seeds| seeds.len() != items.len())
    {
        return Err(PyValueError::new_err("noise has a seed for each item"));
    }
    if yaws.as_ref().is_some_and(|yaws| yaws.len() != items.len()) {
        return Err(PyValueError::new_err("there is a yaw for each item"));
    }
    let seeds = seeds.map(|seeds| seeds.as_array().to_vec());
    let yaws = yaws.map(|yaws| yaws.as_array().to_vec());
    let items = source.numbers(&items)?;
    let mut signals = Signals::default();
    let result = py.detach(|| {
        let work = pack::Work {
            policy: &policy.0,
            regions: regions.as_deref(),
            store,
            noise: noise
                .zip(seeds.as_deref())
                .map(|(sigma, seeds)| pack::Noise { sigma, seeds }),
            yaws: yaws.as_deref(),
        };
        pack::prepare_shard(&source.0, &items, work, &path, threads, |done| {
            signals.after(|py| match &progress {
                Some(progress) => progress.call1(py, (done,)).map(|_| ()),
                None => Ok(()),
            })
        })
    });
    signals.raise()?;
    match result {
        Ok(shard) => {
            let rejects = shard.rejects.into_iter();
            let rejects = rejects.map(|(i, reject)| (i, reject.class, reject.reason));
            let (count, sizes) = (shard.count, shard.sizes);
            Ok((count, shard.xxh3, rejects.collect(), sizes, shard.shallow))
        }
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
    m.add_class::<PixelPolicy>()?;
    add_functions!(m, placement, prepare_shard, hash_file);
    // The command line offers exactly the names that are known here.
    m.add("CROPS", gi::Crop::NAMES.map(|(name, _)| name))?;
    m.add("EFFECTS", gi::Effect::NAMES.map(|(name, _)| name))?;
    m.add("STORES", pack::Store::NAMES.map(|(name, _)| name))?;
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
