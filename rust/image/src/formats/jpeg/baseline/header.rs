//! The markers of a baseline or progressive JPEG, up to its entropy-coded data.

/// Where the n-th coefficient of a block in zigzag order stands in row-major order (ITU-T T.81, figure 5).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// One colour component.
#[derive(Clone, Copy)]
pub(super) struct Component<'a> {
    pub(super) id: u8,
    /// Blocks in an MCU, across and down.
    pub(super) h: usize,
    pub(super) v: usize,
    quant_index: usize,
    /// Its quantisation table, in zigzag order.
    pub(super) quant: &'a [u8; 64],
    /// Which Huffman tables its coefficients use.
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// What the markers say.
pub(super) struct Frame<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One, or luma and two chromas.
    pub(super) components: Vec<Component<'a>>,
    /// Huffman tables as stored: sixteen counts, then as many symbols.
    pub(super) dc: [&'a [u8]; 4],
    pub(super) ac: [&'a [u8]; 4],
    /// MCUs between two restart markers; 0 for none.
    pub(super) restart: usize,
    /// Whether its coefficients come in several scans, more and more exactly.
    pub(super) progressive: bool,
}

/// Reads the markers of a file from scan to scan.
pub(super) struct Reader<'a> {
    pub(super) frame: Frame<'a>,
    quants: [Option<&'a [u8; 64]>; 4],
    /// Scans so far.
    pub(super) scans: usize,
    /// What has not been read: behind the header of a scan its entropy-coded data, and the rest of the file.
    pub(super) rest: &'a [u8],
}

/// Where a reader stops.
pub(super) enum Stop<'a> {
    /// Behind the header of a scan, which is this.
    Scan(&'a [u8]),
    /// Behind the end of the image.
    End,
}

impl<'a> Reader<'a> {
    /// Of a file that begins with SOI.
    pub(super) fn new(data: &'a [u8]) -> Option<Self> {
        Some(Self {
            frame: Frame {
                width: 0,
                height: 0,
                components: Vec::new(),
                dc: [&[]; 4],
                ac: [&[]; 4],
                restart: 0,
                progressive: false,
            },
            quants: [None; 4],
            scans: 0,
            rest: data.get(2..)?,
        })
    }

    /// Reads up to the next scan; None for all that is neither baseline nor progressive with Huffman codes, and for
    /// anything that libjpeg would look at twice.
    pub(super) fn next(&mut self) -> Option<Stop<'a>> {
        let frame = &mut self.frame;
        loop {
            if let [0xff, 0xd9, ..] = self.rest {
                return Some(Stop::End);
            }
            let &[0xff, marker, high, low, ref tail @ ..] = self.rest else {
                return None;
            };
            let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
            let (mut segment, after) = tail.split_at_checked(length)?;
            self.rest = after;
            match marker {
                // APPn and COM say nothing about the coefficients; their effect on colour is libjpeg's to tell.
                0xe0..=0xef | 0xfe => {}
                // DQT, of bytes. Between scans it is for libjpeg to say for which components it comes too late.
                0xdb if self.scans == 0 => {
                    while let Some((&which, values)) = segment.split_first() {
                        let (values, behind) = values.split_first_chunk()?;
                        *self.quants.get_mut(usize::from(which))? = Some(values);
                        segment = behind;
                    }
                }
                // DHT
                0xc4 => {
                    while let Some((&which, table)) = segment.split_first() {
                        let symbols: usize = table.get(..16)?.iter().map(|&n| usize::from(n)).sum();
                        let (table, behind) = table.split_at_checked(16 + symbols)?;
                        let tables = match which >> 4 {
                            0 => &mut frame.dc,
                            1 => &mut frame.ac,
                            _ => return None,
                        };
                        *tables.get_mut(usize::from(which & 15))? = table;
                        segment = behind;
                    }
                }
                // SOF0 and SOF1, which differ in how many tables there may be, and SOF2.
                0xc0..=0xc2 => {
                    if !frame.components.is_empty() {
                        return None;
                    }
                    frame.progressive = marker == 0xc2;
                    sizes(segment, frame)?;
                }
                // DRI
                0xdd => {
                    let interval: [u8; 2] = segment.try_into().ok()?;
                    frame.restart = usize::from(u16::from_be_bytes(interval));
                }
                // SOS
                0xda => {
                    if self.scans == 0 {
                        for component in &mut frame.components {
                            component.quant = (*self.quants.get(component.quant_index)?)?;
                        }
                    }
                    self.scans += 1;
                    return Some(Stop::Scan(segment));
                }
                _ => return None,
            }
        }
    }
}

/// Reads the header of a frame.
fn sizes(segment: &[u8], frame: &mut Frame) -> Option<()> {
    let &[8, y1, y0, x1, x0, count, ref specs @ ..] = segment else {
        return None;
    };
    frame.height = usize::from(u16::from_be_bytes([y1, y0]));
    frame.width = usize::from(u16::from_be_bytes([x1, x0]));
    let usual = matches!(count, 1 | 3) && specs.len() == 3 * usize::from(count);
    if !usual || frame.height == 0 || frame.width == 0 {
        return None;
    }
    for spec in specs.chunks_exact(3) {
        frame.components.push(Component {
            id: spec[0],
            h: usize::from(spec[1] >> 4),
            v: usize::from(spec[1] & 15),
            quant_index: usize::from(spec[2]),
            quant: &[0; 64],
            dc: 0,
            ac: 0,
        });
    }
    match &mut frame.components[..] {
        [grey] => {
            // The blocks of a single component follow one another, whatever its factors say.
            let known = (1..=4).contains(&grey.h) && (1..=4).contains(&grey.v);
            (grey.h, grey.v) = (1, 1);
            known.then_some(())
        }
        [luma, chroma @ ..] => {
            let known = matches!((luma.h, luma.v), (1, 1) | (2, 1) | (2, 2))
                && chroma.iter().all(|c| (c.h, c.v) == (1, 1))
                && luma.id != chroma[0].id
                && luma.id != chroma[1].id
                && chroma[0].id != chroma[1].id;
            known.then_some(())
        }
        [] => None,
    }
}

/// Reads the header of the scan of a baseline file, which has to hold every component in the order of the frame.
pub(super) fn components(segment: &[u8], frame: &mut Frame) -> Option<()> {
    let (&count, specs) = segment.split_first()?;
    let n = frame.components.len();
    if n == 0 || usize::from(count) != n || specs.len() != 2 * n + 3 || specs[2 * n..] != [0, 63, 0]
    {
        return None;
    }
    for (component, spec) in frame.components.iter_mut().zip(specs.chunks_exact(2)) {
        if spec[0] != component.id {
            return None;
        }
        component.dc = usize::from(spec[1] >> 4);
        component.ac = usize::from(spec[1] & 15);
        if frame.dc.get(component.dc)?.is_empty() || frame.ac.get(component.ac)?.is_empty() {
            return None;
        }
    }
    Some(())
}
