//! Batches of images as networks take them: resized to each of several inputs, each image decoded once for all.

use std::borrow::Borrow;
use std::sync::Mutex;

use gantools_image::resize::input::{Input, InputResizer};
use gantools_image::{
    AlphaPolicy, DecodeOptions, Decoder, OrientationPolicy, Pixels, SixteenBit, DEFAULT_MAX_PIXELS,
};
use gantools_threads::parallel;

use crate::{Item, Source};

/// Why a batch was not filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FillError {
    /// The watcher asked to stop.
    Interrupted,
    /// Of the images that cannot be read, the first: which one and why.
    Image(String),
}

/// Values that one image takes in an input: height, width and three channels.
pub fn image_len(input: &Input) -> usize {
    input.size * input.size * 3
}

/// What a thread keeps from image to image.
#[derive(Default)]
struct Worker {
    decoder: Decoder,
    resizer: InputResizer,
}

/// Fills `outs[k]` with the `n` images as `inputs[k]` takes them, (n, size, size, 3) each, 0..255.
///
/// `image(decoder, i)` gives image `i` or a message, and is called once an image from any of the threads. `watch` is called
/// about ten times a second and stops the work by returning false.
///
/// # Panics
/// An out has another length than its input needs.
pub fn fill<P: Borrow<Pixels>>(
    n: usize,
    inputs: &[Input],
    outs: &mut [&mut [f32]],
    threads: usize,
    image: impl Fn(&mut Decoder, usize) -> Result<P, String> + Sync,
    mut watch: impl FnMut() -> bool,
) -> Result<(), FillError> {
    assert_eq!(inputs.len(), outs.len());
    let mut slots: Vec<_> = (0..n).map(|_| Vec::with_capacity(inputs.len())).collect();
    for (out, input) in outs.iter_mut().zip(inputs) {
        assert_eq!(out.len(), n * image_len(input));
        let parts = out.chunks_exact_mut(image_len(input));
        for (slot, part) in slots.iter_mut().zip(parts) {
            slot.push(part);
        }
    }
    let slots: Vec<_> = slots.into_iter().map(Mutex::new).collect();
    let failures = Mutex::new(Vec::new());
    let one = |worker: &mut Worker, i: usize| -> Result<(), String> {
        let image = image(&mut worker.decoder, i)?;
        let mut slot = slots[i].lock().expect("each slot is used once");
        for (input, out) in inputs.iter().zip(slot.iter_mut()) {
            let resized = worker.resizer.resize(image.borrow(), input, out);
            resized.map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    let finished = parallel::for_each(
        n,
        parallel::threads(threads),
        Worker::default,
        |worker, i| {
            if let Err(e) = one(worker, i) {
                failures.lock().expect("no panic while held").push((i, e));
            }
        },
        |_| watch(),
    );
    if !finished {
        return Err(FillError::Interrupted);
    }
    let failures = failures.into_inner().expect("no panic while held");
    match failures.into_iter().min() {
        Some((_, message)) => Err(FillError::Image(message)),
        None => Ok(()),
    }
}

/// Fills `outs` as [`fill`] does, with the images `items` of a source as Pillow's `Image.open(path).convert("RGB")` has
/// them, since that is what the other tools score: alpha dropped, orientation ignored.
pub fn fill_from(
    source: &Source,
    items: &[usize],
    inputs: &[Input],
    outs: &mut [&mut [f32]],
    threads: usize,
    watch: impl FnMut() -> bool,
) -> Result<(), FillError> {
    const OPTIONS: DecodeOptions = DecodeOptions {
        sixteen_bit: SixteenBit::Full,
        channels: 3,
        alpha: AlphaPolicy::Drop,
        orientation: OrientationPolicy::Ignore,
        max_pixels: DEFAULT_MAX_PIXELS,
    };
    let image = |decoder: &mut Decoder, i: usize| {
        let item = items[i];
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", source.place(item));
        match source.read(item).map_err(|e| failed(&e))? {
            Item::Raw(pixels) => Ok(pixels),
            Item::Encoded(data) => decoder.decode(&data, &OPTIONS).map_err(|e| failed(&e)),
        }
    };
    fill(items.len(), inputs, outs, threads, image, watch)
}

#[cfg(test)]
mod tests {
    use gantools_image::resize::input::{Rule, Square};

    use super::*;

    fn input(size: usize) -> Input {
        Input {
            rule: Rule::NAMES[0].1,
            size,
            square: Square::NAMES[0].1,
        }
    }

    fn numbers(n: u8) -> Source {
        Source::numbers(n, 3)
    }

    #[test]
    fn every_input_has_every_image_in_order_whatever_the_threads() {
        let items: Vec<usize> = (0..40).rev().collect();
        let inputs = [input(2), input(5)];
        for threads in [1, 3] {
            let (mut a, mut b) = (vec![0.0; 40 * 12], vec![0.0; 40 * 75]);
            let mut outs = [&mut a[..], &mut b[..]];
            fill_from(&numbers(40), &items, &inputs, &mut outs, threads, || true).unwrap();
            for (i, &item) in items.iter().enumerate() {
                assert_eq!(a[i * 12..(i + 1) * 12], [item as f32; 12]);
                let near = |v: &f32| (v - item as f32).abs() < 1e-3;
                assert!(b[i * 75..(i + 1) * 75].iter().all(near));
            }
        }
    }

    #[test]
    fn the_first_image_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let image = Pixels::new(1, 1, 3, vec![1, 2, 3]).unwrap();
        let png = gantools_image::encode_png(&image).unwrap();
        std::fs::write(folder.path().join("good"), png).unwrap();
        let source = Source::Files {
            root: folder.path().into(),
            names: ["good", "gone", "also gone"].map(Into::into).to_vec(),
        };
        let mut out = vec![0.0; 9];
        let filled = fill_from(&source, &[0, 1, 2], &[input(1)], &mut [&mut out], 2, || {
            true
        });
        let Err(FillError::Image(message)) = filled else {
            panic!("{filled:?}")
        };
        assert!(message.contains("/gone: cannot be read"), "{message}");
    }

    #[test]
    fn the_watcher_can_stop_it() {
        let slow = |_: &mut Decoder, _: usize| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            Pixels::new(1, 1, 3, vec![0; 3]).map_err(|e| e.to_string())
        };
        let mut out = vec![0.0; 30_000];
        let filled = fill(10_000, &[input(1)], &mut [&mut out], 1, slow, || false);
        assert_eq!(filled, Err(FillError::Interrupted));
    }
}
