//! `gantools-image` for Python.

use std::borrow::Borrow;
use std::sync::Mutex;

use gantools_image as gi;
use gantools_image::resize::input::{Input, InputResizer, Rule, Square};
use gantools_pack as pack;
use gantools_pack::parallel;
use numpy::ndarray::{Array2, Array3};
use numpy::{
    IntoPyArray, PyArray2, PyArray3, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray4,
    PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::data_error;
use crate::prep::Source;

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
#[pyo3(signature = (data, *, channels=3, alpha="error", orientation="apply", max_pixels=178_956_970))]
fn decode<'py>(
    py: Python<'py>,
    data: &[u8],
    channels: usize,
    alpha: &str,
    orientation: &str,
    max_pixels: u64,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let options = decode_options(channels, alpha, orientation, max_pixels)?;
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
        let part = (0, 0, pixels.width, pixels.height);
        let geometry = gi::resize::pillow::Geometry::whole(part, (width, height));
        let mut data = vec![0; height * width * pixels.channels];
        gi::resize::pillow::Resizer::default().resize(&pixels, &geometry, filter, &mut data)?;
        gi::Pixels::new(width, height, pixels.channels, data)
    });
    to_array3(
        py,
        resized.map_err(|e| PyValueError::new_err(e.to_string()))?,
    )
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

/// What a thread keeps from image to image.
#[derive(Default)]
struct Worker {
    decoder: gi::Decoder,
    resizer: InputResizer,
}

/// For each input float32 (n, size, size, 3), filled in parallel from one call of `image(decoder, i)` an image. The error
/// of the image with the lowest number is raised; Ctrl-C stops between images.
fn input_batches<'py, P: Borrow<gi::Pixels>>(
    py: Python<'py>,
    n: usize,
    inputs: &[Input],
    threads: usize,
    image: impl Fn(&mut gi::Decoder, usize) -> Result<P, String> + Sync,
) -> PyResult<Vec<Bound<'py, PyArray4<f32>>>> {
    // NumPy's own memory: it asks for large pages, without which half of the time goes to the system's page faults.
    let arrays: Vec<_> = inputs
        .iter()
        .map(|i| PyArray4::<f32>::zeros(py, [n, i.size, i.size, 3], false))
        .collect();
    let mut guards: Vec<_> = arrays.iter().map(|array| array.readwrite()).collect();
    let outs = guards.iter_mut().map(|guard| guard.as_slice_mut());
    let mut outs = outs.collect::<Result<Vec<_>, _>>()?;
    let mut signal = Ok(());
    let failures = Mutex::new(Vec::new());
    py.detach(|| {
        let mut slots: Vec<_> = (0..n).map(|_| Vec::with_capacity(inputs.len())).collect();
        for (out, input) in outs.iter_mut().zip(inputs) {
            let length = input.size * input.size * 3;
            for (slot, part) in slots.iter_mut().zip(out.chunks_exact_mut(length)) {
                slot.push(part);
            }
        }
        let slots: Vec<_> = slots.into_iter().map(Mutex::new).collect();
        let work = |worker: &mut Worker, i: usize| -> Result<(), String> {
            let image = image(&mut worker.decoder, i)?;
            let mut slot = slots[i].lock().expect("each slot is used once");
            for (input, out) in inputs.iter().zip(slot.iter_mut()) {
                worker
                    .resizer
                    .resize(image.borrow(), input, out)
                    .map_err(|e| e.to_string())?;
            }
            Ok(())
        };
        parallel::for_each(
            n,
            parallel::threads(threads),
            Worker::default,
            |worker, i| {
                if let Err(e) = work(worker, i) {
                    failures.lock().expect("no panic while held").push((i, e));
                }
            },
            |_| {
                signal = Python::attach(|py| py.check_signals());
                signal.is_ok()
            },
        )
    });
    signal?;
    let mut failures = failures.into_inner().expect("no panic while held");
    failures.sort();
    if let Some((_, message)) = failures.first() {
        return Err(data_error(py, message));
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
    // What Pillow's `Image.open(path).convert("RGB")` gives, since that is what the other tools score.
    let options = decode_options(3, "drop", "ignore", gi::DEFAULT_MAX_PIXELS)?;
    input_batches(py, items.len(), &inputs, threads, |decoder, i| {
        let item = items[i];
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", source.place(item));
        match source.read(item).map_err(|e| failed(&e))? {
            pack::Item::Raw(pixels) => Ok(pixels),
            pack::Item::Encoded(data) => decoder.decode(&data, &options).map_err(|e| failed(&e)),
        }
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
    input_batches(py, n, &inputs, threads, |_, i| {
        let image = array.index_axis(numpy::ndarray::Axis(0), i);
        let data = match image.as_slice() {
            Some(contiguous) => contiguous.to_vec(),
            None => image.iter().copied().collect(),
        };
        gi::Pixels::new(width, height, channels, data).map_err(|e| format!("image {i}: {e}"))
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

/// What is known of an item that could be read: its row and the hash of its bytes.
type Inspected = ([i64; COLUMNS], u128);

fn inspect_item(source: &pack::Source, item: usize) -> Result<Inspected, String> {
    match source.read(item)? {
        pack::Item::Raw(pixels) => {
            let mode = if pixels.channels < 3 {
                gi::Mode::Grey
            } else {
                gi::Mode::Rgb
            };
            let alpha = pixels.channels % 2 == 0;
            let row = [
                pixels.width as i64,
                pixels.height as i64,
                -1,
                number_of(&mode, &gi::Mode::NAMES),
                8,
                i64::from(alpha),
                1,
            ];
            Ok((row, pack::hash_bytes(&pixels.data)))
        }
        pack::Item::Encoded(data) => {
            let header = gi::inspect(&data).map_err(|e| e.to_string())?;
            let row = [
                header.width as i64,
                header.height as i64,
                number_of(&header.format, &gi::Format::NAMES),
                number_of(&header.mode, &gi::Mode::NAMES),
                i64::from(header.bits),
                i64::from(header.alpha),
                i64::from(header.orientation),
            ];
            Ok((row, pack::hash_bytes(&data)))
        }
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
    let n = items.len();
    let mut rows = vec![0i64; n * COLUMNS];
    let mut hashes = vec![0u64; n * 2];
    let failures = Mutex::new(Vec::new());
    let mut signal = Ok(());
    py.detach(|| {
        let slots: Vec<_> = rows
            .chunks_exact_mut(COLUMNS)
            .zip(hashes.chunks_exact_mut(2))
            .map(Mutex::new)
            .collect();
        parallel::for_each(
            n,
            parallel::threads(threads),
            || (),
            |(), i| match inspect_item(source, items[i]) {
                Ok((row, hash)) => {
                    let mut slot = slots[i].lock().expect("each slot is used once");
                    slot.0.copy_from_slice(&row);
                    slot.1.copy_from_slice(&[(hash >> 64) as u64, hash as u64]);
                }
                Err(e) => failures.lock().expect("no panic while held").push((i, e)),
            },
            |_| {
                signal = Python::attach(|py| py.check_signals());
                signal.is_ok()
            },
        )
    });
    signal?;
    let mut failures = failures.into_inner().expect("no panic while held");
    failures.sort();
    let shaped = |e: numpy::ndarray::ShapeError| PyValueError::new_err(e.to_string());
    let rows = Array2::from_shape_vec((n, COLUMNS), rows).map_err(shaped)?;
    let hashes = Array2::from_shape_vec((n, 2), hashes).map_err(shaped)?;
    Ok((rows.into_pyarray(py), hashes.into_pyarray(py), failures))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(decode, m)?)?;
    m.add_function(wrap_pyfunction!(encode_png, m)?)?;
    m.add_function(wrap_pyfunction!(resize, m)?)?;
    m.add_function(wrap_pyfunction!(read_images, m)?)?;
    m.add_function(wrap_pyfunction!(resize_images, m)?)?;
    m.add_function(wrap_pyfunction!(inspect_images, m)?)?;
    m.add("IMAGE_FORMATS", gi::Format::NAMES.map(|(name, _)| name))?;
    m.add("IMAGE_MODES", gi::Mode::NAMES.map(|(name, _)| name))?;
    m.add("RESIZE_RULES", Rule::NAMES.map(|(name, _)| name))?;
    m.add("SQUARE_CROPS", Square::NAMES.map(|(name, _)| name))?;
    Ok(())
}
