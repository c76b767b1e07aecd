//! YCbCr to RGB, the integers of libjpeg: full range, as in JFIF (ITU-T T.871, clause 7), with 16 bits behind the point.

/// 1.402 - 1, 0.344136, 1 - 0.714136 and 1.772 - 1, which fit 16 bits.
const RED: i32 = 91881 - 65536;
const GREEN_BLUE: i32 = 22554;
const GREEN_RED: i32 = 65536 - 46802;
const BLUE: i32 = 116130 - 65536;
const HALF: i32 = 1 << 15;

#[inline(always)]
fn pixel(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    [
        y + cr + ((RED * cr + HALF) >> 16),
        y - cr + ((GREEN_RED * cr - GREEN_BLUE * cb + HALF) >> 16),
        y + cb + ((BLUE * cb + HALF) >> 16),
    ]
    .map(|v| v.clamp(0, 255) as u8)
}

/// One row: three bytes into `out` for each of its samples.
///
/// # Panics
///
/// When the lengths do not fit.
pub(super) fn row(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    assert!([y, cb, cr].iter().all(|plane| 3 * plane.len() == out.len()));
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has these instructions.
        done = unsafe { x86::row(y, cb, cr, out) };
    }
    let to = out.as_chunks_mut::<3>().0.iter_mut().skip(done);
    for (((to, y), cb), cr) in to.zip(&y[done..]).zip(&cb[done..]).zip(&cr[done..]) {
        *to = pixel(*y, *cb, *cr);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLUE, GREEN_BLUE, GREEN_RED, HALF, RED};
    use crate::permute::{store, Permutation, Shuffles, BYTES, PIXELS};
    use crate::shuffles;

    /// Three planes pixel by pixel.
    const INTERLEAVED: Shuffles = shuffles!(at => at % 3 * PIXELS + at / 3);

    /// As many whole blocks as there are; returns their pixels.
    #[target_feature(enable = "avx2")]
    pub(super) fn row(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) -> usize {
        let blocks = out.as_chunks_mut::<BYTES>().0;
        let [y, cb, cr] = [y, cb, cr].map(|plane| plane.as_chunks::<PIXELS>().0);
        let count = blocks.len();
        let all = |v: i32| _mm256_set1_epi16(v as i16);
        // (2 * k * v / 2^16 + 1) / 2, all rounded down, is k * v / 2^16, rounded.
        let scaled = |v, k: i32| {
            let twice = _mm256_mulhi_epi16(_mm256_add_epi16(v, v), all(k));
            _mm256_srai_epi16::<1>(_mm256_add_epi16(twice, all(1)))
        };
        // The multiplier of blue is above 2^15: less 2^16, which is once more the number.
        let blue = BLUE - (1 << 16);
        let green = _mm256_set1_epi32((GREEN_RED << 16) | (-GREEN_BLUE & 0xffff));
        let half = _mm256_set1_epi32(HALF);
        let permutation = Permutation::new(&INTERLEAVED);
        let wide = |from: &[u8; PIXELS]| {
            // SAFETY: a register is read from an array of its size.
            _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
        };
        for (((to, y), cb), cr) in blocks.iter_mut().zip(y).zip(cb).zip(cr) {
            let y = wide(y);
            let cb = _mm256_sub_epi16(wide(cb), all(128));
            let cr = _mm256_sub_epi16(wide(cr), all(128));
            let r = _mm256_add_epi16(_mm256_add_epi16(y, cr), scaled(cr, RED));
            let b = _mm256_add_epi16(cb, _mm256_add_epi16(cb, scaled(cb, blue)));
            let b = _mm256_add_epi16(y, b);
            let sums = |pairs| {
                let sum = _mm256_add_epi32(_mm256_madd_epi16(pairs, green), half);
                _mm256_srai_epi32::<16>(sum)
            };
            let g = _mm256_packs_epi32(
                sums(_mm256_unpacklo_epi16(cb, cr)),
                sums(_mm256_unpackhi_epi16(cb, cr)),
            );
            let g = _mm256_add_epi16(_mm256_sub_epi16(y, cr), g);
            let planes = [r, g, b].map(|v| {
                let (low, high) = (_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
                _mm_packus_epi16(low, high)
            });
            store(permutation.apply(planes), to);
        }
        count * PIXELS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_that_of_the_formula_and_the_same_in_vectors() {
        let all: Vec<u8> = (0..=255).collect();
        for cb in 0..=255 {
            for cr in 0..=255 {
                let mut out = [0; 3 * 256];
                row(&all, &[cb; 256], &[cr; 256], &mut out);
                for (y, rgb) in out.chunks_exact(3).enumerate() {
                    assert_eq!(rgb, pixel(y as u8, cb, cr));
                }
                // T.871, equations of clause 7; the tables of libjpeg have 16 bits.
                let (b, r) = (f64::from(cb) - 128.0, f64::from(cr) - 128.0);
                let exact = [1.402 * r, -0.344136 * b - 0.714136 * r, 1.772 * b];
                for (v, exact) in pixel(100, cb, cr).into_iter().zip(exact) {
                    assert!((f64::from(v) - (100.0 + exact).clamp(0.0, 255.0)).abs() < 0.502);
                }
            }
        }
    }

    #[test]
    fn rows_of_any_length() {
        for n in [0, 1, 15, 16, 17, 47, 200] {
            let y: Vec<u8> = (0..n).map(|i| (i * 7) as u8).collect();
            let cb: Vec<u8> = (0..n).map(|i| (i * 13) as u8).collect();
            let cr: Vec<u8> = (0..n).map(|i| (i * 29) as u8).collect();
            let mut out = vec![0; 3 * n];
            row(&y, &cb, &cr, &mut out);
            for i in 0..n {
                assert_eq!(out[3 * i..][..3], pixel(y[i], cb[i], cr[i]));
            }
        }
    }
}
