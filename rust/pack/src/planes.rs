//! Interleaved RGB bytes to three planes of floats, v / 127.5 - 1.

/// 1 / 127.5, rounded down, and what is missing: the product with both, added up, rounds as the division does.
const HIGH: f32 = f32::from_bits((1.0_f32 / 127.5).to_bits() - 1);
const LOW: f32 = (1.0 / 127.5 - HIGH as f64) as f32;

/// v / 127.5 - 1, with the rounding of that division.
///
/// A product and its correction vectorise to a fraction of the division's time; a test compares all 256 values.
pub(crate) fn float(v: u8) -> f32 {
    let x = f32::from(v);
    x * HIGH + x * LOW - 1.0
}

/// The pixels of `image`, three bytes each, into planes of as many floats.
///
/// # Panics
///
/// When the lengths do not fit.
pub(crate) fn split(image: &[u8], planes: [&mut [f32]; 3]) {
    assert!(planes.iter().all(|plane| 3 * plane.len() == image.len()));
    let mut done = 0;
    let [red, green, blue] = planes;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has these instructions; the lengths were compared above.
        done = unsafe { x86::split(image, red, green, blue) };
    }
    let rest = image[3 * done..].chunks_exact(3);
    let rest = rest.zip(red[done..].iter_mut().zip(&mut green[done..]));
    for ((from, (r, g)), b) in rest.zip(&mut blue[done..]) {
        (*r, *g, *b) = (float(from[0]), float(from[1]), float(from[2]));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use gantools_image::permute::{load, Permutation, Shuffles, BYTES, PIXELS};
    use gantools_image::shuffles;

    use super::{HIGH, LOW};

    /// The three channels one after the other.
    const PLANES: Shuffles = shuffles!(at => at % PIXELS * 3 + at / PIXELS);

    /// Eight bytes, the lower ones of the register, as floats.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn floats(bytes: __m128i) -> __m256 {
        let x = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
        // The order of the operations, and no fused ones, as in `float`.
        let high = _mm256_mul_ps(x, _mm256_set1_ps(HIGH));
        let low = _mm256_mul_ps(x, _mm256_set1_ps(LOW));
        _mm256_sub_ps(_mm256_add_ps(high, low), _mm256_set1_ps(1.0))
    }

    /// As many whole blocks as there are; returns their pixels. The planes have a third of the image's length each.
    #[target_feature(enable = "avx2")]
    pub(super) fn split(
        image: &[u8],
        red: &mut [f32],
        green: &mut [f32],
        blue: &mut [f32],
    ) -> usize {
        let (blocks, _) = image.as_chunks::<BYTES>();
        let (red, _) = red.as_chunks_mut::<PIXELS>();
        let (green, _) = green.as_chunks_mut::<PIXELS>();
        let (blue, _) = blue.as_chunks_mut::<PIXELS>();
        let permutation = Permutation::new(&PLANES);
        let planes = red.iter_mut().zip(green).zip(blue);
        for (block, ((r, g), b)) in blocks.iter().zip(planes) {
            for (bytes, to) in permutation.apply(load(block)).into_iter().zip([r, g, b]) {
                let to = to.as_mut_ptr();
                // SAFETY: sixteen floats are stored, as many as the array has.
                unsafe {
                    _mm256_storeu_ps(to, floats(bytes));
                    _mm256_storeu_ps(to.add(8), floats(_mm_srli_si128::<8>(bytes)));
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
    fn a_float_is_rounded_as_the_division() {
        for v in 0..=255 {
            assert_eq!(float(v), f32::from(v) / 127.5 - 1.0);
        }
    }

    #[test]
    fn planes_of_any_length_hold_the_division() {
        for n in [0, 1, 15, 16, 17, 64, 256, 1000] {
            let image: Vec<u8> = (0..3 * n).map(|i| (i * 7 + i / 256) as u8).collect();
            let mut planes = vec![vec![9.0; n]; 3];
            let [red, green, blue] = &mut planes[..] else {
                unreachable!()
            };
            split(&image, [red, green, blue]);
            for (at, &v) in image.iter().enumerate() {
                assert_eq!(
                    planes[at % 3][at / 3],
                    f32::from(v) / 127.5 - 1.0,
                    "{n} {at}"
                );
            }
        }
    }
}
