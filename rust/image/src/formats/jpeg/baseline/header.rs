//! The markers of a baseline JPEG, up to its entropy-coded data.

/// Where the n-th coefficient of a block in zigzag order stands in row-major order (ITU-T T.81, figure 5).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// One colour component.
#[derive(Clone, Copy)]
pub(super) struct Component<'a> {
    id: u8,
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
    /// What follows the header of the scan: entropy-coded data, and the rest of the file.
    pub(super) scan: &'a [u8],
}

/// The frame of a file that begins with SOI; None for all that is not plain baseline with one scan, and for anything
/// that libjpeg would look at twice.
pub(super) fn parse(data: &[u8]) -> Option<Frame<'_>> {
    let mut rest = data.get(2..)?;
    let mut quants: [Option<&[u8; 64]>; 4] = [None; 4];
    let mut frame = Frame {
        width: 0,
        height: 0,
        components: Vec::new(),
        dc: [&[]; 4],
        ac: [&[]; 4],
        restart: 0,
        scan: &[],
    };
    loop {
        let &[0xff, marker, high, low, ref tail @ ..] = rest else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
        let (mut segment, after) = tail.split_at_checked(length)?;
        rest = after;
        match marker {
            // APPn and COM say nothing about the coefficients; their effect on colour is libjpeg's to tell.
            0xe0..=0xef | 0xfe => {}
            // DQT, of bytes.
            0xdb => {
                while let Some((&which, values)) = segment.split_first() {
                    let (values, behind) = values.split_first_chunk()?;
                    *quants.get_mut(usize::from(which))? = Some(values);
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
            // SOF0 and SOF1, which differ in how many tables there may be.
            0xc0 | 0xc1 => {
                if !frame.components.is_empty() {
                    return None;
                }
                sizes(segment, &mut frame)?;
            }
            // DRI
            0xdd => {
                let interval: [u8; 2] = segment.try_into().ok()?;
                frame.restart = usize::from(u16::from_be_bytes(interval));
            }
            // SOS
            0xda => {
                components(segment, &mut frame, &quants)?;
                frame.scan = rest;
                return Some(frame);
            }
            _ => return None,
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

/// Reads the header of the scan, which has to hold every component in the order of the frame.
fn components<'a>(
    segment: &[u8],
    frame: &mut Frame<'a>,
    quants: &[Option<&'a [u8; 64]>; 4],
) -> Option<()> {
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
        component.quant = (*quants.get(component.quant_index)?)?;
        component.dc = usize::from(spec[1] >> 4);
        component.ac = usize::from(spec[1] & 15);
        if frame.dc.get(component.dc)?.is_empty() || frame.ac.get(component.ac)?.is_empty() {
            return None;
        }
    }
    Some(())
}
