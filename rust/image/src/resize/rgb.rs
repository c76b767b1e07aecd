//! The horizontal pass for RGB, with the multiply-add instructions of x86.
//!
//! Those multiply 16-bit numbers and add the products in pairs, and a weight has 22 bits and a sign. So each weight is
//! cut, `k = 2048 * high + low` with `low` in 0..2048, both halves fit 16 bits, and
//! `sum(k * s) = 2048 * sum(high * s) + sum(low * s)`: the same integer, modulo 2^32, as the plain loop gives.

use super::pillow::Axis;

/// Bits of the low half of a weight.
#[cfg(target_arch = "x86_64")]
const LOW_BITS: u32 = 11;

/// The instructions that a table was laid out for.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
enum Kind {
    /// AVX-512 with VBMI and VNNI: eight pixels at a time.
    Wide,
    /// AVX2: four.
    Narrow,
}

/// Horizontal weights, as the instructions want them.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) struct Weights {
    kind: Kind,
    /// For each target index `stride` numbers: for each block of pixels the high halves, then the low ones. Within
    /// them, for two pixels a and b: `a b a b a b 0 0`, so that a sum over pairs is red, green, blue, nothing.
    halves: Vec<i16>,
    stride: usize,
}

impl Weights {
    /// The table for this machine's best instructions; None where it has neither.
    pub(super) fn new(axis: &Axis) -> Option<Self> {
        Self::every(axis).into_iter().next()
    }

    /// A table for each kind of instructions that this machine has, the best first.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn every(_: &Axis) -> Vec<Self> {
        Vec::new()
    }

    /// A table for each kind of instructions that this machine has, the best first.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn every(axis: &Axis) -> Vec<Self> {
        let mut kinds = Vec::new();
        if is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni")
        {
            kinds.push(Kind::Wide);
        }
        if is_x86_feature_detected!("avx2") {
            kinds.push(Kind::Narrow);
        }
        kinds.into_iter().map(|k| Self::of_kind(axis, k)).collect()
    }

    #[cfg(target_arch = "x86_64")]
    fn of_kind(axis: &Axis, kind: Kind) -> Self {
        let pixels = match kind {
            Kind::Wide => 8,
            Kind::Narrow => 4,
        };
        // Four numbers of 16 bits for a pixel, in the high and in the low halves.
        let stride = axis.taps.div_ceil(pixels) * pixels * 8;
        let mut halves = vec![0; axis.bounds.len() * stride];
        for (to, weights) in halves
            .chunks_exact_mut(stride)
            .zip(axis.weights.chunks_exact(axis.taps))
        {
            for (i, &k) in weights.iter().enumerate() {
                let high = (k >> LOW_BITS) as i16;
                let low = (k & ((1 << LOW_BITS) - 1)) as i16;
                let at = i / pixels * pixels * 8 + i % pixels / 2 * 8 + i % 2;
                for channel in 0..3 {
                    to[at + 2 * channel] = high;
                    to[at + 2 * channel + pixels * 4] = low;
                }
            }
        }
        Self {
            kind,
            halves,
            stride,
        }
    }

    /// One row along x.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn apply(&self, _: &[u8], _: &[(usize, usize)], _: &mut [u8]) {
        unreachable!("no table is made on this machine")
    }

    /// One row along x.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn apply(&self, row: &[u8], bounds: &[(usize, usize)], out: &mut [u8]) {
        // SAFETY: a table of a kind is made only where the processor has these instructions.
        unsafe {
            match self.kind {
                Kind::Wide => x86::wide(row, bounds, &self.halves, self.stride, out),
                Kind::Narrow => x86::narrow(row, bounds, &self.halves, self.stride, out),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::pillow::{HALF, PRECISION_BITS};
    use super::LOW_BITS;

    /// The first `N` of `bytes`, zeros where it ends before.
    #[inline(always)]
    fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
        let mut block = [0; N];
        let length = bytes.len().min(N);
        block[..length].copy_from_slice(&bytes[..length]);
        block
    }

    /// Rounds and clips the sums red, green, blue, nothing.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(sums: __m128i, pixel: &mut [u8; 3]) {
        let sums = _mm_add_epi32(sums, _mm_set1_epi32(HALF));
        let shifted = _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(sums);
        let words = _mm_packs_epi32(shifted, shifted);
        let bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes();
        pixel.copy_from_slice(&bytes[..3]);
    }

    /// Bytes of four pixels to 16-bit numbers in pairs, in each half of the register: r r g g b b 0 0.
    const SPREAD: [i8; 32] = [
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
        6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
    ];

    #[target_feature(enable = "avx2")]
    pub(super) fn narrow(
        row: &[u8],
        bounds: &[(usize, usize)],
        halves: &[i16],
        stride: usize,
        out: &mut [u8],
    ) {
        // SAFETY: the loads read whole arrays of the register's size, at any address.
        let spread = unsafe { _mm256_loadu_si256(SPREAD.as_ptr().cast()) };
        let (pixels, _) = out.as_chunks_mut::<3>();
        for ((pixel, &(first, count)), halves) in pixels
            .iter_mut()
            .zip(bounds)
            .zip(halves.chunks_exact(stride))
        {
            let (mut high, mut low) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            let (blocks, _) = halves.as_chunks::<32>();
            let mut at = first * 3;
            for block in &blocks[..count.div_ceil(4)] {
                let bytes: [u8; 16] = match row.get(at..at + 16) {
                    Some(bytes) => bytes.try_into().expect("of this length"),
                    None => padded(&row[at..]),
                };
                // SAFETY: as above; a block is two registers long.
                let (bytes, k_high, k_low) = unsafe {
                    (
                        _mm_loadu_si128(bytes.as_ptr().cast()),
                        _mm256_loadu_si256(block.as_ptr().cast()),
                        _mm256_loadu_si256(block.as_ptr().add(16).cast()),
                    )
                };
                let samples = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), spread);
                high = _mm256_add_epi32(high, _mm256_madd_epi16(samples, k_high));
                low = _mm256_add_epi32(low, _mm256_madd_epi16(samples, k_low));
                at += 12;
            }
            let sums = _mm256_add_epi32(_mm256_slli_epi32::<{ LOW_BITS as i32 }>(high), low);
            let sums = _mm_add_epi32(
                _mm256_castsi256_si128(sums),
                _mm256_extracti128_si256::<1>(sums),
            );
            store(sums, pixel);
        }
    }

    /// As [`SPREAD`], for eight pixels; what is masked away by [`WIDE_MASK`] is 0 here.
    const WIDE_SPREAD: [u8; 64] = {
        let mut spread = [0; 64];
        let mut i = 0;
        while i < 64 {
            let at = i % 16;
            if at % 2 == 0 && at < 12 {
                spread[i] = (i / 16 * 6 + at % 4 / 2 * 3 + at / 4) as u8;
            }
            i += 1;
        }
        spread
    };
    /// The even bytes of the first twelve of every sixteen.
    const WIDE_MASK: u64 = 0x0555_0555_0555_0555;

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vbmi,avx512vnni")]
    pub(super) fn wide(
        row: &[u8],
        bounds: &[(usize, usize)],
        halves: &[i16],
        stride: usize,
        out: &mut [u8],
    ) {
        // SAFETY: the loads read whole arrays of the register's size, at any address.
        let spread = unsafe { _mm512_loadu_si512(WIDE_SPREAD.as_ptr().cast()) };
        let (pixels, _) = out.as_chunks_mut::<3>();
        for ((pixel, &(first, count)), halves) in pixels
            .iter_mut()
            .zip(bounds)
            .zip(halves.chunks_exact(stride))
        {
            let (mut high, mut low) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            let (blocks, _) = halves.as_chunks::<64>();
            let mut at = first * 3;
            for block in &blocks[..count.div_ceil(8)] {
                let bytes: [u8; 32] = match row.get(at..at + 32) {
                    Some(bytes) => bytes.try_into().expect("of this length"),
                    None => padded(&row[at..]),
                };
                // SAFETY: as above; a block is two registers long.
                let (bytes, k_high, k_low) = unsafe {
                    (
                        _mm256_loadu_si256(bytes.as_ptr().cast()),
                        _mm512_loadu_si512(block.as_ptr().cast()),
                        _mm512_loadu_si512(block.as_ptr().add(32).cast()),
                    )
                };
                let samples =
                    _mm512_maskz_permutexvar_epi8(WIDE_MASK, spread, _mm512_castsi256_si512(bytes));
                high = _mm512_dpwssd_epi32(high, samples, k_high);
                low = _mm512_dpwssd_epi32(low, samples, k_low);
                at += 24;
            }
            let sums = _mm512_add_epi32(_mm512_slli_epi32::<{ LOW_BITS }>(high), low);
            let sums = _mm256_add_epi32(
                _mm512_castsi512_si256(sums),
                _mm512_extracti64x4_epi64::<1>(sums),
            );
            let sums = _mm_add_epi32(
                _mm256_castsi256_si128(sums),
                _mm256_extracti128_si256::<1>(sums),
            );
            store(sums, pixel);
        }
    }
}
