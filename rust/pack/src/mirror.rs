//! Images mirrored left to right.

/// The image in `image`, whose rows have `width` pixels of `channels` bytes, mirrored into `out`.
///
/// # Panics
///
/// When the lengths differ.
pub(crate) fn mirror(image: &[u8], width: usize, channels: usize, out: &mut [u8]) {
    assert_eq!(image.len(), out.len());
    #[cfg(target_arch = "x86_64")]
    let vectors = channels == 3 && is_x86_feature_detected!("ssse3");
    let rows = image.chunks_exact(width * channels);
    for (from, to) in rows.zip(out.chunks_exact_mut(width * channels)) {
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if vectors {
            // SAFETY: the processor has these instructions; the rows are equally long.
            done = unsafe { x86::mirror(from, to) };
        }
        let end = to.len() - done * channels;
        let (from, to) = (&from[done * channels..], &mut to[..end]);
        if channels == 1 {
            to.copy_from_slice(from);
            to.reverse();
            continue;
        }
        let pixels = from.chunks_exact(channels).rev();
        for (from, to) in pixels.zip(to.chunks_exact_mut(channels)) {
            to.copy_from_slice(from);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use gantools_image::permute::{load, store, Permutation, Shuffles, BYTES, PIXELS};
    use gantools_image::shuffles;

    /// The last pixel first.
    const MIRRORED: Shuffles = shuffles!(at => 3 * (PIXELS - 1 - at / 3) + at % 3);

    /// As many whole blocks of RGB pixels as there are, the first to the end; returns their pixels. The slices are equally
    /// long.
    #[target_feature(enable = "ssse3")]
    pub(super) fn mirror(from: &[u8], to: &mut [u8]) -> usize {
        let (blocks, _) = from.as_chunks::<BYTES>();
        let (_, targets) = to.as_rchunks_mut::<BYTES>();
        let permutation = Permutation::new(&MIRRORED);
        for (block, target) in blocks.iter().zip(targets.iter_mut().rev()) {
            store(permutation.apply(load(block)), target);
        }
        blocks.len() * PIXELS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_any_width_and_channels_are_mirrored() {
        for channels in 1..=4 {
            for width in [1, 2, 15, 16, 17, 31, 48, 64, 100] {
                let image: Vec<u8> = (0..3 * width * channels)
                    .map(|i| (i * 7 + i / 256) as u8)
                    .collect();
                let mut out = vec![9; image.len()];
                mirror(&image, width, channels, &mut out);
                for (at, &v) in out.iter().enumerate() {
                    let (y, x, c) = (at / channels / width, at / channels % width, at % channels);
                    let from = (y * width + width - 1 - x) * channels + c;
                    assert_eq!(v, image[from], "{channels} {width} {at}");
                }
            }
        }
    }
}
