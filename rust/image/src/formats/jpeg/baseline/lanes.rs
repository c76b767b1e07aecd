//! Numbers of 16 and of 32 bits side by side: the operations that an inverse DCT takes, with and without the
//! instructions of x86. All wrap around where nothing else is said.

/// Groups of eight numbers of 16 bits and of four numbers of 32 bits. A group knows nothing of another.
pub(super) trait Lanes {
    /// One or two groups of eight `i16`.
    type Short: Copy;
    /// As many groups of four `i32`.
    type Long: Copy;

    /// The first numbers of a slice.
    fn load(from: &[i16]) -> Self::Short;
    /// Two numbers by turns.
    fn by_turns(a: i16, b: i16) -> Self::Short;
    /// Products, of which the lower halves remain.
    fn multiply(a: Self::Short, b: Self::Short) -> Self::Short;
    /// Sums of the products of two neighbours.
    fn pair_sums(a: Self::Short, b: Self::Short) -> Self::Long;
    /// Of two groups the numbers by turns: `a0 b0 a1 b1 a2 b2 a3 b3`, and those of the upper halves.
    fn zip(a: Self::Short, b: Self::Short) -> [Self::Short; 2];
    fn splat(v: i32) -> Self::Long;
    fn add(a: Self::Long, b: Self::Long) -> Self::Long;
    fn subtract(a: Self::Long, b: Self::Long) -> Self::Long;
    fn shift_right<const N: i32>(a: Self::Long) -> Self::Long;
    /// The four of `a` and those of `b`, each at the bound of `i16` nearest to it.
    fn narrow(a: Self::Long, b: Self::Long) -> Self::Short;
    /// Rows become columns.
    fn transpose(rows: [Self::Long; 4]) -> [Self::Long; 4];
    /// Absolute values; that of the smallest number is the largest one.
    fn magnitude(a: Self::Short) -> Self::Short;
    /// Sums, the largest number where they are larger.
    fn add_short(a: Self::Short, b: Self::Short) -> Self::Short;
    /// `found`, and bits where `a` is above `bound`.
    fn above(a: Self::Long, bound: i32, found: Self::Long) -> Self::Long;
    /// Whether there is a bit.
    fn any(a: Self::Long) -> bool;
}

/// One group.
pub(super) trait Narrow: Lanes {
    /// Two neighbours as one number, the first one its lower half.
    fn joined(a: Self::Short) -> Self::Long;
    fn store(a: Self::Long) -> [i32; 4];
    /// Eight of `a`, eight of `b`, plus 128, each at the bound of `u8` nearest to it.
    fn bytes(a: Self::Short, b: Self::Short) -> [u8; 16];
}

/// Two groups.
pub(super) trait Wide: Lanes {
    /// Both groups of `a`, narrow as by `narrow`, as one, and both of `b`.
    fn rows(a: Self::Long, b: Self::Long) -> Self::Short;
    /// As `Narrow::bytes`, of each group.
    fn bytes(a: Self::Short, b: Self::Short) -> [[u8; 16]; 2];
}

/// One group of another kind twice.
pub(super) struct Two<L>(L);

impl<L: Narrow> Lanes for Two<L> {
    type Short = [L::Short; 2];
    type Long = [L::Long; 2];

    #[inline(always)]
    fn load(from: &[i16]) -> Self::Short {
        [L::load(from), L::load(&from[8..])]
    }

    #[inline(always)]
    fn by_turns(a: i16, b: i16) -> Self::Short {
        [L::by_turns(a, b); 2]
    }

    #[inline(always)]
    fn multiply([a, b]: Self::Short, [c, d]: Self::Short) -> Self::Short {
        [L::multiply(a, c), L::multiply(b, d)]
    }

    #[inline(always)]
    fn pair_sums([a, b]: Self::Short, [c, d]: Self::Short) -> Self::Long {
        [L::pair_sums(a, c), L::pair_sums(b, d)]
    }

    #[inline(always)]
    fn zip([a, b]: Self::Short, [c, d]: Self::Short) -> [Self::Short; 2] {
        let ([ac_low, ac_high], [bd_low, bd_high]) = (L::zip(a, c), L::zip(b, d));
        [[ac_low, bd_low], [ac_high, bd_high]]
    }

    #[inline(always)]
    fn splat(v: i32) -> Self::Long {
        [L::splat(v); 2]
    }

    #[inline(always)]
    fn add([a, b]: Self::Long, [c, d]: Self::Long) -> Self::Long {
        [L::add(a, c), L::add(b, d)]
    }

    #[inline(always)]
    fn subtract([a, b]: Self::Long, [c, d]: Self::Long) -> Self::Long {
        [L::subtract(a, c), L::subtract(b, d)]
    }

    #[inline(always)]
    fn shift_right<const N: i32>(a: Self::Long) -> Self::Long {
        a.map(L::shift_right::<N>)
    }

    #[inline(always)]
    fn narrow([a, b]: Self::Long, [c, d]: Self::Long) -> Self::Short {
        [L::narrow(a, c), L::narrow(b, d)]
    }

    #[inline(always)]
    fn transpose(rows: [Self::Long; 4]) -> [Self::Long; 4] {
        let (a, b) = (
            L::transpose(rows.map(|r| r[0])),
            L::transpose(rows.map(|r| r[1])),
        );
        [[a[0], b[0]], [a[1], b[1]], [a[2], b[2]], [a[3], b[3]]]
    }

    #[inline(always)]
    fn magnitude([a, b]: Self::Short) -> Self::Short {
        [L::magnitude(a), L::magnitude(b)]
    }

    #[inline(always)]
    fn add_short([a, b]: Self::Short, [c, d]: Self::Short) -> Self::Short {
        [L::add_short(a, c), L::add_short(b, d)]
    }

    #[inline(always)]
    fn above([a, b]: Self::Long, bound: i32, [c, d]: Self::Long) -> Self::Long {
        [L::above(a, bound, c), L::above(b, bound, d)]
    }

    #[inline(always)]
    fn any([a, b]: Self::Long) -> bool {
        L::any(a) || L::any(b)
    }
}

impl<L: Narrow> Wide for Two<L> {
    #[inline(always)]
    fn rows([a, b]: Self::Long, [c, d]: Self::Long) -> Self::Short {
        [L::narrow(a, b), L::narrow(c, d)]
    }

    #[inline(always)]
    fn bytes([a, b]: Self::Short, [c, d]: Self::Short) -> [[u8; 16]; 2] {
        [L::bytes(a, c), L::bytes(b, d)]
    }
}

/// Every x86-64 processor has these.
#[cfg(target_arch = "x86_64")]
pub(super) struct Sse2;

/// Only for code that runs where they are: AVX2, two groups at a time.
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx2;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Avx2, Lanes, Narrow, Sse2, Wide};

    /// An expression of intrinsics.
    macro_rules! intrinsics {
        ($e:expr) => {
            // SAFETY: SSE2 is a part of x86-64, and `Avx2` is for processors that have it. Memory is touched through
            // references to as many bytes as the instruction takes.
            unsafe { $e }
        };
    }

    /// The operations that are called alike for both registers.
    macro_rules! lanes {
        (
            $kind:ty, $register:ty, $width:literal,
            load: $load:ident, set32: $set32:ident, mullo: $mullo:ident, madd: $madd:ident,
            low16: $low16:ident, high16: $high16:ident, add: $add:ident, sub: $sub:ident,
            sra: $sra:ident, packs: $packs:ident, low32: $low32:ident, high32: $high32:ident,
            low64: $low64:ident, high64: $high64:ident, zero: $zero:ident, max: $max:ident,
            adds: $adds:ident, subs: $subs:ident, above: $above:ident, or: $or:ident,
            mask: $mask:ident
        ) => {
            impl Lanes for $kind {
                type Short = $register;
                type Long = $register;

                #[inline(always)]
                fn load(from: &[i16]) -> $register {
                    let from: &[i16; $width] =
                        from.first_chunk().expect("all numbers of a register");
                    intrinsics!($load(from.as_ptr().cast()))
                }

                #[inline(always)]
                fn by_turns(a: i16, b: i16) -> $register {
                    let both = i32::from(a as u16) | i32::from(b) << 16;
                    intrinsics!($set32(both))
                }

                #[inline(always)]
                fn multiply(a: $register, b: $register) -> $register {
                    intrinsics!($mullo(a, b))
                }

                #[inline(always)]
                fn pair_sums(a: $register, b: $register) -> $register {
                    intrinsics!($madd(a, b))
                }

                #[inline(always)]
                fn zip(a: $register, b: $register) -> [$register; 2] {
                    intrinsics!([$low16(a, b), $high16(a, b)])
                }

                #[inline(always)]
                fn splat(v: i32) -> $register {
                    intrinsics!($set32(v))
                }

                #[inline(always)]
                fn add(a: $register, b: $register) -> $register {
                    intrinsics!($add(a, b))
                }

                #[inline(always)]
                fn subtract(a: $register, b: $register) -> $register {
                    intrinsics!($sub(a, b))
                }

                #[inline(always)]
                fn shift_right<const N: i32>(a: $register) -> $register {
                    intrinsics!($sra::<N>(a))
                }

                #[inline(always)]
                fn narrow(a: $register, b: $register) -> $register {
                    intrinsics!($packs(a, b))
                }

                #[inline(always)]
                fn transpose([a, b, c, d]: [$register; 4]) -> [$register; 4] {
                    intrinsics!({
                        let (ab, cd) = ($low32(a, b), $low32(c, d));
                        let (ef, gh) = ($high32(a, b), $high32(c, d));
                        [
                            $low64(ab, cd),
                            $high64(ab, cd),
                            $low64(ef, gh),
                            $high64(ef, gh),
                        ]
                    })
                }

                #[inline(always)]
                fn magnitude(a: $register) -> $register {
                    intrinsics!($max(a, $subs($zero(), a)))
                }

                #[inline(always)]
                fn add_short(a: $register, b: $register) -> $register {
                    intrinsics!($adds(a, b))
                }

                #[inline(always)]
                fn above(a: $register, bound: i32, found: $register) -> $register {
                    intrinsics!($or(found, $above(a, $set32(bound))))
                }

                #[inline(always)]
                fn any(a: $register) -> bool {
                    intrinsics!($mask(a)) != 0
                }
            }
        };
    }

    lanes!(
        Sse2, __m128i, 8,
        load: _mm_loadu_si128,
        set32: _mm_set1_epi32,
        mullo: _mm_mullo_epi16,
        madd: _mm_madd_epi16,
        low16: _mm_unpacklo_epi16,
        high16: _mm_unpackhi_epi16,
        add: _mm_add_epi32,
        sub: _mm_sub_epi32,
        sra: _mm_srai_epi32,
        packs: _mm_packs_epi32,
        low32: _mm_unpacklo_epi32,
        high32: _mm_unpackhi_epi32,
        low64: _mm_unpacklo_epi64,
        high64: _mm_unpackhi_epi64,
        zero: _mm_setzero_si128,
        max: _mm_max_epi16,
        adds: _mm_adds_epi16,
        subs: _mm_subs_epi16,
        above: _mm_cmpgt_epi32,
        or: _mm_or_si128,
        mask: _mm_movemask_epi8
    );

    lanes!(
        Avx2, __m256i, 16,
        load: _mm256_loadu_si256,
        set32: _mm256_set1_epi32,
        mullo: _mm256_mullo_epi16,
        madd: _mm256_madd_epi16,
        low16: _mm256_unpacklo_epi16,
        high16: _mm256_unpackhi_epi16,
        add: _mm256_add_epi32,
        sub: _mm256_sub_epi32,
        sra: _mm256_srai_epi32,
        packs: _mm256_packs_epi32,
        low32: _mm256_unpacklo_epi32,
        high32: _mm256_unpackhi_epi32,
        low64: _mm256_unpacklo_epi64,
        high64: _mm256_unpackhi_epi64,
        zero: _mm256_setzero_si256,
        max: _mm256_max_epi16,
        adds: _mm256_adds_epi16,
        subs: _mm256_subs_epi16,
        above: _mm256_cmpgt_epi32,
        or: _mm256_or_si256,
        mask: _mm256_movemask_epi8
    );

    impl Narrow for Sse2 {
        #[inline(always)]
        fn joined(a: __m128i) -> __m128i {
            a
        }

        #[inline(always)]
        fn store(a: __m128i) -> [i32; 4] {
            let mut to = [0; 4];
            intrinsics!(_mm_storeu_si128(to.as_mut_ptr().cast(), a));
            to
        }

        #[inline(always)]
        fn bytes(a: __m128i, b: __m128i) -> [u8; 16] {
            let mut to = [0; 16];
            intrinsics!({
                let bytes = _mm_add_epi8(_mm_packs_epi16(a, b), _mm_set1_epi8(-128));
                _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
            });
            to
        }
    }

    impl Wide for Avx2 {
        #[inline(always)]
        fn rows(a: __m256i, b: __m256i) -> __m256i {
            // Quarters a0 b0 a1 b1 become a0 a1 b0 b1.
            intrinsics!(_mm256_permute4x64_epi64::<0b11_01_10_00>(
                _mm256_packs_epi32(a, b)
            ))
        }

        #[inline(always)]
        fn bytes(a: __m256i, b: __m256i) -> [[u8; 16]; 2] {
            let mut to = [[0; 16]; 2];
            intrinsics!({
                let bytes = _mm256_add_epi8(_mm256_packs_epi16(a, b), _mm256_set1_epi8(-128));
                _mm256_storeu_si256(to.as_mut_ptr().cast(), bytes);
            });
            to
        }
    }
}

/// Without instructions of a processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) struct Plain;

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Lanes for Plain {
    type Short = [i16; 8];
    type Long = [i32; 4];

    fn load(from: &[i16]) -> [i16; 8] {
        *from.first_chunk().expect("eight numbers")
    }

    fn by_turns(a: i16, b: i16) -> [i16; 8] {
        [a, b, a, b, a, b, a, b]
    }

    fn multiply(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        std::array::from_fn(|i| a[i].wrapping_mul(b[i]))
    }

    fn pair_sums(a: [i16; 8], b: [i16; 8]) -> [i32; 4] {
        let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
        std::array::from_fn(|i| product(2 * i).wrapping_add(product(2 * i + 1)))
    }

    fn zip(a: [i16; 8], b: [i16; 8]) -> [[i16; 8]; 2] {
        [0, 4].map(|from| std::array::from_fn(|i| [a, b][i % 2][from + i / 2]))
    }

    fn splat(v: i32) -> [i32; 4] {
        [v; 4]
    }

    fn add(a: [i32; 4], b: [i32; 4]) -> [i32; 4] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    fn subtract(a: [i32; 4], b: [i32; 4]) -> [i32; 4] {
        std::array::from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    fn shift_right<const N: i32>(a: [i32; 4]) -> [i32; 4] {
        a.map(|v| v >> N)
    }

    fn narrow(a: [i32; 4], b: [i32; 4]) -> [i16; 8] {
        let bounded = |v: i32| v.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        std::array::from_fn(|i| bounded([a, b][i / 4][i % 4]))
    }

    fn transpose(rows: [[i32; 4]; 4]) -> [[i32; 4]; 4] {
        std::array::from_fn(|x| std::array::from_fn(|y| rows[y][x]))
    }

    fn magnitude(a: [i16; 8]) -> [i16; 8] {
        a.map(i16::saturating_abs)
    }

    fn add_short(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        std::array::from_fn(|i| a[i].saturating_add(b[i]))
    }

    fn above(a: [i32; 4], bound: i32, found: [i32; 4]) -> [i32; 4] {
        std::array::from_fn(|i| found[i] | -i32::from(a[i] > bound))
    }

    fn any(a: [i32; 4]) -> bool {
        a != [0; 4]
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Narrow for Plain {
    fn joined(a: [i16; 8]) -> [i32; 4] {
        std::array::from_fn(|i| i32::from(a[2 * i] as u16) | i32::from(a[2 * i + 1]) << 16)
    }

    fn store(a: [i32; 4]) -> [i32; 4] {
        a
    }

    fn bytes(a: [i16; 8], b: [i16; 8]) -> [u8; 16] {
        std::array::from_fn(|i| ([a, b][i / 8][i % 8].clamp(-128, 127) + 128) as u8)
    }
}
