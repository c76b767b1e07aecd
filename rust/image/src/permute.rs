//! Sixteen RGB pixels, three registers of sixteen bytes, in another order: mirrored, cut into planes, or put together
//! from planes.

use std::arch::x86_64::*;

/// Pixels taken at a time, and bytes of a register.
pub const PIXELS: usize = 16;

/// The bytes of a block of pixels.
pub const BYTES: usize = 3 * PIXELS;

/// For target register `r` and source register `k`: which bytes go where; others become 0.
pub type Shuffles = [[[i8; PIXELS]; 3]; 3];

/// The shuffles that put byte `sources[i]` of three registers at byte `i`.
pub const fn shuffles(sources: [usize; BYTES]) -> Shuffles {
    let mut found = [[[-1; PIXELS]; 3]; 3];
    let mut at = 0;
    while at < BYTES {
        let from = sources[at];
        found[at / PIXELS][from / PIXELS][at % PIXELS] = (from % PIXELS) as i8;
        at += 1;
    }
    found
}

/// `shuffles!(at => source)`: the shuffles that put byte `source` of three registers at each byte `at`.
#[macro_export]
macro_rules! shuffles {
    ($at:ident => $source:expr) => {{
        let mut sources = [0; $crate::permute::BYTES];
        let mut $at = 0;
        while $at < sources.len() {
            sources[$at] = $source;
            $at += 1;
        }
        $crate::permute::shuffles(sources)
    }};
}

/// Shuffles in registers.
#[derive(Clone, Copy)]
pub struct Permutation([[__m128i; 3]; 3]);

impl Permutation {
    /// Loads shuffles.
    ///
    /// # Safety
    ///
    /// The processor has SSSE3.
    #[inline]
    #[target_feature(enable = "ssse3")]
    pub fn new(shuffles: &Shuffles) -> Self {
        Self([0, 1, 2].map(|r: usize| {
            [0, 1, 2].map(|k: usize| {
                // SAFETY: a register is read from an array of its size.
                unsafe { _mm_loadu_si128(shuffles[r][k].as_ptr().cast()) }
            })
        }))
    }

    /// Three registers in the new order.
    ///
    /// # Safety
    ///
    /// The processor has SSSE3.
    #[inline]
    #[target_feature(enable = "ssse3")]
    pub fn apply(&self, [a, b, c]: [__m128i; 3]) -> [__m128i; 3] {
        self.0.map(|[x, y, z]| {
            let ab = _mm_or_si128(_mm_shuffle_epi8(a, x), _mm_shuffle_epi8(b, y));
            _mm_or_si128(ab, _mm_shuffle_epi8(c, z))
        })
    }
}

/// A block of pixels in three registers.
///
/// # Safety
///
/// The processor has SSSE3.
#[inline]
#[target_feature(enable = "ssse3")]
pub fn load(block: &[u8; BYTES]) -> [__m128i; 3] {
    let block = block.as_ptr();
    // SAFETY: the block is as long as three registers.
    [0, 1, 2].map(|k| unsafe { _mm_loadu_si128(block.add(k * PIXELS).cast()) })
}

/// Three registers as a block of pixels.
///
/// # Safety
///
/// The processor has SSSE3.
#[inline]
#[target_feature(enable = "ssse3")]
pub fn store(parts: [__m128i; 3], block: &mut [u8; BYTES]) {
    let block = block.as_mut_ptr();
    for (k, part) in parts.into_iter().enumerate() {
        // SAFETY: the block is as long as three registers.
        unsafe { _mm_storeu_si128(block.add(k * PIXELS).cast(), part) };
    }
}
