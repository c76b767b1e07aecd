//! Antialiased resize of 8-bit images, byte-equal with Pillow's `Image.resize`.
//!
//! As in Pillow: the filter is stretched by the scale when shrinking, weights are normalised in float64 and rounded to
//! 22-bit fixed point, and the result of the first pass is rounded and clipped to 8 bits before the second. The order of
//! the passes therefore matters: the other way round changes one byte in eight. It is the horizontal pass first, but,
//! since Pillow 13, the vertical one where the height shrinks by more than twice as many pixels as the width.

use super::fixed::{Axis, Weights, HALF, PRECISION_BITS};
use super::rgb;
use super::Filter;
use crate::{ImageError, Pixels, Rect};

fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// What is resized to what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// The part of the image that pixels are taken from; nothing outside is looked at.
    pub part: Rect,
    /// x, y, width and height, relative to the part, of the span that becomes the result: mostly the whole part.
    pub span: (f64, f64, f64, f64),
    /// Width and height that the span is resized to.
    pub size: (usize, usize),
    /// What is wanted of that.
    pub window: Rect,
}

impl Geometry {
    /// A part resized as a whole.
    pub fn whole(part: Rect, size: (usize, usize)) -> Self {
        Self {
            part,
            span: (0.0, 0.0, part.width as f64, part.height as f64),
            size,
            window: Rect::from_size(size.0, size.1),
        }
    }

    fn check(&self, image: &Pixels, out: usize) -> Result<(), ImageError> {
        let Rect {
            x,
            y,
            width: w,
            height: h,
        } = self.part;
        if w == 0 || h == 0 || !self.part.is_inside(image.width, image.height) {
            return Err(ImageError::Geometry(format!(
                "the crop {w}x{h}+{x}+{y} is not inside {}x{}",
                image.width, image.height
            )));
        }
        let Rect { width, height, .. } = self.window;
        if width == 0 || height == 0 || out != width * height * image.channels {
            return Err(ImageError::Geometry(format!(
                "{out} bytes are not a {width}x{height} image of {} channels",
                image.channels
            )));
        }
        let inside = |start: f64, length: f64, whole: usize| {
            start >= 0.0 && length > 0.0 && start + length <= whole as f64
        };
        let (left, top, across, down) = self.span;
        if !self.window.is_inside(self.size.0, self.size.1)
            || !inside(left, across, w)
            || !inside(top, down, h)
        {
            return Err(ImageError::Geometry(format!("{self:?} contradicts itself")));
        }
        Ok(())
    }
}

/// What decides the weights.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    geometry: Geometry,
    filter: Filter,
    channels: usize,
}

/// The two axes for one geometry, with the horizontal weights repeated for each channel.
struct Tables {
    key: Key,
    x: Axis,
    y: Axis,
    /// `x.weights` with each weight `channels` times in a row, so that it lines up with interleaved samples; for each
    /// target index `x_stride` of them, zeros at the end.
    x_interleaved: Vec<i32>,
    x_stride: usize,
    /// The horizontal weights for the vector code for RGB, where it is used.
    x_rgb: Option<rgb::Weights>,
}

/// Resizes image after image; keeps the weights of the last few pairs of sizes and the memory between the passes.
#[derive(Default)]
pub struct Resizer {
    tables: Vec<Tables>,
    between: Vec<u8>,
}

/// Tables kept: sets mostly have one size of image, and a folder of mixed sizes must not fill the memory.
const KEPT_TABLES: usize = 8;

impl Resizer {
    /// Resizes as `geometry` says, into `out` (HWC).
    ///
    /// Byte for byte equal to Pillow's `image.crop(part).resize(size, filter, box=span).crop(window)`.
    pub fn resize(
        &mut self,
        image: &Pixels,
        geometry: &Geometry,
        filter: Filter,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        geometry.check(image, out.len())?;
        let c = image.channels;
        let part = geometry.part;
        let (w, h) = (part.width, part.height);
        let Rect {
            x: left,
            y: top,
            width,
            height,
        } = geometry.window;
        let stride = image.width * c;
        let start = part.y * stride + part.x * c;
        let row = |y: usize| &image.data[start + y * stride..][..w * c];

        // Pillow skips the pass along an axis that stays as it is.
        let across = (0.0, geometry.size.0 as f64) != (geometry.span.0, geometry.span.2);
        let down = (0.0, geometry.size.1 as f64) != (geometry.span.1, geometry.span.3);
        let between = &mut self.between;
        let key = Key {
            geometry: Geometry {
                part: Rect::from_size(w, h), // where it lies does not matter for the weights
                ..*geometry
            },
            filter,
            channels: c,
        };
        let tables = Self::tables(&mut self.tables, key);
        match (across, down) {
            (false, false) => {
                for (y, to) in out.chunks_exact_mut(width * c).enumerate() {
                    to.copy_from_slice(&row(top + y)[left * c..][..width * c]);
                }
            }
            (true, false) => {
                horizontal_rows(|y| row(top + y), tables, c, width * c, out);
            }
            (false, true) => {
                let columns = &image.data[start + left * c..];
                vertical(columns, stride, &tables.y, 0, width * c, out);
            }
            (true, true) if vertical_first((w, h), geometry.size) => {
                reserve(between, height * w * c);
                let between = &mut between[..height * w * c];
                vertical(&image.data[start..], stride, &tables.y, 0, w * c, between);
                let row = |y: usize| &between[y * w * c..][..w * c];
                horizontal_rows(row, tables, c, width * c, out);
            }
            (true, true) => {
                let (first, end) = tables.y.reach();
                let length = (end - first) * width * c;
                reserve(between, length);
                let between = &mut between[..length];
                horizontal_rows(|y| row(first + y), tables, c, width * c, between);
                vertical(between, width * c, &tables.y, first, width * c, out);
            }
        }
        Ok(())
    }

    fn tables(kept: &mut Vec<Tables>, key: Key) -> &Tables {
        if let Some(at) = kept.iter().position(|t| t.key == key) {
            // Most recently used last.
            let table = kept.remove(at);
            kept.push(table);
        } else {
            if kept.len() == KEPT_TABLES {
                kept.remove(0);
            }
            let Geometry {
                part,
                span,
                size,
                window,
            } = key.geometry;
            let channels = key.channels;
            let axis = |input, from, output, window| {
                Weights::new(input, from, output, window, key.filter).fixed()
            };
            let x = axis(
                part.width,
                (span.0, span.2),
                size.0,
                (window.x, window.width),
            );
            let y = axis(
                part.height,
                (span.1, span.3),
                size.1,
                (window.y, window.height),
            );
            let x_stride = (x.taps * channels).next_multiple_of(LANES);
            let mut x_interleaved = vec![0; window.width * x_stride];
            for (to, from) in x_interleaved
                .chunks_exact_mut(x_stride)
                .zip(x.weights.chunks_exact(x.taps))
            {
                for (pixel, &k) in to.chunks_exact_mut(channels).zip(from) {
                    pixel.fill(k);
                }
            }
            let x_rgb = (channels == 3).then(|| rgb::Weights::new(&x)).flatten();
            kept.push(Tables {
                key,
                x,
                y,
                x_interleaved,
                x_stride,
                x_rgb,
            });
        }
        &kept[kept.len() - 1]
    }
}

/// Makes `buffer` at least `length` long without clearing what is there already.
fn reserve(buffer: &mut Vec<u8>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
}

/// Whether Pillow (since version 13) runs the vertical pass first, for sizes (width, height).
pub(super) fn vertical_first(from: (usize, usize), to: (usize, usize)) -> bool {
    let shrunk = |from: usize, to: usize| from as i64 - to as i64;
    let down = shrunk(from.1, to.1);
    down > 0 && down > 2 * shrunk(from.0, to.0)
}

/// Samples summed side by side in the horizontal pass: a multiple of every number of channels and of eight, the
/// vector register's lanes.
const LANES: usize = 24;

/// One row along x, for `C` channels. Integer sums have no order, so the lanes give what Pillow's loop gives.
#[inline(always)]
fn horizontal_channels<const C: usize>(row: &[u8], tables: &Tables, out: &mut [u8]) {
    let (pixels, _) = out.as_chunks_mut::<C>();
    for ((pixel, &(first, count)), weights) in pixels
        .iter_mut()
        .zip(&tables.x.bounds)
        .zip(tables.x_interleaved.chunks_exact(tables.x_stride))
    {
        let mut lanes = [0i32; LANES];
        let (weight_blocks, _) = weights.as_chunks::<LANES>();
        let weight_blocks = &weight_blocks[..(count * C).div_ceil(LANES)];
        let samples = &row[first * C..];
        if samples.len() >= weight_blocks.len() * LANES {
            // The samples beyond `count` have weight zero.
            let (sample_blocks, _) = samples.as_chunks::<LANES>();
            for (s, k) in sample_blocks.iter().zip(weight_blocks) {
                for i in 0..LANES {
                    lanes[i] = lanes[i].wrapping_add(i32::from(s[i]).wrapping_mul(k[i]));
                }
            }
        } else {
            // At the right edge those samples do not exist.
            for (i, (&s, &k)) in samples.iter().zip(weights).enumerate() {
                lanes[i % LANES] = lanes[i % LANES].wrapping_add(i32::from(s).wrapping_mul(k));
            }
        }
        // Fold by halves while whole pixels stay whole.
        let mut kept = LANES;
        while kept.is_multiple_of(2 * C) {
            kept /= 2;
            for i in 0..kept {
                lanes[i] = lanes[i].wrapping_add(lanes[i + kept]);
            }
        }
        for (channel, value) in pixel.iter_mut().enumerate() {
            let sum = (channel..kept)
                .step_by(C)
                .fold(HALF, |sum, i| sum.wrapping_add(lanes[i]));
            *value = clip8(sum);
        }
    }
}

#[inline(always)]
fn horizontal_body(row: &[u8], tables: &Tables, c: usize, out: &mut [u8]) {
    match c {
        1 => horizontal_channels::<1>(row, tables, out),
        2 => horizontal_channels::<2>(row, tables, out),
        3 => horizontal_channels::<3>(row, tables, out),
        _ => horizontal_channels::<4>(row, tables, out),
    }
}

/// Columns summed side by side in the vertical pass.
const COLUMNS: usize = 32;

/// All rows of the target, `length` samples each; a source row begins every `stride` samples of `rows`, the first of
/// them is number `origin`.
#[inline(always)]
fn vertical_body(
    rows: &[u8],
    stride: usize,
    axis: &Axis,
    origin: usize,
    length: usize,
    out: &mut [u8],
) {
    for ((to, &(first, count)), weights) in out
        .chunks_exact_mut(length)
        .zip(&axis.bounds)
        .zip(axis.weights.chunks_exact(axis.taps))
    {
        let weights = &weights[..count];
        let first = first - origin;
        let mut at = 0;
        while at + COLUMNS <= length {
            let mut sums = [HALF; COLUMNS];
            for (i, &k) in weights.iter().enumerate() {
                let samples = &rows[(first + i) * stride + at..][..COLUMNS];
                for (sum, &s) in sums.iter_mut().zip(samples) {
                    *sum = sum.wrapping_add(i32::from(s).wrapping_mul(k));
                }
            }
            for (value, sum) in to[at..at + COLUMNS].iter_mut().zip(sums) {
                *value = clip8(sum);
            }
            at += COLUMNS;
        }
        for (x, value) in to.iter_mut().enumerate().skip(at) {
            let sum = weights.iter().enumerate().fold(HALF, |sum, (i, &k)| {
                sum.wrapping_add(i32::from(rows[(first + i) * stride + x]).wrapping_mul(k))
            });
            *value = clip8(sum);
        }
    }
}

/// Rows along x, as many of `length` samples as `out` holds; `row(y)` is the source of number y.
fn horizontal_rows<'a>(
    row: impl Fn(usize) -> &'a [u8],
    tables: &Tables,
    c: usize,
    length: usize,
    out: &mut [u8],
) {
    match &tables.x_rgb {
        Some(weights) => weights.apply_rows(row, &tables.x.bounds, length, out),
        None => {
            for (y, to) in out.chunks_exact_mut(length).enumerate() {
                horizontal_any(row(y), tables, c, to);
            }
        }
    }
}

dispatch!(horizontal_any, horizontal_avx2, horizontal_avx512, horizontal_body, (row: &[u8], tables: &Tables, c: usize, out: &mut [u8]));
dispatch!(vertical, vertical_avx2, vertical_avx512, vertical_body, (rows: &[u8], stride: usize, axis: &Axis, origin: usize, length: usize, out: &mut [u8]));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(image: &Pixels, width: usize, height: usize, filter: Filter) -> Vec<u8> {
        let mut out = vec![0; width * height * image.channels];
        Resizer::default()
            .resize(
                image,
                &Geometry::whole(Rect::of(image), (width, height)),
                filter,
                &mut out,
            )
            .unwrap();
        out
    }

    #[test]
    fn box_halving_is_the_rounded_mean() {
        let image = Pixels::new(4, 2, 1, vec![0, 1, 10, 20, 2, 3, 30, 41]).unwrap();
        // Horizontal means round first: (1, 15), (3, 36).
        assert_eq!(whole(&image, 2, 1, Filter::Box), [2, 26]);
    }

    proptest! {
        #[test]
        fn constant_images_stay_constant(
            w in 1usize..40, h in 1usize..40, tw in 1usize..40, th in 1usize..40,
            value: u8, filter in 0usize..4,
        ) {
            let image = Pixels::new(w, h, 3, vec![value; w * h * 3]).unwrap();
            let out = whole(&image, tw, th, Filter::NAMES[filter].1);
            prop_assert!(out.iter().all(|&v| v == value));
        }

        #[test]
        fn baseline_and_vector_code_agree(
            w in 1usize..60, tw in 1usize..60, c in 1usize..=4, seed: u32, filter in 0usize..4,
        ) {
            let mut state = seed | 1;
            let row: Vec<u8> = (0..w * c).map(|_| { state = state.wrapping_mul(1664525).wrapping_add(1013904223); (state >> 24) as u8 }).collect();
            let mut kept = Vec::new();
            let key = Key { geometry: Geometry::whole(Rect::from_size(w, w), (tw, tw)), filter: Filter::NAMES[filter].1, channels: c };
            let tables = Resizer::tables(&mut kept, key);
            let (mut a, mut b) = (vec![0; tw * c], vec![0; tw * c]);
            horizontal_any(&row, tables, c, &mut a);
            horizontal_body(&row, tables, c, &mut b);
            prop_assert_eq!(&a, &b);
            if c == 3 {
                for weights in rgb::Weights::every(&tables.x) {
                    a.fill(0);
                    weights.apply(&row, &tables.x.bounds, &mut a);
                    prop_assert_eq!(&a, &b);
                    // Rows in groups and the rest of them, each other pixels than the one before.
                    let rows: Vec<Vec<u8>> = (0..7u8).map(|y| row.iter().map(|v| v.wrapping_mul(2 * y + 1) ^ y).collect()).collect();
                    let mut together = vec![0; 7 * a.len()];
                    weights.apply_rows(|y| &rows[y][..], &tables.x.bounds, a.len(), &mut together);
                    for (row, found) in rows.iter().zip(together.chunks_exact(a.len())) {
                        horizontal_body(row, tables, c, &mut b);
                        prop_assert_eq!(found, &b[..]);
                    }
                    horizontal_body(&row, tables, c, &mut b);
                }
            }
        }
    }

    #[test]
    fn kept_tables_are_bounded_and_reused() {
        let mut resizer = Resizer::default();
        for w in 1..40 {
            let image = Pixels::new(w, 3, 1, vec![9; w * 3]).unwrap();
            let mut out = [0; 4];
            resizer
                .resize(
                    &image,
                    &Geometry::whole(Rect::from_size(w, 3), (2, 2)),
                    Filter::Lanczos,
                    &mut out,
                )
                .unwrap();
            assert_eq!(out, [9; 4]);
        }
        assert_eq!(resizer.tables.len(), KEPT_TABLES);
    }

    #[test]
    fn a_crop_outside_or_an_empty_target_is_an_error() {
        let image = Pixels::new(4, 4, 1, vec![0; 16]).unwrap();
        let mut resizer = Resizer::default();
        let mut fails = |geometry, length| {
            let mut out = vec![0; length];
            let result = resizer.resize(&image, &geometry, Filter::Box, &mut out);
            result.is_err()
        };
        let rect = |x, y, width, height| Rect {
            x,
            y,
            width,
            height,
        };
        let whole = Geometry::whole;
        assert!(!fails(whole(rect(0, 0, 4, 4), (2, 2)), 4));
        assert!(fails(whole(rect(1, 0, 4, 4), (2, 2)), 4));
        assert!(fails(whole(rect(0, 0, 4, 4), (0, 2)), 0));
        assert!(fails(whole(rect(0, 0, 4, 4), (2, 2)), 5));
        let with = |span, window| Geometry {
            span,
            window,
            ..whole(rect(0, 0, 4, 4), (2, 2))
        };
        assert!(fails(with((0.5, 0.0, 4.0, 4.0), rect(0, 0, 2, 2)), 4));
        assert!(fails(with((0.0, 0.0, f64::NAN, 4.0), rect(0, 0, 2, 2)), 4));
        assert!(fails(with((0.0, 0.0, 4.0, 4.0), rect(1, 0, 2, 2)), 4));
    }

    proptest! {
        #[test]
        fn a_window_is_what_is_cut_from_the_whole(
            w in 1usize..50, h in 1usize..90, tw in 1usize..40, th in 1usize..40, seed: u32, filter in 0usize..4,
            x in 0.0..1.0, y in 0.0..1.0,
        ) {
            let mut state = seed | 1;
            let data = (0..w * h).map(|_| { state = state.wrapping_mul(1664525).wrapping_add(1013904223); (state >> 24) as u8 }).collect();
            let image = Pixels::new(w, h, 1, data).unwrap();
            let filter = Filter::NAMES[filter].1;
            let all = whole(&image, tw, th, filter);
            let (x, y) = ((x * tw as f64) as usize, (y * th as f64) as usize);
            let window = Rect { x, y, width: (tw - x).div_ceil(2), height: (th - y).div_ceil(2) };
            let geometry = Geometry { window, ..Geometry::whole(Rect::from_size(w, h), (tw, th)) };
            let mut out = vec![0; window.width * window.height];
            Resizer::default().resize(&image, &geometry, filter, &mut out).unwrap();
            for (i, row) in out.chunks_exact(window.width).enumerate() {
                prop_assert_eq!(row, &all[(y + i) * tw + x..][..window.width]);
            }
        }
    }
}
