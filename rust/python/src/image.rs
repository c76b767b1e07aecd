//! `gantools-image` for Python.

use gantools_image as gi;
use gantools_image::resize::input::{Input, Rule, Square};
use gantools_pack::inputs::{self, FillError};
use gantools_pack::inspect::{inspect_all, Inspected, Kind};
use numpy::ndarray::{Array2, Array3, ArrayView1};
use numpy::{
    IntoPyArray, PyArray2, PyArray3, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadonlyArray4, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{by_name, decode_options, row_major, Signals};
use crate::error::data_error;
use crate::source::Source;

/// uint8 (h, w) or (h, w, c), C-contiguous or not, to pixels.
fn pixels_from_array(image: &PyReadonlyArrayDyn<'_, u8>) -> PyResult<gi::Pixels> {
    let (height, width, channels) = match *image.shape() {
        [h, w] => (h, w, 1),
        [h, w, c] => (h, w, c),
        _ => {
            return Err(PyValueError::new_err(
                "an image is uint8 (h, w) or (h, w, c)",
            ))
        }
    };
    gi::Pixels::new(width, height, channels, row_major(image))
        .map_err(|e| PyValueError::new_err(e.to_string()))
}

fn to_array3(py: Python<'_>, pixels: gi::Pixels) -> PyResult<Bound<'_, PyArray3<u8>>> {
    let shape = (pixels.height, pixels.width, pixels.channels);
    let array = Array3::from_shape_vec(shape, pixels.data)
        .map_err(|e| PyValueError::new_err(e.to_string()))?;
    Ok(array.into_pyarray(py))
}

#[pyfunction]
#[pyo3(signature = (data, *, channels=3, alpha="error", orientation="apply", sixteen_bit="full", max_pixels=178_956_970))]
fn decode<'py>(
    py: Python<'py>,
    data: &[u8],
    channels: usize,
    alpha: &str,
    orientation: &str,
    sixteen_bit: &str,
    max_pixels: u64,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let options = decode_options(channels, alpha, orientation, sixteen_bit, max_pixels)?;
    let pixels = py
        .detach(|| gi::Decoder::default().decode(data, &options))
        .map_err(|e| data_error(py, e))?;
    to_array3(py, pixels)
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

#[pyfunction]
#[pyo3(signature = (image, height, width, filter="lanczos"))]
fn resize<'py>(
    py: Python<'py>,
    image: PyReadonlyArrayDyn<'py, u8>,
    height: usize,
    width: usize,
    filter: &str,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let filter = by_name("filter", filter, &gi::Filter::NAMES)?;
    let pixels = pixels_from_array(&image)?;
    let resized = py.detach(|| {
        let geometry = gi::resize::pillow::Geometry::whole(gi::Rect::of(&pixels), (width, height));
        let mut data = vec![0; height * width * pixels.channels];
        gi::resize::pillow::Resizer::default().resize(&pixels, &geometry, filter, &mut data)?;
        gi::Pixels::new(width, height, pixels.channels, data)
    });
    to_array3(
        py,
        resized.map_err(|e| PyValueError::new_err(e.to_string()))?,
    )
}

#[pyfunction]
fn turn<'py>(
    py: Python<'py>,
    image: PyReadonlyArrayDyn<'py, u8>,
    yaw: f64,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let mut pixels = pixels_from_array(&image)?;
    py.detach(|| {
        let (w, h, c) = (pixels.width, pixels.height, pixels.channels);
        gi::turn(&mut pixels.data, w, h, c, yaw);
    });
    to_array3(py, pixels)
}

#[pyfunction]
fn turned_points<'py>(
    py: Python<'py>,
    points: PyReadonlyArray2<'py, f64>,
    yaws: PyReadonlyArray1<'py, f64>,
    side: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let mut points = points.as_array().to_owned();
    if points.dim() != (yaws.len(), 2) || side == 0 {
        return Err(PyValueError::new_err(
            "points are float64 (n, 2), with a yaw each, and the side is at least 1",
        ));
    }
    for (mut point, yaw) in points.rows_mut().into_iter().zip(yaws.as_array()) {
        point[0] = gi::turned(point[0], point[1], *yaw, side);
    }
    Ok(points.into_pyarray(py))
}

/// Inputs from (resize, size, crop) each.
fn inputs_from(given: &[(String, usize, String)]) -> PyResult<Vec<Input>> {
    given
        .iter()
        .map(|(rule, size, crop)| {
            if *size == 0 {
                return Err(PyValueError::new_err("size must be at least 1"));
            }
            Ok(Input {
                rule: by_name("resize", rule, &Rule::NAMES)?,
                size: *size,
                square: by_name("crop", crop, &Square::NAMES)?,
            })
        })
        .collect()
}

/// For each input float32 (n, size, size, 3), filled by `fill(outs, watch)` without the interpreter lock.
fn input_batches<'py>(
    py: Python<'py>,
    n: usize,
    inputs: &[Input],
    fill: impl FnOnce(&mut [&mut [f32]], &mut (dyn FnMut() -> bool + Send)) -> Result<(), FillError>
        + Send,
) -> PyResult<Vec<Bound<'py, PyArray4<f32>>>> {
    // NumPy's own memory: it asks for large pages, without which half of the time goes to the system's page faults.
    let arrays: Vec<_> = inputs
        .iter()
        .map(|i| PyArray4::<f32>::zeros(py, [n, i.size, i.size, 3], false))
        .collect();
    let mut guards: Vec<_> = arrays.iter().map(|array| array.readwrite()).collect();
    let outs = guards.iter_mut().map(|guard| guard.as_slice_mut());
    let mut outs = outs.collect::<Result<Vec<_>, _>>()?;
    let mut signals = Signals::default();
    let filled = py.detach(|| fill(&mut outs, &mut || signals.none()));
    signals.raise()?;
    match filled {
        Ok(()) => {}
        Err(FillError::Image(message)) => return Err(data_error(py, message)),
        Err(FillError::Interrupted) => unreachable!("only a raised error interrupts"),
    }
    drop(guards);
    Ok(arrays)
}

#[pyfunction]
#[pyo3(signature = (source, items, inputs, threads=0))]
fn read_images<'py>(
    py: Python<'py>,
    source: &Source,
    items: PyReadonlyArray1<'_, i64>,
    inputs: Vec<(String, usize, String)>,
    threads: usize,
) -> PyResult<Vec<Bound<'py, PyArray4<f32>>>> {
    let inputs = inputs_from(&inputs)?;
    let items = source.numbers(&items)?;
    let source = &source.0;
    input_batches(py, items.len(), &inputs, |outs, watch| {
        inputs::fill_from(source, &items, &inputs, outs, threads, watch)
    })
}

#[pyfunction]
#[pyo3(signature = (images, inputs, threads=0))]
fn resize_images<'py>(
    py: Python<'py>,
    images: PyReadonlyArray4<'py, u8>,
    inputs: Vec<(String, usize, String)>,
    threads: usize,
) -> PyResult<Vec<Bound<'py, PyArray4<f32>>>> {
    let inputs = inputs_from(&inputs)?;
    let &[n, height, width, channels] = images.shape() else {
        return Err(PyValueError::new_err("images are uint8 (n, h, w, c)"));
    };
    if channels != 1 && channels != 3 {
        return Err(PyValueError::new_err(format!(
            "images have 1 or 3 channels, not {channels}"
        )));
    }
    let array = images.as_array();
    let image = |_: &mut gi::Decoder, i: usize| {
        let image = array.index_axis(numpy::ndarray::Axis(0), i);
        let data = match image.as_slice() {
            Some(contiguous) => contiguous.to_vec(),
            None => image.iter().copied().collect(),
        };
        gi::Pixels::new(width, height, channels, data).map_err(|e| format!("image {i}: {e}"))
    };
    input_batches(py, n, &inputs, |outs, watch| {
        inputs::fill(n, &inputs, outs, threads, image, watch)
    })
}

/// The place of `value` in a table of names.
fn number_of<T: PartialEq>(value: &T, names: &[(&'static str, T)]) -> i64 {
    names
        .iter()
        .position(|(_, v)| v == value)
        .map_or(-1, |i| i as i64)
}

/// A row for each item: width, height, format, mode, bits, alpha, orientation.
const COLUMNS: usize = 7;

fn row(kind: &Kind) -> [i64; COLUMNS] {
    match kind {
        Kind::Pixels {
            width,
            height,
            mode,
            alpha,
        } => [
            *width as i64,
            *height as i64,
            -1,
            number_of(mode, &gi::Mode::NAMES),
            8,
            i64::from(*alpha),
            1,
        ],
        Kind::File(header) => [
            header.width as i64,
            header.height as i64,
            number_of(&header.format, &gi::Format::NAMES),
            number_of(&header.mode, &gi::Mode::NAMES),
            i64::from(header.bits),
            i64::from(header.alpha),
            i64::from(header.orientation),
        ],
    }
}

/// Rows, hashes and what could not be read.
type Table<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<u64>>,
    Vec<(usize, String)>,
);

#[pyfunction]
#[pyo3(signature = (source, items, threads=0))]
fn inspect_images<'py>(
    py: Python<'py>,
    source: &Source,
    items: PyReadonlyArray1<'_, i64>,
    threads: usize,
) -> PyResult<Table<'py>> {
    let items = source.numbers(&items)?;
    let source = &source.0;
    let mut signals = Signals::default();
    let found = py.detach(|| inspect_all(source, &items, threads, || signals.none()));
    signals.raise()?;
    let found = found.expect("only a raised error interrupts");
    let mut rows = Array2::zeros((items.len(), COLUMNS));
    let mut hashes = Array2::zeros((items.len(), 2));
    let mut failures = Vec::new();
    for (i, result) in found.into_iter().enumerate() {
        match result {
            Ok(Inspected { kind, hash }) => {
                rows.row_mut(i).assign(&ArrayView1::from(&row(&kind)));
                hashes[[i, 0]] = (hash >> 64) as u64;
                hashes[[i, 1]] = hash as u64;
            }
            Err(reason) => failures.push((i, reason)),
        }
    }
    Ok((rows.into_pyarray(py), hashes.into_pyarray(py), failures))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(
        m,
        decode,
        encode_png,
        resize,
        turn,
        turned_points,
        read_images,
        resize_images,
        inspect_images
    );
    m.add("IMAGE_FORMATS", gi::Format::NAMES.map(|(name, _)| name))?;
    m.add("IMAGE_MODES", gi::Mode::NAMES.map(|(name, _)| name))?;
    m.add("RESIZE_RULES", Rule::NAMES.map(|(name, _)| name))?;
    m.add("SQUARE_CROPS", Square::NAMES.map(|(name, _)| name))?;
    Ok(())
}
