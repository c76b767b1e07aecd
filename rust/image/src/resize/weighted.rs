//! Resizes whose values stay float32: two passes of weighted sums, as Pillow does them for images of mode `F` (float64
//! weights and sums, the result of the first pass rounded to float32) and PyTorch with antialiasing (float32).
//!
//! The terms of a sum are added one by one in the order of the pixels, without fused multiplication, since that order
//! decides the last bit; the vector's lanes are rows (in the horizontal pass) or columns (in the vertical one).

use std::ops::{AddAssign, Mul};

use super::fixed::{Filter, Weights};
use super::pillow::vertical_first;
use crate::{Pixels, Rect};

/// Float64 or float32: what weights and sums are.
pub(super) trait Number: Copy + From<f32> + Mul<Output = Self> + AddAssign {
    /// Rounded.
    fn narrow(self) -> f32;
}

impl Number for f32 {
    #[inline(always)]
    fn narrow(self) -> f32 {
        self
    }
}

impl Number for f64 {
    #[inline(always)]
    fn narrow(self) -> f32 {
        self as f32
    }
}

impl Weights<f64> {
    /// Pillow's weights of `filter` for a whole axis.
    pub(super) fn pillow(input: usize, output: usize, filter: Filter) -> Self {
        let whole = (0.0, input as f64);
        Self::new(input, whole, output, (0, output), filter)
    }
}

/// The memory between the passes, kept from image to image.
#[derive(Default)]
pub(super) struct Memory {
    between: Vec<f32>,
    lanes64: Lanes<f64>,
    lanes32: Lanes<f32>,
}

/// Samples and sums of the horizontal pass, of eight rows side by side.
struct Lanes<W> {
    samples: Vec<Side<W>>,
    sums: Vec<Side<f32>>,
}

impl<W> Default for Lanes<W> {
    fn default() -> Self {
        Self {
            samples: Vec::new(),
            sums: Vec::new(),
        }
    }
}

/// `value`, or the limit that it is outside of; in the form that is one instruction a limit.
#[inline(always)]
fn between(value: f32, (low, high): (f32, f32)) -> f32 {
    let value = if value < low { low } else { value };
    if value > high {
        high
    } else {
        value
    }
}

fn clip(values: &mut [f32]) {
    for value in values {
        *value = between(*value, LEVELS);
    }
}

/// As Pillow's `Image.resize` of each channel as an image of mode `F`, clipped to 0..255.
pub(super) fn pillow(
    memory: &mut Memory,
    image: &Pixels,
    part: &Rect,
    x: &Weights<f64>,
    y: &Weights<f64>,
    out: &mut [f32],
) {
    let (width, height) = (x.bounds.len(), y.bounds.len());
    let c = image.channels;
    let between = &mut memory.between;
    let lanes = &mut memory.lanes64;
    let all = Rows::of(image, part);
    // Pillow skips the pass along an axis that stays as it is.
    match (width != part.width, height != part.height) {
        (false, false) => {
            for (y, to) in out.chunks_exact_mut(width * c).enumerate() {
                for (value, &sample) in to.iter_mut().zip(image.row(part, y)) {
                    *value = f32::from(sample);
                }
            }
        }
        (true, false) => {
            horizontal64_bytes(&all, height, c, x, lanes, out);
            clip(out);
        }
        (false, true) => vertical64_bytes(&all, 0, width * c, y, LEVELS, out),
        (true, true) if vertical_first((part.width, part.height), (width, height)) => {
            let length = part.width * c;
            between.resize(height * length, 0.0);
            vertical64_bytes(&all, 0, length, y, ANY, between);
            let rows = Rows::packed(between, length);
            horizontal64_floats(&rows, height, c, x, lanes, out);
            clip(out);
        }
        (true, true) => {
            let (first, end) = y.reach();
            between.resize((end - first) * width * c, 0.0);
            horizontal64_bytes(&all.from(first), end - first, c, x, lanes, between);
            let rows = Rows::packed(between, width * c);
            vertical64_floats(&rows, first, width * c, y, LEVELS, out);
        }
    }
}

/// As PyTorch's antialiased resize: the horizontal pass first, each skipped where the axis stays as it is.
pub(super) fn torch(
    memory: &mut Memory,
    image: &Pixels,
    part: &Rect,
    x: &Weights<f32>,
    y: &Weights<f32>,
    out: &mut [f32],
) {
    let width = x.bounds.len();
    let (first, end) = y.reach();
    let length = width * image.channels;
    let between = &mut memory.between;
    between.resize((end - first) * length, 0.0);
    horizontal32(
        &Rows::of(image, part).from(first),
        end - first,
        image.channels,
        x,
        &mut memory.lanes32,
        between,
    );
    vertical32(&Rows::packed(between, length), first, length, y, ANY, out);
}

/// Rows of samples, one every `stride`.
struct Rows<'a, S> {
    data: &'a [S],
    stride: usize,
}

impl<'a> Rows<'a, u8> {
    fn of(image: &'a Pixels, part: &Rect) -> Self {
        let stride = image.width * image.channels;
        Self {
            data: &image.data[part.y * stride + part.x * image.channels..],
            stride,
        }
    }

    fn from(&self, first: usize) -> Self {
        Self {
            data: &self.data[first * self.stride..],
            stride: self.stride,
        }
    }
}

impl<'a> Rows<'a, f32> {
    fn packed(data: &'a [f32], stride: usize) -> Self {
        Self { data, stride }
    }
}

/// Rows summed side by side in the horizontal pass.
const LANES: usize = 8;

/// Values of eight rows, side by side.
type Side<T> = [T; LANES];

/// `count` rows along x, interleaved `c` channels (1 or 3); `lanes` is scratch memory.
#[inline(always)]
fn horizontal<S: Copy + Into<f32>, W: Number>(
    rows: &Rows<'_, S>,
    count: usize,
    c: usize,
    axis: &Weights<W>,
    lanes: &mut Lanes<W>,
    out: &mut [f32],
) {
    match c {
        1 => horizontal_channels::<1, S, W>(rows, count, axis, lanes, out),
        _ => horizontal_channels::<3, S, W>(rows, count, axis, lanes, out),
    }
}

#[inline(always)]
fn horizontal_channels<const C: usize, S: Copy + Into<f32>, W: Number>(
    rows: &Rows<'_, S>,
    count: usize,
    axis: &Weights<W>,
    lanes: &mut Lanes<W>,
    out: &mut [f32],
) {
    let zero = W::from(0.0);
    let end = axis.reach().1;
    let length = axis.bounds.len() * C;
    let Lanes { samples, sums } = lanes;
    samples.resize(end * C, [zero; LANES]);
    sums.resize(length.next_multiple_of(LANES), [0.0; LANES]);
    let blocks = out[..count * length].chunks_mut(LANES * length);
    for (block, to) in blocks.enumerate() {
        // Rows that do not exist keep what was there and are not written.
        for lane in 0..to.len() / length {
            let row = &rows.data[(block * LANES + lane) * rows.stride..][..end * C];
            for (side, &s) in samples.iter_mut().zip(row) {
                side[lane] = W::from(s.into());
            }
        }
        let (pixels, _) = samples.as_chunks::<C>();
        let (targets, _) = sums.as_chunks_mut::<C>();
        let weights = axis.weights.chunks_exact(axis.taps);
        for ((target, &(first, count)), weights) in
            targets.iter_mut().zip(&axis.bounds).zip(weights)
        {
            let mut sum = [[zero; LANES]; C];
            for (&k, pixel) in weights[..count].iter().zip(&pixels[first..first + count]) {
                for channel in 0..C {
                    for i in 0..LANES {
                        sum[channel][i] += pixel[channel][i] * k;
                    }
                }
            }
            for channel in 0..C {
                for i in 0..LANES {
                    target[channel][i] = sum[channel][i].narrow();
                }
            }
        }
        // Eight by eight values at a time, from side by side to row after row.
        for (lane, row) in to.chunks_exact_mut(length).enumerate() {
            let (tiles, _) = sums.as_chunks::<LANES>();
            let (parts, rest) = row.as_chunks_mut::<LANES>();
            for (part, tile) in parts.iter_mut().zip(tiles) {
                for i in 0..LANES {
                    part[i] = tile[i][lane];
                }
            }
            let done = parts.len() * LANES;
            for (value, side) in rest.iter_mut().zip(&sums[done..]) {
                *value = side[lane];
            }
        }
    }
}

/// Columns summed side by side in the vertical pass.
const COLUMNS: usize = 32;

/// Limits that nothing is outside of.
const ANY: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);
/// The limits of 8 bits, which clean-fid clips to.
const LEVELS: (f32, f32) = (0.0, 255.0);

/// All rows of the target, `length` samples each, clipped to `limits`; the first of `rows` is number `origin`.
#[inline(always)]
fn vertical<S: Copy + Into<f32>, W: Number>(
    rows: &Rows<'_, S>,
    origin: usize,
    length: usize,
    axis: &Weights<W>,
    limits: (f32, f32),
    out: &mut [f32],
) {
    for ((to, &(first, count)), weights) in out
        .chunks_exact_mut(length)
        .zip(&axis.bounds)
        .zip(axis.weights.chunks_exact(axis.taps))
    {
        let weights = &weights[..count];
        let first = first - origin;
        let (blocks, rest) = to.as_chunks_mut::<COLUMNS>();
        let done = blocks.len() * COLUMNS;
        for (block, to) in blocks.iter_mut().enumerate() {
            let mut sums = [W::from(0.0); COLUMNS];
            for (i, &k) in weights.iter().enumerate() {
                let at = (first + i) * rows.stride + block * COLUMNS;
                let samples: &[S; COLUMNS] = rows.data[at..]
                    .first_chunk()
                    .expect("a row is `length` long");
                for i in 0..COLUMNS {
                    sums[i] += W::from(samples[i].into()) * k;
                }
            }
            for i in 0..COLUMNS {
                to[i] = between(sums[i].narrow(), limits);
            }
        }
        for (x, value) in rest.iter_mut().enumerate() {
            let mut sum = W::from(0.0);
            for (i, &k) in weights.iter().enumerate() {
                sum += W::from(rows.data[(first + i) * rows.stride + done + x].into()) * k;
            }
            *value = between(sum.narrow(), limits);
        }
    }
}

dispatch!(horizontal64_bytes, horizontal64_bytes_avx2, horizontal64_bytes_avx512, horizontal, (rows: &Rows<'_, u8>, count: usize, c: usize, axis: &Weights<f64>, lanes: &mut Lanes<f64>, out: &mut [f32]));
dispatch!(horizontal64_floats, horizontal64_floats_avx2, horizontal64_floats_avx512, horizontal, (rows: &Rows<'_, f32>, count: usize, c: usize, axis: &Weights<f64>, lanes: &mut Lanes<f64>, out: &mut [f32]));
dispatch!(horizontal32, horizontal32_avx2, horizontal32_avx512, horizontal, (rows: &Rows<'_, u8>, count: usize, c: usize, axis: &Weights<f32>, lanes: &mut Lanes<f32>, out: &mut [f32]));
dispatch!(vertical64_bytes, vertical64_bytes_avx2, vertical64_bytes_avx512, vertical, (rows: &Rows<'_, u8>, origin: usize, length: usize, axis: &Weights<f64>, limits: (f32, f32), out: &mut [f32]));
dispatch!(vertical64_floats, vertical64_floats_avx2, vertical64_floats_avx512, vertical, (rows: &Rows<'_, f32>, origin: usize, length: usize, axis: &Weights<f64>, limits: (f32, f32), out: &mut [f32]));
dispatch!(vertical32, vertical32_avx2, vertical32_avx512, vertical, (rows: &Rows<'_, f32>, origin: usize, length: usize, axis: &Weights<f32>, limits: (f32, f32), out: &mut [f32]));
