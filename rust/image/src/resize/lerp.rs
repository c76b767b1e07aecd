//! Between four pixels: what all bilinear rules without antialiasing share.

use crate::{Pixels, Rect};

/// For one axis: the lower and upper source index and the weight of the upper one, for each target index.
pub(super) type Lerps = Vec<(usize, usize, f32)>;

/// `part` of `image` resized to `columns` x `rows`, interpolated along x and then along y in float32, HWC.
pub(super) fn resize(
    image: &Pixels,
    part: &Rect,
    columns: &[(usize, usize, f32)],
    rows: &[(usize, usize, f32)],
    out: &mut [f32],
) {
    match image.channels {
        1 => with_channels::<1>(image, part, columns, rows, out),
        _ => with_channels::<3>(image, part, columns, rows, out),
    }
}

fn with_channels<const C: usize>(
    image: &Pixels,
    part: &Rect,
    columns: &[(usize, usize, f32)],
    rows: &[(usize, usize, f32)],
    out: &mut [f32],
) {
    let length = columns.len() * C;
    // Rows interpolated along x, computed once for each source row and kept while two target rows need them.
    let mut low_row = vec![0f32; length];
    let mut high_row = vec![0f32; length];
    let mut held = (usize::MAX, usize::MAX);
    let fill = |row: usize, to: &mut [f32]| {
        let (source, _) = image.row(part, row).as_chunks::<C>();
        let (to, _) = to.as_chunks_mut::<C>();
        for (pixel, &(low, high, weight)) in to.iter_mut().zip(columns) {
            let (low, high) = (&source[low], &source[high]);
            for channel in 0..C {
                let (a, b) = (f32::from(low[channel]), f32::from(high[channel]));
                pixel[channel] = a + (b - a) * weight;
            }
        }
    };
    for (target, &(low, high, weight)) in out.chunks_exact_mut(length).zip(rows) {
        if held.0 != low {
            if held.1 == low {
                std::mem::swap(&mut low_row, &mut high_row);
            } else {
                fill(low, &mut low_row);
            }
            held = (low, usize::MAX);
        }
        if held.1 != high {
            fill(high, &mut high_row);
            held.1 = high;
        }
        for ((value, &a), &b) in target.iter_mut().zip(&low_row).zip(&high_row) {
            *value = a + (b - a) * weight;
        }
    }
}
