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
    use std::arch::x86_64::*;

    /// Pixels taken at a time: three registers of sixteen bytes.
    const PIXELS: usize = 16;

    /// For target register `r` and source register `k`: which bytes go where; others become 0.
    const SHUFFLES: [[[i8; PIXELS]; 3]; 3] = {
        let mut found = [[[-1; PIXELS]; 3]; 3];
        let mut at = 0;
        while at < 3 * PIXELS {
            let from = 3 * (PIXELS - 1 - at / 3) + at % 3;
            found[at / PIXELS][from / PIXELS][at % PIXELS] = (from % PIXELS) as i8;
            at += 1;
        }
        found
    };

    /// As many whole blocks of RGB pixels as there are, the first to the end; returns their pixels. The slices are equally
    /// long.
    #[target_feature(enable = "ssse3")]
    pub(super) fn mirror(from: &[u8], to: &mut [u8]) -> usize {
        let (blocks, _) = from.as_chunks::<{ 3 * PIXELS }>();
        let (_, targets) = to.as_rchunks_mut::<{ 3 * PIXELS }>();
        // SAFETY: all loads and stores are of arrays of the register's size, or of thirds of such a block.
        unsafe {
            let shuffles = SHUFFLES.map(|of| of.map(|s| _mm_loadu_si128(s.as_ptr().cast())));
            for (block, target) in blocks.iter().zip(targets.iter_mut().rev()) {
                let (block, target) = (block.as_ptr(), target.as_mut_ptr());
                let parts = [0, 1, 2].map(|k| _mm_loadu_si128(block.add(k * PIXELS).cast()));
                for (r, of) in shuffles.iter().enumerate() {
                    let [x, y, z] = [0, 1, 2].map(|k: usize| _mm_shuffle_epi8(parts[k], of[k]));
                    let bytes = _mm_or_si128(_mm_or_si128(x, y), z);
                    _mm_storeu_si128(target.add(r * PIXELS).cast(), bytes);
                }
            }
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
