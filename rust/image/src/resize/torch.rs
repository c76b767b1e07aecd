//! The two bilinear resizes of PyTorch's `F.interpolate(mode="bilinear", align_corners=False)`.
//!
//! Both have half-pixel centres, `source = (target + 0.5) * (in / out) - 0.5`, and work in float32. PyTorch's own CPU
//! code fuses multiplications and additions where the processor can, so results agree to the last digits, not to the
//! bit.

use super::fixed::Weights;
use super::lerp;

/// Where the targets of one axis lie between the sources, without antialiasing.
pub(super) fn axis(input: usize, output: usize) -> lerp::Lerps {
    let scale = input as f32 / output as f32;
    (0..output)
        .map(|target| {
            // Product and difference are rounded each, as in PyTorch's general kernel. The kernel that it takes with a
            // single thread, or for images whose channels come last, fuses the two: 1e-5 of the range away from this.
            let source = (scale * (target as f32 + 0.5) - 0.5).max(0.0);
            let low = (source as usize).min(input - 1);
            (low, (low + 1).min(input - 1), source - low as f32)
        })
        .collect()
}

/// The weights of one axis with `antialias=True`: a triangle stretched by the scale when shrinking.
///
/// Rounded where PyTorch rounds: centres and weights are float32, what lies between is float64.
pub(super) fn antialiased(input: usize, output: usize) -> Weights<f32> {
    let scale = input as f32 / output as f32;
    let stretch = scale.max(1.0);
    let shrink = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
    let taps = stretch.ceil() as usize * 2 + 1;
    let mut bounds = Vec::with_capacity(output);
    let mut weights = vec![0f32; output * taps];
    for (i, to) in weights.chunks_exact_mut(taps).enumerate() {
        let center = (f64::from(scale) * (i as f64 + 0.5)) as f32;
        // `as usize` takes a negative number to 0.
        let first = (f64::from(center - stretch) + 0.5) as usize;
        let end = ((f64::from(center + stretch) + 0.5) as usize).min(input);
        let to = &mut to[..end.saturating_sub(first).min(taps)];
        let mut sum = 0f32;
        for (j, w) in to.iter_mut().enumerate() {
            let x = ((f64::from((j + first) as f32 - center) + 0.5) * f64::from(shrink)) as f32;
            *w = (1.0 - x.abs()).max(0.0);
            sum += *w;
        }
        if sum != 0.0 {
            to.iter_mut().for_each(|w| *w /= sum);
        }
        bounds.push((first, to.len()));
    }
    Weights {
        bounds,
        weights,
        taps,
    }
}
