//! The entropy-coded data of a scan, which restart markers may divide into segments.

use super::huffman::Bits;

/// Bytes that have to follow the last one of a scan, for [`Bits`].
const PADDING: usize = 16;

/// Copies the entropy-coded data of a scan without its stuffed bytes to `scan`, if it has as many segments as it should
/// and a marker behind it, and where they end to `ends`. Returns what is left from that marker on.
pub(super) fn unstuff<'a>(
    mut from: &'a [u8],
    segments: usize,
    scan: &mut Vec<u8>,
    ends: &mut Vec<usize>,
) -> Option<&'a [u8]> {
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
            // RST0 to RST7, in turn.
            0xd0..=0xd7
                if usize::from(marker & 7) == ends.len() % 8 && ends.len() + 1 < segments =>
            {
                ends.push(scan.len());
            }
            0xd0..=0xd7 => return None,
            _ if ends.len() + 1 == segments => {
                ends.push(scan.len());
                scan.extend([0; PADDING]);
                return Some(marked);
            }
            _ => return None,
        }
        from = rest;
    }
}

/// The data of a scan, segment by segment.
pub(super) struct Segments<'a> {
    bits: Bits<'a>,
    ends: &'a [usize],
    segment: usize,
    /// MCUs that are left of this segment.
    left: usize,
    /// MCUs of a segment but the last.
    interval: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn new(scan: &'a [u8], ends: &'a [usize], interval: usize) -> Self {
        Self {
            bits: Bits::new(scan),
            ends,
            segment: 0,
            left: interval,
            interval,
        }
    }

    /// The bits that follow.
    #[inline(always)]
    pub(super) fn bits(&mut self) -> &mut Bits<'a> {
        &mut self.bits
    }

    /// Whether no more has been taken than the segment holds.
    pub(super) fn within(&self) -> bool {
        self.bits.position() <= 8 * self.ends[self.segment]
    }

    /// Whether the segment's bits have been taken, but for those that fill its last byte.
    pub(super) fn ends_well(&self) -> bool {
        let end = 8 * self.ends[self.segment];
        (end.saturating_sub(7)..=end).contains(&self.bits.position())
    }

    /// Counts an MCU that is about to be decoded; goes on to the next segment where one ends, and says so.
    #[inline(always)]
    pub(super) fn begin_mcu(&mut self) -> Option<bool> {
        let ends = self.left == 0;
        if ends {
            if !self.ends_well() {
                return None;
            }
            self.bits.jump(self.ends[self.segment]);
            self.segment += 1;
            self.left = self.interval;
        }
        self.left -= 1;
        Some(ends)
    }
}
