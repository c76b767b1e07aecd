//! Bilinear resize as TensorFlow 1's `resize_bilinear(align_corners=False)`: the resize of the original FID.
//!
//! `source = target * (in / out)` without half-pixel centres and without antialiasing; float32 throughout, the result is
//! not rounded. Bit-equal with torch-fidelity's CPU path.

use super::lerp;

/// Where the targets of one axis lie between the sources.
pub(super) fn axis(input: usize, output: usize) -> lerp::Lerps {
    // The scale is rounded to float32 before it is multiplied, as TensorFlow does.
    let scale = (input as f64 / output as f64) as f32;
    (0..output)
        .map(|target| {
            let source = target as f32 * scale;
            // Rounding can carry the product to the input's size.
            let low = (source as usize).min(input - 1);
            (low, (low + 1).min(input - 1), source - low as f32)
        })
        .collect()
}
