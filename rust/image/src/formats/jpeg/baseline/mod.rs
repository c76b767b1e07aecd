//! Baseline and progressive JPEG, whole or at a half, a quarter or an eighth of its size: the samples of libjpeg-turbo,
//! sooner.
//!
//! More than half of libjpeg-turbo's time goes into Huffman codes, one after the other, at a reduced size nearly all of
//! it. Here a look-up finds two of them with their values, and coefficients that do not count at a reduced size are
//! dropped at once; a progressive file is read as [`progressive`] says. What is not a plain, undamaged file of these kinds
//! is left to libjpeg-turbo, which also has the say on what damage is.

mod deposit;
mod header;
mod huffman;
mod idct;
mod lanes;
mod progressive;
mod rgb;
mod segments;
mod upsample;

use header::{Component, Frame, Reader, Stop};
use huffman::{AcTable, Block, DcTable};
use idct::{Beyond, Transform};
use lanes::{Narrow, Two, Wide};
use progressive::Coefficients;
use segments::{unstuff, Segments};
use upsample::Row;

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
    /// Those of a progressive file.
    coefficients: Coefficients,
}

/// A component and its part in an MCU.
struct Part {
    h: usize,
    v: usize,
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
        let mut reader = Reader::new(data)?;
        let Stop::Scan(header) = reader.next()? else {
            return None;
        };
        let frame = &mut reader.frame;
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
        let size = 8 / by;
        let parts: Vec<Part> = frame
            .components
            .iter()
            .map(|c| part(c, &luma, size, across))
            .collect();
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
        if frame.progressive {
            let coefficients = &mut self.coefficients;
            let done = coefficients
                .read(&mut reader, header, &parts, (across, down))
                .and_then(|()| {
                    picture.paint(down, out, |planes, y, turn| {
                        stored_mcu_row(coefficients, &parts, across, planes, (y, turn, down))
                    })
                });
            coefficients.trim();
            return done;
        }
        header::components(header, frame)?;
        let mcus = across * down;
        let interval = match frame.restart {
            0 => mcus,
            n => n,
        };
        make_tables(&mut self.dc, &mut self.ac, frame, reader.rest.len());
        let tables: Option<Vec<_>> = frame
            .components
            .iter()
            .map(|c| {
                let dc = self.dc[c.dc].as_ref()?.table.as_ref()?;
                let ac = self.ac[c.ac].as_ref()?.table.as_ref()?;
                Some((dc, ac))
            })
            .collect();
        let tables = tables?;
        let segments = mcus.div_ceil(interval);
        let behind = unstuff(reader.rest, segments, &mut self.scan, &mut self.ends)?;
        if !behind.starts_with(&[0xff, 0xd9]) {
            return None;
        }
        let mut scan = Scan {
            parts: &parts,
            tables: &tables,
            across,
            segments: Segments::new(&self.scan, &self.ends, interval),
            predictions: [0; 3],
        };
        picture.paint(down, out, |planes, _, turn| scan.mcu_row(planes, turn))?;
        scan.segments.ends_well().then_some(())
    }
}

/// Makes the tables that a frame uses, but those that are there. For a few coefficients tables do not pay, unless
/// the last file had the same ones.
fn make_tables(
    dc: &mut [Option<Kept<DcTable>>; 4],
    ac: &mut [Option<Kept<AcTable>>; 4],
    frame: &Frame,
    length: usize,
) {
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
    let now = length >= WORTH_TABLES;
    for c in &frame.components {
        make(&mut dc[c.dc], frame.dc[c.dc], now, DcTable::new);
        make(&mut ac[c.ac], frame.ac[c.ac], now, AcTable::new);
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
    parts: &'a [Part],
    planes: &'a mut [Vec<u8>; 3],
    wide: &'a mut [Row; 2],
}

impl Picture<'_> {
    /// Writes all pixels, of `down` rows of MCUs whose samples `mcu_row(planes, row, part of the planes)` computes.
    fn paint(
        &mut self,
        down: usize,
        out: &mut [u8],
        mut mcu_row: impl FnMut(&mut [Vec<u8>; 3], usize, usize) -> Option<()>,
    ) -> Option<()> {
        for (plane, part) in self.planes.iter_mut().zip(self.parts) {
            plane.resize(part.stride * part.rows * self.turns, 0);
        }
        let mut done = 0;
        let mut lines = out.chunks_exact_mut(self.columns * self.parts.len());
        for y in 0..down {
            mcu_row(self.planes, y, y % self.turns)?;
            let known = (y + 1) * self.parts[0].rows;
            let ready = match self.turns {
                2 if y + 1 < down => known - 1,
                _ => known.min(self.rows),
            };
            for line in lines.by_ref().take(ready - done) {
                self.row(done, line);
                done += 1;
            }
        }
        Some(())
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
fn part(component: &Component, luma: &Component, size: usize, across: usize) -> Part {
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
        transform: Transform::new(own, component.quant),
        width,
        rows: component.v * own,
        stride: width.next_multiple_of(8),
    }
}

/// The state of a baseline scan.
struct Scan<'a> {
    parts: &'a [Part],
    tables: &'a [(&'a DcTable, &'a AcTable)],
    /// MCUs of a row.
    across: usize,
    segments: Segments<'a>,
    predictions: [i32; 3],
}

impl Scan<'_> {
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
            if self.segments.begin_mcu()? {
                self.predictions = [0; 3];
            }
            let mut mine = blocks[x % 2].iter_mut();
            let components = parts.iter().zip(self.tables).zip(&mut self.predictions);
            for ((part, &tables), prediction) in components {
                for block in mine.by_ref().take(part.h * part.v) {
                    part.transform.clear(block);
                    let bits = self.segments.bits();
                    bits.block(tables, part.transform.slots, prediction, block)?;
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
        (self.segments.within() && !beyond.any()).then_some(())
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
                let block = block.coefficients();
                part.transform.apply(block, plane, at, part.stride, beyond);
            }
        }
    }
}

/// Computes the samples of row `y` of `down` rows of MCUs from stored coefficients, into part `turn` of the planes.
fn stored_mcu_row(
    coefficients: &Coefficients,
    parts: &[Part],
    across: usize,
    planes: &mut [Vec<u8>; 3],
    place: (usize, usize, usize),
) -> Option<()> {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn newer(
            coefficients: &Coefficients,
            parts: &[Part],
            across: usize,
            planes: &mut [Vec<u8>; 3],
            place: (usize, usize, usize),
        ) -> Option<()> {
            stored_mcu_row_with::<lanes::Sse2, lanes::Avx2>(
                coefficients,
                parts,
                across,
                planes,
                place,
            )
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has these instructions.
            return unsafe { newer(coefficients, parts, across, planes, place) };
        }
        stored_mcu_row_with::<lanes::Sse2, Two<lanes::Sse2>>(
            coefficients,
            parts,
            across,
            planes,
            place,
        )
    }
    #[cfg(not(target_arch = "x86_64"))]
    stored_mcu_row_with::<lanes::Plain, Two<lanes::Plain>>(
        coefficients,
        parts,
        across,
        planes,
        place,
    )
}

#[inline(always)]
fn stored_mcu_row_with<N: Narrow, W: Wide>(
    coefficients: &Coefficients,
    parts: &[Part],
    across: usize,
    planes: &mut [Vec<u8>; 3],
    (y, turn, down): (usize, usize, usize),
) -> Option<()> {
    let mut beyond = Beyond::<N, W>::none();
    let mut first = 0;
    for (part, plane) in parts.iter().zip(planes) {
        let (columns, size) = (across * part.h, part.transform.size);
        for v in 0..part.v {
            let row = first + (y * part.v + v) * columns;
            let at = (turn * part.rows + v * size) * part.stride;
            for x in 0..columns {
                let block = coefficients.block(row + x);
                let at = at + x * size;
                part.transform
                    .apply(block, plane, at, part.stride, &mut beyond);
            }
        }
        first += columns * down * part.v;
    }
    (!beyond.any()).then_some(())
}

#[cfg(test)]
mod tests;
