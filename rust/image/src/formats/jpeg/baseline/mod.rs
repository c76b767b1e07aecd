//! Baseline JPEG, whole or at a half, a quarter or an eighth of its size: the samples of libjpeg-turbo, sooner.
//!
//! More than half of libjpeg-turbo's time goes into Huffman codes, one after the other, at a reduced size nearly all of
//! it. Here a look-up finds two of them with their values, and coefficients that do not count at a reduced size are
//! dropped at once. What is not a plain, undamaged baseline file is left to libjpeg-turbo, which also has the say on what
//! damage is.

mod header;
mod huffman;
mod idct;
mod lanes;
mod rgb;
mod upsample;

use header::{Component, Frame};
use huffman::{AcTable, Bits, Block, DcTable};
use idct::{Beyond, Transform};
use lanes::{Narrow, Two, Wide};
use upsample::Row;

/// Bytes that have to follow the last one of a scan, for [`Bits`].
const PADDING: usize = 16;

/// Bytes from which on a file is worth tables of its own: to make them takes as long as they save on so much.
const WORTH_TABLES: usize = 12 << 10;

/// Blocks of an MCU, at most: four of luma and two of chroma.
const BLOCKS: usize = 6;

/// A table with the bytes it was made of: most files of a set have the same ones.
struct Kept<T> {
    stored: Vec<u8>,
    /// Not yet made, or not to be made.
    table: Option<T>,
}

/// Decodes one file after the other; keeps tables and memory.
#[derive(Default)]
pub(super) struct BaselineDecoder {
    dc: [Option<Kept<DcTable>>; 4],
    ac: [Option<Kept<AcTable>>; 4],
    /// The entropy-coded data without stuffed bytes and markers.
    scan: Vec<u8>,
    /// Where its segments, between restart markers, end.
    ends: Vec<usize>,
    /// The samples of each component, of one row of MCUs or of two by turns.
    planes: [Vec<u8>; 3],
    /// Rows of chroma as wide as luma.
    wide: [Row; 2],
}

/// A component and its part in an MCU.
struct Part<'a> {
    h: usize,
    v: usize,
    tables: (&'a DcTable, &'a AcTable),
    transform: Transform,
    /// Samples of a row of MCUs, across and down.
    width: usize,
    rows: usize,
    /// Samples from a row of its plane to the next: a multiple of eight.
    stride: usize,
}

impl BaselineDecoder {
    /// The samples of `data`, 1 or 3 for a pixel, into `out` at `1 / by` of the size in the file, if it is a file for this
    /// decoder; `by` is 1, 2, 4 or 8, and the file has the given width and height and grey or YCbCr colours.
    pub(super) fn decode(
        &mut self,
        data: &[u8],
        by: usize,
        (width, height): (usize, usize),
        out: &mut [u8],
    ) -> Option<()> {
        let frame = header::parse(data)?;
        let channels = frame.components.len();
        let (columns, rows) = (width.div_ceil(by), height.div_ceil(by));
        let &[luma, ..] = &frame.components[..] else {
            return None;
        };
        if (frame.width, frame.height) != (width, height) || out.len() != columns * rows * channels
        {
            return None;
        }
        let across = width.div_ceil(8 * luma.h);
        let down = height.div_ceil(8 * luma.v);
        let mcus = across * down;
        let interval = match frame.restart {
            0 => mcus,
            n => n,
        };
        let size = 8 / by;
        self.make_tables(&frame);
        let parts: Option<Vec<Part>> = frame
            .components
            .iter()
            .map(|c| {
                let dc = self.dc[c.dc].as_ref()?.table.as_ref()?;
                let ac = self.ac[c.ac].as_ref()?.table.as_ref()?;
                Some(part(c, &luma, (dc, ac), size, across))
            })
            .collect();
        let parts = parts?;
        unstuff(
            frame.scan,
            mcus.div_ceil(interval),
            &mut self.scan,
            &mut self.ends,
        )?;
        let mut scan = Scan {
            parts: &parts,
            across,
            bits: Bits::new(&self.scan),
            ends: &self.ends,
            segment: 0,
            left: interval,
            interval,
            predictions: [0; 3],
        };
        let mut picture = Picture {
            // Rows between those of chroma want the one below, too.
            turns: match parts.last() {
                Some(chroma) if chroma.rows < parts[0].rows => 2,
                _ => 1,
            },
            smooth: size > 1,
            columns,
            rows,
            parts: &parts,
            planes: &mut self.planes,
            wide: &mut self.wide,
        };
        picture.prepare();
        let mut done = 0;
        let mut lines = out.chunks_exact_mut(columns * channels);
        for y in 0..down {
            let turn = y % picture.turns;
            scan.mcu_row(picture.planes, turn)?;
            let known = (y + 1) * parts[0].rows;
            let ready = match picture.turns {
                2 if y + 1 < down => known - 1,
                _ => known.min(rows),
            };
            for line in lines.by_ref().take(ready - done) {
                picture.row(done, line);
                done += 1;
            }
        }
        scan.ends_well().then_some(())
    }

    /// Makes the tables that a frame uses, but those that are there. For a few coefficients tables do not pay, unless
    /// the last file had the same ones.
    fn make_tables(&mut self, frame: &Frame) {
        fn make<T>(
            kept: &mut Option<Kept<T>>,
            stored: &[u8],
            now: bool,
            new: impl FnOnce(&[u8]) -> Option<T>,
        ) {
            match kept {
                Some(k) if k.stored == stored => {
                    if k.table.is_none() {
                        k.table = new(stored);
                    }
                }
                _ => {
                    *kept = Some(Kept {
                        table: if now { new(stored) } else { None },
                        stored: stored.to_vec(),
                    })
                }
            }
        }
        let now = frame.scan.len() >= WORTH_TABLES;
        for c in &frame.components {
            make(&mut self.dc[c.dc], frame.dc[c.dc], now, DcTable::new);
            make(&mut self.ac[c.ac], frame.ac[c.ac], now, AcTable::new);
        }
    }
}

/// Copies the entropy-coded data of a scan without its stuffed bytes to `scan`, if it has as many segments as it should
/// and an EOI behind it, and where they end to `ends`.
fn unstuff(
    mut from: &[u8],
    segments: usize,
    scan: &mut Vec<u8>,
    ends: &mut Vec<usize>,
) -> Option<()> {
    scan.clear();
    scan.shrink_to(crate::formats::KEPT_MEMORY);
    ends.clear();
    loop {
        let at = memchr::memchr(0xff, from)?;
        let (plain, marked) = from.split_at(at);
        scan.extend_from_slice(plain);
        let (&marker, rest) = marked[1..].split_first()?;
        match marker {
            0 => scan.push(0xff),
            // RST0 to RST7, in turn; EOI.
            0xd0..=0xd7
                if usize::from(marker & 7) == ends.len() % 8 && ends.len() + 1 < segments =>
            {
                ends.push(scan.len());
            }
            0xd9 if ends.len() + 1 == segments => {
                ends.push(scan.len());
                scan.extend([0; PADDING]);
                return Some(());
            }
            _ => return None,
        }
        from = rest;
    }
}

/// The samples of the latest MCUs, and the way from them to pixels.
struct Picture<'a> {
    /// Rows of MCUs in the planes: the n-th lies in part n % turns.
    turns: usize,
    /// Whether chroma is interpolated: not if a block is one sample.
    smooth: bool,
    columns: usize,
    rows: usize,
    parts: &'a [Part<'a>],
    planes: &'a mut [Vec<u8>; 3],
    wide: &'a mut [Row; 2],
}

impl Picture<'_> {
    /// Makes the planes as large as they have to be.
    fn prepare(&mut self) {
        for (plane, part) in self.planes.iter_mut().zip(self.parts) {
            plane.resize(part.stride * part.rows * self.turns, 0);
        }
    }

    /// Writes the pixels of row `y`.
    fn row(&mut self, y: usize, out: &mut [u8]) {
        let parts = self.parts;
        let samples = |c: usize, row: usize| {
            let part = &parts[c];
            let at = row % (part.rows * self.turns) * part.stride;
            &self.planes[c][at..at + part.stride]
        };
        let luma = &samples(0, y)[..self.columns];
        let [_, chroma, _] = parts else {
            out.copy_from_slice(luma);
            return;
        };
        if chroma.width == parts[0].width {
            let [cb, cr] = [1, 2].map(|c| &samples(c, y)[..self.columns]);
            rgb::row(luma, cb, cr, out);
            return;
        }
        // Of half the height: three parts of the row's own, one of the next, above the upper one of two, below the lower.
        let (own, next) = match (self.turns, y % 2) {
            (1, _) => (y, None),
            (_, 0) => (y / 2, Some((y / 2).saturating_sub(1))),
            _ => (y / 2, Some((y / 2 + 1).min(self.rows.div_ceil(2) - 1))),
        };
        let width = self.columns.div_ceil(2);
        let [wide_cb, wide_cr] = &mut *self.wide;
        let [cb, cr] = [(1, wide_cb), (2, wide_cr)].map(|(c, wide)| {
            let next = next.map(|row| samples(c, row));
            &wide.upsample(samples(c, own), next, width, self.smooth)[..self.columns]
        });
        rgb::row(luma, cb, cr, out);
    }
}

/// How a component is decoded when luma has `size` samples a side of a block.
fn part<'a>(
    component: &Component,
    luma: &Component,
    tables: (&'a DcTable, &'a AcTable),
    size: usize,
    across: usize,
) -> Part<'a> {
    // As libjpeg does: a component that has fewer samples along both axes keeps more of them.
    let mut own = size;
    while own < 8
        && (luma.h * size).is_multiple_of(component.h * own * 2)
        && (luma.v * size).is_multiple_of(component.v * own * 2)
    {
        own *= 2;
    }
    let width = across * component.h * own;
    Part {
        h: component.h,
        v: component.v,
        tables,
        transform: Transform::new(own, component.quant),
        width,
        rows: component.v * own,
        stride: width.next_multiple_of(8),
    }
}

/// The state of a scan.
struct Scan<'a> {
    parts: &'a [Part<'a>],
    /// MCUs of a row.
    across: usize,
    bits: Bits<'a>,
    ends: &'a [usize],
    segment: usize,
    /// MCUs that are left of this segment.
    left: usize,
    /// MCUs of a segment but the last.
    interval: usize,
    predictions: [i32; 3],
}

impl Scan<'_> {
    /// Whether the segment's bits have been taken, but for those that fill its last byte.
    fn ends_well(&self) -> bool {
        let end = 8 * self.ends[self.segment];
        (end.saturating_sub(7)..=end).contains(&self.bits.position())
    }

    /// Counts an MCU that is about to be decoded; goes on to the next segment where one ends.
    #[inline(always)]
    fn begin_mcu(&mut self) -> Option<()> {
        if self.left == 0 {
            if !self.ends_well() {
                return None;
            }
            self.bits.jump(self.ends[self.segment]);
            self.segment += 1;
            self.left = self.interval;
            self.predictions = [0; 3];
        }
        self.left -= 1;
        Some(())
    }

    /// Decodes a row of MCUs into part `turn` of the planes.
    fn mcu_row(&mut self, planes: &mut [Vec<u8>; 3], turn: usize) -> Option<()> {
        #[cfg(target_arch = "x86_64")]
        {
            /// The shifts by any number of bits that BMI2 has are a part of what Huffman codes take.
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn newer(scan: &mut Scan, planes: &mut [Vec<u8>; 3], turn: usize) -> Option<()> {
                scan.mcu_row_with::<lanes::Sse2, lanes::Avx2>(planes, turn)
            }
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
            {
                // SAFETY: the processor has these instructions.
                return unsafe { newer(self, planes, turn) };
            }
            self.mcu_row_with::<lanes::Sse2, Two<lanes::Sse2>>(planes, turn)
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.mcu_row_with::<lanes::Plain, Two<lanes::Plain>>(planes, turn)
    }

    #[inline(always)]
    fn mcu_row_with<N: Narrow, W: Wide>(
        &mut self,
        planes: &mut [Vec<u8>; 3],
        turn: usize,
    ) -> Option<()> {
        // Two MCUs by turns: the samples of one are computed while the coefficients of the other are on their way to
        // memory.
        let mut blocks = [[Block([0; 128]); BLOCKS]; 2];
        let mut beyond = Beyond::<N, W>::none();
        let parts = self.parts;
        for x in 0..self.across {
            self.begin_mcu()?;
            let mut mine = blocks[x % 2].iter_mut();
            for (part, prediction) in parts.iter().zip(&mut self.predictions) {
                for block in mine.by_ref().take(part.h * part.v) {
                    part.transform.clear(block);
                    self.bits
                        .block(part.tables, part.transform.slots, prediction, block)?;
                }
            }
            if x > 0 {
                samples(
                    &blocks[(x - 1) % 2],
                    parts,
                    x - 1,
                    planes,
                    turn,
                    &mut beyond,
                );
            }
        }
        let x = self.across - 1;
        samples(&blocks[x % 2], parts, x, planes, turn, &mut beyond);
        // No more than this row can be beyond the end of a segment.
        let within = self.bits.position() <= 8 * self.ends[self.segment];
        (within && !beyond.any()).then_some(())
    }
}

/// Computes the samples of the MCU at `x`.
#[inline(always)]
fn samples<N: Narrow, W: Wide>(
    blocks: &[Block; BLOCKS],
    parts: &[Part],
    x: usize,
    planes: &mut [Vec<u8>; 3],
    turn: usize,
    beyond: &mut Beyond<N, W>,
) {
    let mut blocks = blocks.iter();
    for (part, plane) in parts.iter().zip(planes) {
        let size = part.transform.size;
        for v in 0..part.v {
            for h in 0..part.h {
                let Some(block) = blocks.next() else { return };
                let row = turn * part.rows + v * size;
                let at = row * part.stride + (x * part.h + h) * size;
                part.transform.apply(block, plane, at, part.stride, beyond);
            }
        }
    }
}

#[cfg(test)]
mod tests;
