//! The horizontal pass for RGB, with the multiply-add instructions of x86.
//!
//! Those multiply 16-bit numbers and add the products in pairs, and a weight has 22 bits and a sign. So each weight is
//! cut, `k = 2048 * high + low` with `low` in 0..2048, both halves fit 16 bits, and
//! `sum(k * s) = 2048 * sum(high * s) + sum(low * s)`: the same integer, modulo 2^32, as the plain loop gives.

use super::fixed::Axis;

/// Bytes behind a row that the vector code may read: the rest of its last block and of that block's register.
const PADDING: usize = 64;

/// Rows that are resized together: their sums fill one register.
const ROWS: usize = 4;

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

    /// Rows along x, `length` samples each into `out`; the weights are fetched once for [`ROWS`] of them.
    pub(super) fn apply_rows<'a>(
        &self,
        row: impl Fn(usize) -> &'a [u8],
        bounds: &[(usize, usize)],
        length: usize,
        out: &mut [u8],
    ) {
        let mut y = 0;
        let mut padded = Vec::new();
        let mut groups = out.chunks_exact_mut(ROWS * length);
        for group in &mut groups {
            self.apply_group(
                std::array::from_fn(|i| row(y + i)),
                bounds,
                &mut padded,
                group,
            );
            y += ROWS;
        }
        for to in groups.into_remainder().chunks_exact_mut(length) {
            self.apply(row(y), bounds, to);
            y += 1;
        }
    }

    /// [`ROWS`] rows along x, one after the other in `out`.
    #[cfg(not(target_arch = "x86_64"))]
    fn apply_group(&self, _: [&[u8]; ROWS], _: &[(usize, usize)], _: &mut Vec<u8>, _: &mut [u8]) {
        unreachable!("no table is made on this machine")
    }

    /// [`ROWS`] rows along x, one after the other in `out`.
    #[cfg(target_arch = "x86_64")]
    fn apply_group(
        &self,
        rows: [&[u8]; ROWS],
        bounds: &[(usize, usize)],
        padded: &mut Vec<u8>,
        out: &mut [u8],
    ) {
        match self.kind {
            Kind::Wide => {
                let width = rows[0].len();
                let pitch = width + PADDING;
                padded.clear();
                for row in rows {
                    padded.extend_from_slice(row);
                    padded.extend_from_slice(&[0; PADDING]);
                }
                // SAFETY: a table of a kind is made only where the processor has these instructions.
                unsafe {
                    x86::wide_rows(padded, pitch, bounds, &self.halves, self.stride, out);
                }
            }
            Kind::Narrow => {
                let length = out.len() / ROWS;
                for (row, to) in rows.into_iter().zip(out.chunks_exact_mut(length)) {
                    self.apply(row, bounds, to);
                }
            }
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

    use super::super::fixed::{HALF, PRECISION_BITS};
    use super::{LOW_BITS, ROWS};

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
    /// As [`wide`], for four rows, their results one after the other in `out`.
    ///
    /// `rows` holds them `pitch` bytes apart, with [`PADDING`] bytes or more after each. The weights are loaded once for
    /// all four, and the four sums of each are brought into one register, so rounding and clipping are done once.
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vbmi,avx512vnni")]
    pub(super) fn wide_rows(
        rows: &[u8],
        pitch: usize,
        bounds: &[(usize, usize)],
        halves: &[i16],
        stride: usize,
        out: &mut [u8],
    ) {
        assert_eq!(rows.len(), ROWS * pitch);
        // SAFETY: the array is of the register's size.
        let spread = unsafe { _mm512_loadu_si512(WIDE_SPREAD.as_ptr().cast()) };
        let length = out.len() / ROWS;
        for (x, (&(first, count), halves)) in
            bounds.iter().zip(halves.chunks_exact(stride)).enumerate()
        {
            let blocks = count.div_ceil(8);
            assert!(first * 3 + blocks * 24 + 8 <= pitch && blocks * 64 <= halves.len());
            let mut high = [_mm512_setzero_si512(); ROWS];
            let mut low = [_mm512_setzero_si512(); ROWS];
            for b in 0..blocks {
                // SAFETY: a block of weights is two registers long; the last byte read of a row is number
                // first * 3 + (blocks - 1) * 24 + 31, which the assertion keeps below the pitch.
                unsafe {
                    let weights = halves.as_ptr().add(b * 64);
                    let k_high = _mm512_loadu_si512(weights.cast());
                    let k_low = _mm512_loadu_si512(weights.add(32).cast());
                    let samples = rows.as_ptr().add(first * 3 + b * 24);
                    for i in 0..ROWS {
                        let bytes = _mm256_loadu_si256(samples.add(i * pitch).cast());
                        let bytes = _mm512_castsi256_si512(bytes);
                        let pairs = _mm512_maskz_permutexvar_epi8(WIDE_MASK, spread, bytes);
                        high[i] = _mm512_dpwssd_epi32(high[i], pairs, k_high);
                        low[i] = _mm512_dpwssd_epi32(low[i], pairs, k_low);
                    }
                }
            }
            let sum =
                |i: usize| _mm512_add_epi32(_mm512_slli_epi32::<{ LOW_BITS }>(high[i]), low[i]);
            // Each register holds four partial sums of red, green, blue, nothing; two rounds of bringing quarters
            // together and adding leave the sums of one row in each quarter.
            let half = |a, b| {
                _mm512_add_epi32(
                    _mm512_shuffle_i32x4::<0b01_00_01_00>(a, b),
                    _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b),
                )
            };
            let (ab, cd) = (half(sum(0), sum(1)), half(sum(2), sum(3)));
            let all = _mm512_add_epi32(
                _mm512_shuffle_i32x4::<0b10_00_10_00>(ab, cd),
                _mm512_shuffle_i32x4::<0b11_01_11_01>(ab, cd),
            );
            let all = _mm512_add_epi32(all, _mm512_set1_epi32(HALF));
            let shifted = _mm512_srai_epi32::<{ PRECISION_BITS }>(all);
            // Below 0 first: the narrowing takes numbers without a sign.
            let clipped = _mm512_max_epi32(shifted, _mm512_setzero_si512());
            let bytes = _mm512_cvtusepi32_epi8(clipped);
            let pixels = [
                _mm_extract_epi32::<0>(bytes),
                _mm_extract_epi32::<1>(bytes),
                _mm_extract_epi32::<2>(bytes),
                _mm_extract_epi32::<3>(bytes),
            ];
            for (i, pixel) in pixels.into_iter().enumerate() {
                let to = i * length + 3 * x;
                out[to..to + 3].copy_from_slice(&pixel.to_le_bytes()[..3]);
            }
        }
    }
}
