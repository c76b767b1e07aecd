//! PNG of every colour type and depth. 16-bit samples keep their high byte, as Pillow does for RGB.

use std::io::Cursor;

use png::{Decoder, Transformations};

use super::{damaged, Limit, Raw};
use crate::orientation::from_exif;
use crate::{ImageError, Pixels};

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
