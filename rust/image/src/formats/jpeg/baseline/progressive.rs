//! The scans of a progressive JPEG (ITU-T T.81, annex G): the coefficients of all blocks, more and more exactly.
//!
//! Beside the coefficients of a block stands which of them are not 0. A scan that refines them has a bit for each of
//! those, and counts the others: both are found without a look at the coefficients themselves.

#[cfg(target_arch = "x86_64")]
use super::deposit::Bmi2;
use super::deposit::{Deposit, Plain};
use super::header::{Frame, Reader, Stop};
use super::huffman::{Bits, Codes, NOWHERE};
use super::segments::{unstuff, Segments};
use super::Part;

/// Scans beyond this many are for libjpeg to refuse.
const MAX_SCANS: usize = 500;

/// Where the coefficients go that no one asks for: no transform to less than 8x8 samples reads this one.
const UNREAD: u8 = 63;

/// The coefficients of all blocks; keeps their memory.
#[derive(Default)]
pub(super) struct Coefficients {
    /// Of each block 64, in the order of its transform.
    values: Vec<i16>,
    /// For each block a bit for each AC coefficient that is not 0, in zigzag order.
    set: Vec<u64>,
    /// The data of one scan without stuffed bytes and markers.
    scan: Vec<u8>,
    ends: Vec<usize>,
}

/// The blocks of a component.
struct Plane {
    /// Blocks in an MCU.
    h: usize,
    v: usize,
    /// Blocks that scans of this component alone hold.
    width: usize,
    height: usize,
    /// The first block, and blocks from a row to the next.
    first: usize,
    stride: usize,
    /// The place of each coefficient in a block, in zigzag order.
    places: [u8; 64],
    /// The lowest bit that is known of each coefficient.
    known: [Option<u8>; 64],
}

/// A part of the coefficients, and which of their bits.
#[derive(Clone, Copy)]
struct Band {
    first: usize,
    last: usize,
    /// The lowest bit that is known already.
    high: u8,
    /// The lowest bit of this scan.
    low: u8,
}

impl Coefficients {
    /// Reads all scans of a file, from the header of the first one on; None for anything but a whole, undamaged file.
    pub(super) fn read<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        mut header: &'a [u8],
        parts: &[Part],
        (across, down): (usize, usize),
    ) -> Option<()> {
        let mut planes = planes(&reader.frame, parts, (across, down));
        let blocks: usize = planes.iter().map(|p| p.width * p.height).sum();
        // Each has a DC coefficient, of at least a bit, so that memory is only taken for what may be there.
        if blocks > 8 * reader.rest.len() {
            return None;
        }
        let all = planes.last().map_or(0, |p| p.first + p.stride * down * p.v);
        self.clear(all);
        loop {
            let (of, codes, band) = scan(header, &reader.frame, &mut planes)?;
            self.scan(reader, &planes, (&of, &codes), band, (across, down))?;
            match reader.next()? {
                Stop::Scan(next) if reader.scans <= MAX_SCANS => header = next,
                Stop::Scan(_) => return None,
                Stop::End => break,
            }
        }
        // Of a file that leaves something open libjpeg makes a smoother image.
        let whole = |plane: &Plane| plane.known.iter().all(|&bit| bit == Some(0));
        planes.iter().all(whole).then_some(())
    }

    /// Makes all coefficients 0.
    fn clear(&mut self, blocks: usize) {
        self.set.clear();
        self.set.resize(blocks, 0);
        if 2 * 64 * blocks > crate::formats::KEPT_MEMORY {
            // Memory that has never been written is not there before it is.
            self.values = vec![0; 64 * blocks];
        } else {
            self.values.clear();
            self.values.resize(64 * blocks, 0);
        }
    }

    /// Gives back what is too much to be kept.
    pub(super) fn trim(&mut self) {
        if 2 * self.values.capacity() > crate::formats::KEPT_MEMORY {
            (self.values, self.set) = Default::default();
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.values.capacity()
    }

    /// The coefficients of a block.
    #[inline(always)]
    pub(super) fn block(&self, index: usize) -> &[i16; 64] {
        &self.values.as_chunks::<64>().0[index]
    }

    /// Reads one scan of the components `of` with the code words of each.
    fn scan(
        &mut self,
        reader: &mut Reader,
        planes: &[Plane],
        (of, codes): (&[usize], &[Option<Codes>]),
        band: Band,
        (across, down): (usize, usize),
    ) -> Option<()> {
        let (columns, rows) = match of {
            &[one] => (planes[one].width, planes[one].height),
            _ => (across, down),
        };
        let interval = match reader.frame.restart {
            0 => columns * rows,
            n => n,
        };
        let segments = (columns * rows).div_ceil(interval);
        reader.rest = unstuff(reader.rest, segments, &mut self.scan, &mut self.ends)?;
        let mut segments = Segments::new(&self.scan, &self.ends, interval);
        let blocks = self.values.as_chunks_mut::<64>().0;
        let picked = of.iter().map(|&c| &planes[c]).collect::<Vec<_>>();
        if band.first == 0 {
            let size = (columns, rows);
            if band.high == 0 {
                dc_first(&mut segments, &picked, codes, band.low, size, blocks)?;
            } else {
                dc_more(&mut segments, &picked, band.low, size, blocks)?;
            }
        } else {
            let (plane, codes) = (picked.first()?, codes.first()?.as_ref()?);
            ac(&mut segments, plane, codes, band, blocks, &mut self.set)?;
        }
        segments.ends_well().then_some(())
    }
}

fn planes(frame: &Frame, parts: &[Part], (across, down): (usize, usize)) -> Vec<Plane> {
    let luma = &parts[0];
    let mut first = 0;
    let plane = |part: &Part| {
        let stride = across * part.h;
        let mut places = [0; 64];
        for (place, &slot) in places.iter_mut().zip(part.transform.slots) {
            *place = if slot == NOWHERE { UNREAD } else { slot };
        }
        let plane = Plane {
            h: part.h,
            v: part.v,
            width: (frame.width * part.h).div_ceil(8 * luma.h),
            height: (frame.height * part.v).div_ceil(8 * luma.v),
            first,
            stride,
            places,
            known: [None; 64],
        };
        first += stride * down * part.v;
        plane
    };
    parts.iter().map(plane).collect()
}

/// The header of a scan: its components, their code words, where there are any, and their coefficients, which are noted
/// down as known. None for what libjpeg would complain about, and for coefficients that come twice.
fn scan(
    header: &[u8],
    frame: &Frame,
    planes: &mut [Plane],
) -> Option<(Vec<usize>, Vec<Option<Codes>>, Band)> {
    let (&count, specs) = header.split_first()?;
    let (specs, &[first, last, bits]) = specs.split_at_checked(2 * usize::from(count))? else {
        return None;
    };
    let band = Band {
        first: first.into(),
        last: last.into(),
        high: bits >> 4,
        low: bits & 15,
    };
    let valid = match first {
        0 => last == 0 && count > 0,
        _ => first <= last && last <= 63 && count == 1,
    };
    if !valid || band.low > 13 || band.high != 0 && band.high != band.low + 1 {
        return None;
    }
    let (mut of, mut codes) = (Vec::new(), Vec::new());
    for spec in specs.as_chunks::<2>().0 {
        let c = frame.components.iter().position(|c| c.id == spec[0])?;
        if of.contains(&c) || first > 0 && planes[c].known[0].is_none() {
            return None;
        }
        let before = (band.high > 0).then_some(band.high);
        for known in &mut planes[c].known[band.first..=band.last] {
            if *known != before {
                return None;
            }
            *known = Some(band.low);
        }
        of.push(c);
        codes.push(match (first, before) {
            (0, None) => {
                let table = frame.dc.get(usize::from(spec[1] >> 4))?;
                // No difference has more than 15 bits.
                Some(Codes::new(table)?.with_symbols_up_to(15)?)
            }
            (0, Some(_)) => None,
            _ => Some(Codes::new(frame.ac.get(usize::from(spec[1] & 15))?)?),
        });
    }
    Some((of, codes, band))
}

/// Calls `each` with the number of the component in the scan and the place of each block, MCU by MCU.
#[inline(always)]
fn for_each_block(
    segments: &mut Segments,
    planes: &[&Plane],
    (columns, rows): (usize, usize),
    mut each: impl FnMut(&mut Segments, bool, usize, usize) -> Option<()>,
) -> Option<()> {
    for y in 0..rows {
        for x in 0..columns {
            let mut begins = segments.begin_mcu()?;
            for (c, plane) in planes.iter().enumerate() {
                let (h, v) = match planes {
                    [_] => (1, 1),
                    _ => (plane.h, plane.v),
                };
                for down in 0..v {
                    let at = plane.first + (y * v + down) * plane.stride + x * h;
                    for across in 0..h {
                        each(segments, begins, c, at + across)?;
                        begins = false;
                    }
                }
            }
        }
    }
    Some(())
}

/// The upper bits of DC coefficients (G.1.2.1).
fn dc_first(
    segments: &mut Segments,
    planes: &[&Plane],
    codes: &[Option<Codes>],
    low: u8,
    size: (usize, usize),
    blocks: &mut [[i16; 64]],
) -> Option<()> {
    let mut predictions = [0; 3];
    for_each_block(segments, planes, size, |segments, begins, c, at| {
        if begins {
            predictions = [0; 3];
        }
        let bits = segments.bits();
        let size = bits.symbol(codes[c].as_ref()?)?;
        predictions[c] += bits.number(size.into());
        let place = usize::from(planes[c].places[0]);
        blocks[at][place] = i16::try_from(predictions[c] << low).ok()?;
        Some(())
    })
}

/// The next bit of DC coefficients.
fn dc_more(
    segments: &mut Segments,
    planes: &[&Plane],
    low: u8,
    size: (usize, usize),
    blocks: &mut [[i16; 64]],
) -> Option<()> {
    for_each_block(segments, planes, size, |segments, _, c, at| {
        let bit = segments.bits().take_many(1)? >> 63;
        let place = usize::from(planes[c].places[0]);
        blocks[at][place] |= (bit as i16) << low;
        Some(())
    })
}

/// AC coefficients of one component.
fn ac(
    segments: &mut Segments,
    plane: &Plane,
    codes: &Codes,
    band: Band,
    blocks: &mut [[i16; 64]],
    set: &mut [u64],
) -> Option<()> {
    #[cfg(target_arch = "x86_64")]
    {
        /// As for baseline scans.
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn newer(
            segments: &mut Segments,
            plane: &Plane,
            codes: &Codes,
            band: Band,
            blocks: &mut [[i16; 64]],
            set: &mut [u64],
        ) -> Option<()> {
            match band.high {
                0 => ac_first(segments, plane, codes, band, blocks, set),
                _ => ac_more::<Bmi2>(segments, plane, codes, band, blocks, set),
            }
        }
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the processor has these instructions.
            return unsafe { newer(segments, plane, codes, band, blocks, set) };
        }
    }
    match band.high {
        0 => ac_first(segments, plane, codes, band, blocks, set),
        _ => ac_more::<Plain>(segments, plane, codes, band, blocks, set),
    }
}

/// Calls `each` for the blocks of a scan of one component with how many of them, this one included, have nothing more in
/// the band, and takes from it how many behind this one have.
#[inline(always)]
fn for_each_single(
    segments: &mut Segments,
    plane: &Plane,
    blocks: &mut [[i16; 64]],
    set: &mut [u64],
    mut each: impl FnMut(&mut Segments, &mut [i16; 64], &mut u64, u32) -> Option<u32>,
) -> Option<()> {
    let mut skip = 0;
    for y in 0..plane.height {
        let at = plane.first + y * plane.stride;
        let blocks = blocks.get_mut(at..at + plane.width)?;
        let set = set.get_mut(at..at + plane.width)?;
        for (block, set) in blocks.iter_mut().zip(set) {
            if segments.begin_mcu()? && skip > 0 {
                return None;
            }
            skip = each(segments, block, set, skip)?;
        }
    }
    (skip == 0).then_some(())
}

/// The upper bits of coefficients (G.1.2.2).
#[inline(always)]
fn ac_first(
    segments: &mut Segments,
    plane: &Plane,
    codes: &Codes,
    band: Band,
    blocks: &mut [[i16; 64]],
    set: &mut [u64],
) -> Option<()> {
    for_each_single(
        segments,
        plane,
        blocks,
        set,
        |segments, block, set, skip| {
            if skip > 0 {
                return Some(skip - 1);
            }
            let mut bits = *segments.bits();
            let mut at = band.first;
            let mut found = 0;
            let skip = loop {
                let symbol = bits.symbol(codes)?;
                let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                if size == 0 && run < 15 {
                    break (1 << run) + bits.take(run) - 1;
                }
                at += run as usize;
                if at > band.last {
                    return None;
                }
                if size > 0 {
                    let value = i16::try_from(bits.number(size) << band.low).ok()?;
                    block[usize::from(plane.places[at & 63] & 63)] = value;
                    found |= 1 << at;
                }
                at += 1;
                if at > band.last {
                    break 0;
                }
            };
            *segments.bits() = bits;
            *set |= found;
            Some(skip)
        },
    )
}

/// The next bit of coefficients (G.1.2.3). Each that is not 0 yet has one, and those that become 1 or -1 now are told by
/// how many others that are still 0 stand before them.
#[inline(always)]
fn ac_more<D: Deposit>(
    segments: &mut Segments,
    plane: &Plane,
    codes: &Codes,
    band: Band,
    blocks: &mut [[i16; 64]],
    set: &mut [u64],
) -> Option<()> {
    let all = !0 >> (63 - band.last) & (!0 << band.first);
    let last = 1 << band.last;
    let one = 1_i16 << band.low;
    for_each_single(
        segments,
        plane,
        blocks,
        set,
        |segments, block, set, mut skip| {
            let mut bits = *segments.bits();
            let (mut old, mut zeros) = (*set & all, !*set & all);
            let (mut grown, mut found) = (0, 0);
            while skip == 0 {
                let symbol = bits.symbol(codes)?;
                let (run, size) = (u32::from(symbol >> 4), symbol & 15);
                if size == 0 && run < 15 {
                    skip = (1 << run) + bits.take(run);
                    break;
                }
                let place = D::deposit(1 << run, zeros);
                if size > 1 || place == 0 {
                    return None;
                }
                if size == 1 {
                    let value = if bits.take(1) == 1 { one } else { -one };
                    block[usize::from(plane.places[place.trailing_zeros() as usize & 63] & 63)] =
                        value;
                    found |= place;
                }
                let passed = old & (place - 1);
                grown |= corrections::<D>(&mut bits, passed)?;
                old ^= passed;
                zeros &= !place & !(place - 1);
                if place == last {
                    break;
                }
            }
            grown |= corrections::<D>(&mut bits, old)?;
            *segments.bits() = bits;
            *set |= found;
            while grown != 0 {
                let place = usize::from(plane.places[grown.trailing_zeros() as usize & 63]);
                let value = &mut block[place & 63];
                // Away from 0.
                let sign = *value >> 15;
                *value = value.wrapping_add((one ^ sign) - sign);
                grown &= grown - 1;
            }
            Some(skip.saturating_sub(1))
        },
    )
}

/// Takes a bit for each coefficient of `which`: those that have a 1.
#[inline(always)]
fn corrections<D: Deposit>(bits: &mut Bits, which: u64) -> Option<u64> {
    if which.count_ones() <= 56 {
        return corrections_few::<D>(bits, which);
    }
    let lower = which & u64::from(u32::MAX);
    Some(corrections_few::<D>(bits, lower)? | corrections_few::<D>(bits, which ^ lower)?)
}

/// The same for up to 56.
#[inline(always)]
fn corrections_few<D: Deposit>(bits: &mut Bits, which: u64) -> Option<u64> {
    let taken = bits.take_many(which.count_ones())?;
    Some(D::deposit(taken.reverse_bits(), which))
}
