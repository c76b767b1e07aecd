//! Chroma of half the width, or of half of both, made as large as luma: libjpeg's "fancy" upsampling, in which a sample
//! lies a quarter of the way from its own to the next one, and plain repetition, which libjpeg takes for the smallest.

/// Samples that are made into twice as many at a time.
const BLOCK: usize = 16;

dispatch!(
    interpolate,
    interpolate_avx2,
    interpolate_avx512,
    interpolate_any,
    (near: &[u8], far: Option<&[u8]>, width: usize, row: &mut Row)
);

/// A row on its way to the width of luma, and there.
#[derive(Default)]
pub(super) struct Row {
    /// The sample before the first, the samples, the one behind, and what fills the last block.
    sums: Vec<u16>,
    wide: Vec<u8>,
}

impl Row {
    /// Makes a row of `width` samples twice as wide. The slices go on to a multiple of eight samples.
    ///
    /// A row between others has three parts of `near` and one of `far`; without `far` it is `near` itself. Where it is
    /// not to be `smooth`, samples of `near` are repeated; so they are in rows of two.
    pub(super) fn upsample(
        &mut self,
        near: &[u8],
        far: Option<&[u8]>,
        width: usize,
        smooth: bool,
    ) -> &[u8] {
        self.wide.resize(2 * width.next_multiple_of(BLOCK), 0);
        if smooth && width > 2 {
            interpolate(near, far, width, self);
        } else {
            for (two, &v) in self.wide.as_chunks_mut::<2>().0.iter_mut().zip(near) {
                *two = [v, v];
            }
        }
        &self.wide
    }
}

#[inline(always)]
fn interpolate_any(near: &[u8], far: Option<&[u8]>, width: usize, row: &mut Row) {
    let near = near.as_chunks::<8>().0;
    row.sums.resize(width.next_multiple_of(BLOCK) + 2, 0);
    let sums = row.sums[1..].as_chunks_mut::<8>().0;
    match far {
        Some(far) => {
            for (to, (near, far)) in sums.iter_mut().zip(near.iter().zip(far.as_chunks::<8>().0)) {
                for i in 0..8 {
                    to[i] = 3 * u16::from(near[i]) + u16::from(far[i]);
                }
            }
        }
        None => {
            for (to, near) in sums.iter_mut().zip(near) {
                *to = near.map(u16::from);
            }
        }
    }
    // Beyond the ends a sample is its own neighbour.
    row.sums[0] = row.sums[1];
    row.sums[width + 1] = row.sums[width];
    match far {
        Some(_) => pairs::<4, 8, 7>(&row.sums, &mut row.wide),
        None => pairs::<2, 1, 2>(&row.sums, &mut row.wide),
    }
}

/// Two samples for each: `(3 * own + left + LEFT) / 2^SHIFT` and `(3 * own + right + RIGHT) / 2^SHIFT`.
#[inline(always)]
fn pairs<const SHIFT: u32, const LEFT: u16, const RIGHT: u16>(sums: &[u16], wide: &mut [u8]) {
    for (block, to) in wide
        .as_chunks_mut::<{ 2 * BLOCK }>()
        .0
        .iter_mut()
        .enumerate()
    {
        let from: &[u16; BLOCK + 2] = sums[block * BLOCK..].first_chunk().expect("a block");
        let to = to.as_chunks_mut::<2>().0;
        for i in 0..BLOCK {
            let own = 3 * from[i + 1];
            let left = (own + from[i] + LEFT) >> SHIFT;
            let right = (own + from[i + 2] + RIGHT) >> SHIFT;
            to[i] = (left | right << 8).to_le_bytes();
        }
    }
}
