//! PNG of every colour type and depth. 16-bit samples keep their high byte, as Pillow does for RGB.

use std::io::Cursor;

use png::{Decoder, Transformations};

use super::{damaged, Format, Limit, Raw};
use crate::orientation::{exif_orientation, from_exif};
use crate::{Header, ImageError, Mode, Pixels};

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let cut = || damaged("PNG", "the file is cut off");
    let mut at = 8;
    let mut header = None;
    let mut alpha = false;
    let mut exif = None;
    loop {
        let head = data.get(at..at + 8).ok_or_else(cut)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let end = (at + 8).checked_add(length).ok_or_else(cut)?;
        let body = data.get(at + 8..end).ok_or_else(cut)?;
        // The chunk's checksum has to be there; whether it is right is seen by decoding.
        data.get(end..end + 4).ok_or_else(cut)?;
        match &head[4..] {
            b"IHDR" => {
                let [w3, w2, w1, w0, h3, h2, h1, h0, bits, kind, ..] = *body else {
                    return Err(damaged("PNG", "its header is too short"));
                };
                header = Some((
                    u32::from_be_bytes([w3, w2, w1, w0]),
                    u32::from_be_bytes([h3, h2, h1, h0]),
                    bits,
                    kind,
                ));
            }
            b"tRNS" => alpha = true,
            b"eXIf" => exif = Some(body),
            b"IEND" => break,
            _ if header.is_none() => return Err(damaged("PNG", "it does not begin with IHDR")),
            _ => {}
        }
        at = end + 4;
    }
    let Some((width, height, bits, kind)) = header else {
        return Err(damaged("PNG", "it has no IHDR"));
    };
    let (mode, own_alpha) = match kind {
        0 => (Mode::Grey, false),
        2 => (Mode::Rgb, false),
        3 => (Mode::Palette, false),
        4 => (Mode::Grey, true),
        6 => (Mode::Rgb, true),
        n => return Err(damaged("PNG", format!("colour type {n}"))),
    };
    Ok(Header {
        format: Format::Png,
        width: width.into(),
        height: height.into(),
        mode,
        bits,
        alpha: alpha || own_alpha,
        orientation: exif_orientation(exif),
    })
}

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let bad = |e: png::DecodingError| damaged("PNG", e);
    let mut decoder = Decoder::new(Cursor::new(data));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palette to RGB, 1/2/4-bit grey to 8, tRNS to alpha, 16 bit to 8.
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let header = decoder.read_header_info().map_err(bad)?;
    let (width, height) = limit.check(header.width.into(), header.height.into())?;
    let mut reader = decoder.read_info().map_err(bad)?;
    // The decoder trusts that a palette is made of whole colours.
    let palette = reader.info().palette.as_deref();
    if palette.is_some_and(|p| p.is_empty() || !p.len().is_multiple_of(3)) {
        return Err(damaged("PNG", "its palette is not made of whole colours"));
    }
    let channels = reader.output_color_type().0.samples();
    // The size is bounded by the limit, four channels of one byte each.
    let mut samples = vec![0; width * height * channels];
    reader.next_frame(&mut samples).map_err(bad)?;
    // An `eXIf` chunk may stand after the image data.
    reader.finish().map_err(bad)?;
    let orientation = from_exif(reader.info().exif_metadata.as_deref());
    Ok(Raw {
        pixels: Pixels::new(width, height, channels, samples)?,
        orientation,
    })
}
