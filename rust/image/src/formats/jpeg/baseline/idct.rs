//! Inverse DCTs of a block to 1x1, 2x2, 4x4 or 8x8 samples, the integers of libjpeg's accurate ones (`JDCT_ISLOW`).
//!
//! The method is that of C. Loeffler, A. Ligtenberg and G. Moschytz, "Practical fast 1-D DCT algorithms with 11
//! multiplications", ICASSP 1989, in fixed point with 13 bits: columns first, of which two more bits are kept, then
//! rows. The smaller ones give the mean of the 8x8 samples that each of theirs stands for; the coefficients that cancel
//! in those means are not read.
//!
//! Eight bits for a sample bound its coefficients. Where those of a file go beyond, libjpeg's vector code and its plain
//! code overflow in ways of their own, so such blocks are found: [`Beyond`].
//!
//! Each size has an order of its own for the coefficients, in which numbers that are added up are neighbours.

use super::header::ZIGZAG;
use super::huffman::{Block, Slots, NOWHERE};
use super::lanes::{Lanes, Narrow, Wide};

/// Bits behind the point of the multipliers.
const BITS: i32 = 13;

/// A number in 16 bits, [`BITS`] of them behind the point.
const fn fixed(v: f64) -> i32 {
    (v * (1 << BITS) as f64 + 0.5) as i32
}

// Sums and differences of cosines; the names are the numbers.
const C0_211: i32 = fixed(0.211164243);
const C0_298: i32 = fixed(0.298631336);
const C0_390: i32 = fixed(0.390180644);
const C0_509: i32 = fixed(0.509795579);
const C0_541: i32 = fixed(0.541196100);
const C0_601: i32 = fixed(0.601344887);
const C0_720: i32 = fixed(0.720959822);
const C0_765: i32 = fixed(0.765366865);
const C0_850: i32 = fixed(0.850430095);
const C0_899: i32 = fixed(0.899976223);
const C1_061: i32 = fixed(1.061594337);
const C1_175: i32 = fixed(1.175875602);
const C1_272: i32 = fixed(1.272758580);
const C1_451: i32 = fixed(1.451774981);
const C1_501: i32 = fixed(1.501321110);
const C1_847: i32 = fixed(1.847759065);
const C1_961: i32 = fixed(1.961570560);
const C2_053: i32 = fixed(2.053119869);
const C2_172: i32 = fixed(2.172734803);
const C2_562: i32 = fixed(2.562915447);
const C3_072: i32 = fixed(3.072711026);
const C3_624: i32 = fixed(3.624509785);

/// No coefficient: this place of a layout stays 0.
const NONE: u8 = NOWHERE;

/// Which coefficient (8 * row + column) stands where.
type Layout = [u8; 64];

/// Only the mean.
const LAYOUT_1: Layout = {
    let mut layout = [NONE; 64];
    layout[0] = 0;
    layout
};

/// Rows 1 and 3 of columns 1, 3, 5, 7, rows 5 and 7 of them, row 0 of them, column 0.
const LAYOUT_2: Layout = {
    let mut layout = [NONE; 64];
    let mut i = 0;
    while i < 4 {
        let column = 2 * i as u8 + 1;
        layout[2 * i] = 8 + column;
        layout[2 * i + 1] = 24 + column;
        layout[8 + 2 * i] = 40 + column;
        layout[8 + 2 * i + 1] = 56 + column;
        layout[16 + 2 * i + 1] = column;
        i += 1;
    }
    layout[24] = 8;
    layout[25] = 24;
    layout[26] = 40;
    layout[27] = 56;
    layout[29] = 0;
    layout
};

/// Columns 2, 6, 1, 3 and then 5, 7, 0: rows 2 and 6, 1 and 3, 5 and 7, and row 0.
const LAYOUT_4: Layout = {
    let columns = [2, 6, 1, 3, 5, 7, 0];
    let mut layout = [NONE; 64];
    let mut i = 0;
    while i < 7 {
        let at = 32 * (i / 4) + 2 * (i % 4);
        let rows = [2, 6, 1, 3, 5, 7];
        let mut j = 0;
        while j < 6 {
            layout[at + 8 * (j / 2) + j % 2] = 8 * rows[j] + columns[i];
            j += 1;
        }
        layout[at + 24 + 1] = columns[i];
        i += 1;
    }
    layout
};

/// Rows 0 and 4, 2 and 6, 1 and 3, 5 and 7, of columns 0 to 3 and then 4 to 7.
const LAYOUT_8: Layout = {
    let rows = [0, 4, 2, 6, 1, 3, 5, 7];
    let mut layout = [NONE; 64];
    let mut i = 0;
    while i < 64 {
        let (column, j) = (i / 8, i % 8);
        let at = 16 * (j / 2) + 2 * column + j % 2;
        layout[at] = 8 * rows[j] + column as u8;
        i += 1;
    }
    layout
};

/// The places of the coefficients in zigzag order, for the entropy decoder.
const fn slots(layout: &Layout) -> Slots {
    let mut slots = [NOWHERE; 128];
    let mut n = 0;
    while n < 64 {
        let mut at = 0;
        while at < 64 {
            if layout[at] == ZIGZAG[n] {
                slots[n] = at as u8;
            }
            at += 1;
        }
        n += 1;
    }
    slots
}

static SLOTS_1: Slots = slots(&LAYOUT_1);
static SLOTS_2: Slots = slots(&LAYOUT_2);
static SLOTS_4: Slots = slots(&LAYOUT_4);
static SLOTS_8: Slots = slots(&LAYOUT_8);

/// Whether blocks had coefficients for which the integers are too small.
pub(super) struct Beyond<N: Narrow, W: Wide>(N::Long, W::Long);

impl<N: Narrow, W: Wide> Beyond<N, W> {
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self(N::splat(0), W::splat(0))
    }

    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        N::any(self.0) || W::any(self.1)
    }
}

/// The sum of a column's absolute coefficients up to which the 8x8 transform keeps within 16 bits: a row that it gives
/// is at most four times that times the square root of two, and two of them are added up. Samples of eight bits have a
/// sum of squares of at most 64 * 128^2, so do their coefficients, and eight of those add up to at most 2897.
const COLUMN: i32 = 2896;

/// The same for the 4x4 transform, which only shifts the coefficients of row 0, by two bits.
const ROW_0: i32 = 8191;

/// How blocks of one component become samples.
pub(super) struct Transform {
    /// Samples along each side: 1, 2, 4 or 8.
    pub(super) size: usize,
    /// Where the entropy decoder puts the coefficients.
    pub(super) slots: &'static Slots,
    /// The quantisation table, in the order of the layout.
    quant: [i16; 64],
}

impl Transform {
    /// For a quantisation table in zigzag order.
    pub(super) fn new(size: usize, quant: &[u8; 64]) -> Self {
        let slots = match size {
            1 => &SLOTS_1,
            2 => &SLOTS_2,
            4 => &SLOTS_4,
            _ => &SLOTS_8,
        };
        let mut ordered = [0; 64];
        for (&at, &q) in slots.iter().zip(quant) {
            if at != NOWHERE {
                ordered[usize::from(at)] = i16::from(q);
            }
        }
        Self {
            size,
            slots,
            quant: ordered,
        }
    }

    /// Makes all numbers of a block 0 that are read.
    #[inline(always)]
    pub(super) fn clear(&self, block: &mut Block) {
        // Lengths that are known make stores of them, not a call.
        match self.size {
            1 => block.0[0] = 0,
            2 => block.0[..32].fill(0),
            _ => block.0[..64].fill(0),
        }
    }

    /// Writes the samples of a block into `plane`, whose rows are `stride` long, from `at` on.
    #[inline(always)]
    pub(super) fn apply<N: Narrow, W: Wide>(
        &self,
        block: &[i16; 64],
        plane: &mut [u8],
        at: usize,
        stride: usize,
        beyond: &mut Beyond<N, W>,
    ) {
        match self.size {
            1 => plane[at] = to_1x1(block, &self.quant),
            2 => {
                let [a, b, c, d] = to_2x2::<N>(block, &self.quant);
                plane[at..at + 2].copy_from_slice(&[a, b]);
                plane[at + stride..at + stride + 2].copy_from_slice(&[c, d]);
            }
            4 => {
                let samples = to_4x4::<N>(block, &self.quant, &mut beyond.0);
                for (y, row) in samples.chunks_exact(4).enumerate() {
                    plane[at + y * stride..][..4].copy_from_slice(row);
                }
            }
            _ => {
                let samples = to_8x8::<W>(block, &self.quant, &mut beyond.1);
                for (y, row) in samples.iter().enumerate() {
                    plane[at + y * stride..][..8].copy_from_slice(row);
                }
            }
        }
    }
}

/// The coefficients of a block from `at` on.
#[inline(always)]
fn coefficients<L: Lanes>(block: &[i16; 64], quant: &[i16; 64], at: usize) -> L::Short {
    L::multiply(L::load(&block[at..]), L::load(&quant[at..]))
}

// The functions below are written without `map` and closures that are passed on: those would be compiled for the
// machine's baseline and called, while these become a part of the loop that is compiled for newer instructions.

/// The sums of pairs, times two multipliers by turns.
#[inline(always)]
fn sums<L: Lanes>(pairs: L::Short, a: i32, b: i32) -> L::Long {
    L::pair_sums(pairs, L::by_turns(a as i16, b as i16))
}

/// `v / 2^N`, rounded.
#[inline(always)]
fn descale<L: Lanes, const N: i32>(v: L::Long) -> L::Long {
    L::shift_right::<N>(L::add(v, L::splat(1 << (N - 1))))
}

/// A sample around 0 as a byte.
#[inline(always)]
fn byte(v: i32) -> u8 {
    (v.clamp(-128, 127) + 128) as u8
}

#[inline(always)]
fn to_1x1(block: &[i16; 64], quant: &[i16; 64]) -> u8 {
    let mean = (i32::from(block[0]) * i32::from(quant[0]) + 4) >> 3;
    // libjpeg finds the byte in a table by the lower ten bits.
    byte(mean << 22 >> 22)
}

#[inline(always)]
fn to_2x2<L: Narrow>(block: &[i16; 64], quant: &[i16; 64]) -> [u8; 4] {
    let part = |n: usize| coefficients::<L>(block, quant, 8 * n);

    // Columns 1, 3, 5, 7.
    let odd = L::add(
        sums::<L>(part(0), C3_624, -C1_272),
        sums::<L>(part(1), C0_850, -C0_720),
    );
    // From 16 bits above the point to 15.
    let even = L::shift_right::<1>(L::joined(part(2)));
    let upper = descale::<L, 13>(L::add(even, odd));
    let lower = descale::<L, 13>(L::subtract(even, odd));

    // Column 0.
    let weights = [C3_624, -C1_272, C0_850, -C0_720].map(|c| c as i16);
    let [w, x, y, z] = weights;
    let first = part(3);
    let [odd_a, odd_b, ..] = L::store(L::pair_sums(first, L::load(&[w, x, y, z, 0, 0, 0, 0])));
    let even = L::store(L::joined(first))[2] >> 1;
    let odd = odd_a.wrapping_add(odd_b);
    let means = [even.wrapping_add(odd), even.wrapping_sub(odd)];

    // Rows.
    let rows = L::narrow(upper, lower);
    let odds = L::store(L::pair_sums(rows, L::load(&[w, x, y, z, w, x, y, z])));
    let mut out = [0; 4];
    for (row, mean) in means.into_iter().enumerate() {
        let even = (mean.wrapping_add(1 << 12) >> 13) << (BITS + 2);
        let odd = odds[2 * row].wrapping_add(odds[2 * row + 1]);
        for (column, sum) in [even.wrapping_add(odd), even.wrapping_sub(odd)]
            .into_iter()
            .enumerate()
        {
            out[2 * row + column] = byte(sum.wrapping_add(1 << 19) >> 20);
        }
    }
    out
}

#[inline(always)]
fn to_4x4<L: Narrow>(block: &[i16; 64], quant: &[i16; 64], beyond: &mut L::Long) -> [u8; 16] {
    // Columns: for each half of them the four rows.
    let mut half = |from: usize| {
        let part = |n: usize| coefficients::<L>(block, quant, from + 8 * n);
        let (two_six, one_three, five_seven, zero) = (part(0), part(1), part(2), part(3));
        *beyond = L::above(sums::<L>(L::magnitude(zero), 1, 1), ROW_0, *beyond);
        // From 16 bits above the point to 14.
        let zero = L::shift_right::<2>(L::joined(zero));
        let even = sums::<L>(two_six, C1_847, -C0_765);
        let inner = L::add(
            sums::<L>(one_three, C1_061, -C2_172),
            sums::<L>(five_seven, C1_451, -C0_211),
        );
        let outer = L::add(
            sums::<L>(one_three, C2_562, C0_899),
            sums::<L>(five_seven, -C0_601, -C0_509),
        );
        four_points::<L, 12>(zero, even, inner, outer)
    };
    let (left, right) = (half(0), half(32));

    // Rows, whose numbers stand as 2, 6, 1, 3, 5, 7, 0: in each sum those that are multiplied alike, which a
    // transposition brings together.
    let inner = [
        C1_847,
        -C0_765,
        C1_061,
        -C2_172,
        C1_451,
        -C0_211,
        1 << 14,
        0,
    ]
    .map(|c| c as i16);
    let outer = [0, 0, C2_562, C0_899, -C0_601, -C0_509, 0, 0].map(|c| c as i16);
    let (inner, outer) = (L::load(&inner), L::load(&outer));
    let (a, b) = (L::narrow(left[0], right[0]), L::narrow(left[1], right[1]));
    let (c, d) = (L::narrow(left[2], right[2]), L::narrow(left[3], right[3]));
    let times = |k| {
        L::transpose([
            L::pair_sums(a, k),
            L::pair_sums(b, k),
            L::pair_sums(c, k),
            L::pair_sums(d, k),
        ])
    };
    let [even, inner_a, inner_b, zero] = times(inner);
    let [_, outer_a, outer_b, _] = times(outer);
    let (inner, outer) = (L::add(inner_a, inner_b), L::add(outer_a, outer_b));
    let [a, b, c, d] = L::transpose(four_points::<L, 19>(zero, even, inner, outer));
    L::bytes(L::narrow(a, b), L::narrow(c, d))
}

/// The end of one dimension of the 4x4 transform, descaled by `2^N`.
#[inline(always)]
fn four_points<L: Lanes, const N: i32>(
    zero: L::Long,
    even: L::Long,
    inner: L::Long,
    outer: L::Long,
) -> [L::Long; 4] {
    let (a, b) = (L::add(zero, even), L::subtract(zero, even));
    [
        descale::<L, N>(L::add(a, outer)),
        descale::<L, N>(L::add(b, inner)),
        descale::<L, N>(L::subtract(b, inner)),
        descale::<L, N>(L::subtract(a, outer)),
    ]
}

/// One dimension of the 8x8 transform, descaled by `2^N`: from the pairs of coefficients 0 and 4, 2 and 6, 1 and 3, 5 and
/// 7, for four columns, the eight rows.
#[inline(always)]
fn eight_points<L: Lanes, const N: i32>([p04, p26, p13, p57]: [L::Short; 4]) -> [L::Long; 8] {
    const ONE: i32 = 1 << BITS;
    let (zero, one) = (sums::<L>(p04, ONE, ONE), sums::<L>(p04, ONE, -ONE));
    let two = sums::<L>(p26, C0_541, C0_541 - C1_847);
    let three = sums::<L>(p26, C0_541 + C0_765, C0_541);
    let (e0, e3) = (L::add(zero, three), L::subtract(zero, three));
    let (e1, e2) = (L::add(one, two), L::subtract(one, two));

    // The shared products of the odd part, multiplied out: integers are the same in any order.
    const Z3: i32 = C1_175 - C1_961;
    const Z4: i32 = C1_175 - C0_390;
    let odd = |c1, c3, c5, c7| L::add(sums::<L>(p13, c1, c3), sums::<L>(p57, c5, c7));
    let o0 = odd(C1_501 - C0_899 + Z4, C1_175, Z4, C1_175 - C0_899);
    let o1 = odd(C1_175, C3_072 - C2_562 + Z3, C1_175 - C2_562, Z3);
    let o2 = odd(Z4, C1_175 - C2_562, C2_053 - C2_562 + Z4, C1_175);
    let o3 = odd(C1_175 - C0_899, Z3, C1_175, C0_298 - C0_899 + Z3);
    [
        descale::<L, N>(L::add(e0, o0)),
        descale::<L, N>(L::add(e1, o1)),
        descale::<L, N>(L::add(e2, o2)),
        descale::<L, N>(L::add(e3, o3)),
        descale::<L, N>(L::subtract(e3, o3)),
        descale::<L, N>(L::subtract(e2, o2)),
        descale::<L, N>(L::subtract(e1, o1)),
        descale::<L, N>(L::subtract(e0, o0)),
    ]
}

#[inline(always)]
fn to_8x8<L: Wide>(block: &[i16; 64], quant: &[i16; 64], beyond: &mut L::Long) -> [[u8; 8]; 8] {
    // Columns, in two groups.
    let p04 = coefficients::<L>(block, quant, 0);
    let p26 = coefficients::<L>(block, quant, 16);
    let p13 = coefficients::<L>(block, quant, 32);
    let p57 = coefficients::<L>(block, quant, 48);
    let even = L::add_short(L::magnitude(p04), L::magnitude(p26));
    let odd = L::add_short(L::magnitude(p13), L::magnitude(p57));
    *beyond = L::above(sums::<L>(L::add_short(even, odd), 1, 1), COLUMN, *beyond);
    let [r0, r1, r2, r3, r4, r5, r6, r7] = eight_points::<L, 11>([p04, p26, p13, p57]);

    // Rows 0 to 3 and 4 to 7 are two groups now, whose columns are to be paired as the rows were.
    let (a, b) = (L::rows(r0, r4), L::rows(r1, r5));
    let (c, d) = (L::rows(r2, r6), L::rows(r3, r7));
    let ([ac_low, ac_high], [bd_low, bd_high]) = (L::zip(a, c), L::zip(b, d));
    // Columns 0 and 1: a0 b0 c0 d0 a1 b1 c1 d1; 2 and 3; 4 and 5; 6 and 7.
    let ([c01, c23], [c45, c67]) = (L::zip(ac_low, bd_low), L::zip(ac_high, bd_high));
    let ([p04, _], [p26, _]) = (L::zip(c01, c45), L::zip(c23, c67));
    let ([_, p13], [_, p57]) = (L::zip(c01, c23), L::zip(c45, c67));
    let [a, b, c, d, e, f, g, h] = eight_points::<L, 18>([p04, p26, p13, p57]);

    let (left, right) = (L::transpose([a, b, c, d]), L::transpose([e, f, g, h]));
    let row = |y: usize| L::narrow(left[y], right[y]);
    let [zero_one, four_five] = L::bytes(row(0), row(1));
    let [two_three, six_seven] = L::bytes(row(2), row(3));
    let mut out = [[0; 8]; 8];
    let pairs = [zero_one, two_three, four_five, six_seven];
    for (rows, pair) in out.chunks_exact_mut(2).zip(&pairs) {
        rows[0].copy_from_slice(&pair[..8]);
        rows[1].copy_from_slice(&pair[8..]);
    }
    out
}
