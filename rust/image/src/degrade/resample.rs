//! Resizes of PyTorch's `F.interpolate` without antialiasing, to a given size: half-pixel centres, float32.

use super::Canvas;

named! {
    /// Its modes.
    pub enum Mode {
        /// `area`: the mean of the pixels that a new one touches, each counting alike.
        Area => "area",
        /// `bilinear`, `align_corners=False`.
        Bilinear => "bilinear",
        /// `bicubic`, `align_corners=False`: Keys' cubic with a = -0.75.
        Bicubic => "bicubic",
    }
}

/// For each new place the old ones and their weights.
type Axis = Vec<Vec<(usize, f32)>>;

fn axis(input: usize, output: usize, mode: Mode) -> Axis {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let ratio = input as f32 / output as f32;
    let last = input as isize - 1;
    let one = |i: usize| match mode {
        Mode::Area => {
            let (first, end) = (i * input / output, ((i + 1) * input).div_ceil(output));
            let weight = 1.0 / (end - first) as f32;
            (first..end).map(|at| (at, weight)).collect()
        }
        Mode::Bilinear => {
            let at = (ratio * (i as f32 + 0.5) - 0.5).max(0.0);
            let low = (at as usize).min(input - 1);
            let share = at - low as f32;
            vec![(low, 1.0 - share), ((low + 1).min(input - 1), share)]
        }
        Mode::Bicubic => {
            let at = ratio * (i as f32 + 0.5) - 0.5;
            let low = at.floor();
            let t = at - low;
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            let place = |k: usize| (low as isize - 1 + k as isize).clamp(0, last) as usize;
            (0..4).map(|k| (place(k), weights[k])).collect()
        }
    };
    (0..output).map(one).collect()
}

fn add(to: &mut [f32], from: &[f32], weight: f32) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += weight * from;
    }
}

dispatch!(add_weighted, add_weighted_avx2, add_weighted_avx512, add, (to: &mut [f32], from: &[f32], weight: f32));

/// `image` at another size; `memory` is kept from image to image.
pub(super) fn resize(
    image: &mut Canvas,
    height: usize,
    width: usize,
    mode: Mode,
    memory: &mut Vec<f32>,
) {
    if (height, width) == (image.height, image.width) {
        return;
    }
    let c = image.channels;
    let length = image.width * c;
    memory.clear();
    memory.resize(height * length, 0.0);
    for (to, places) in memory
        .chunks_exact_mut(length)
        .zip(axis(image.height, height, mode))
    {
        for (at, weight) in places {
            add_weighted(to, &image.data[at * length..][..length], weight);
        }
    }
    let places = axis(image.width, width, mode);
    image.data.clear();
    image.data.reserve(height * width * c);
    for row in memory.chunks_exact(length) {
        for place in &places {
            for k in 0..c {
                let sum: f32 = place
                    .iter()
                    .map(|&(at, weight)| weight * row[at * c + k])
                    .sum();
                image.data.push(sum);
            }
        }
    }
    (image.height, image.width) = (height, width);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f32]) -> Canvas {
        Canvas {
            width: values.len(),
            height: 1,
            channels: 1,
            data: values.to_vec(),
        }
    }

    fn resized(values: &[f32], width: usize, mode: Mode) -> Vec<f32> {
        let mut image = line(values);
        resize(&mut image, 1, width, mode, &mut Vec::new());
        assert_eq!((image.width, image.height), (width, 1));
        image.data
    }

    #[test]
    fn they_are_those_of_torch() {
        // torch 2.15: F.interpolate(torch.tensor([[[[0., 10, 40, 90, 160]]]]), size=(1, n), mode=...).
        let values = [0.0, 10.0, 40.0, 90.0, 160.0];
        let close = |found: Vec<f32>, expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-3, "{found:?} {expected:?}");
            }
        };
        close(resized(&values, 2, Mode::Area), &[50.0 / 3.0, 290.0 / 3.0]);
        close(resized(&values, 2, Mode::Bilinear), &[7.5, 107.5]);
        close(
            resized(&values, 10, Mode::Bilinear)[..3].to_vec(),
            &[0.0, 2.5, 7.5],
        );
        close(resized(&values, 5, Mode::Bicubic), &values);
    }

    #[test]
    fn a_plane_stays_a_plane() {
        for mode in Mode::NAMES.map(|(_, mode)| mode) {
            for (height, width) in [(3, 4), (11, 13), (1, 1)] {
                let mut image = Canvas {
                    width: 7,
                    height: 5,
                    channels: 3,
                    data: [10.0, 20.0, 30.0].repeat(35),
                };
                resize(&mut image, height, width, mode, &mut Vec::new());
                assert_eq!(image.data.len(), height * width * 3);
                for (i, value) in image.data.iter().enumerate() {
                    assert!((value - 10.0 * (i % 3 + 1) as f32).abs() < 1e-4);
                }
            }
        }
    }
}
