//! GIF; of an animation the first frame, on its canvas as Pillow puts it there.

use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::{damaged, Format, Limit, Raw};
use crate::{Header, ImageError, Mode, Pixels};

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let bad = |e: gif::DecodingError| damaged("GIF", e);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(Cursor::new(data)).map_err(bad)?;
    let screen = (u64::from(decoder.width()), u64::from(decoder.height()));
    let Some(frame) = decoder.next_frame_info().map_err(bad)? else {
        return Err(damaged("GIF", "it has no frame"));
    };
    let reach = |start: u16, length: u16| u64::from(start) + u64::from(length);
    Ok(Header {
        format: Format::Gif,
        width: screen.0.max(reach(frame.left, frame.width)),
        height: screen.1.max(reach(frame.top, frame.height)),
        mode: Mode::Palette,
        bits: 8,
        alpha: frame.transparent.is_some(),
        orientation: 1,
    })
}

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let bad = |e: DecodingError| damaged("GIF", e);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(match NonZeroU64::new(limit.0) {
        Some(bytes) => MemoryLimit::Bytes(bytes), // an index is one byte
        None => {
            return Err(ImageError::Geometry(
                "a limit of 0 pixels allows no image".into(),
            ))
        }
    });
    let mut decoder = options.read_info(Cursor::new(data)).map_err(bad)?;
    let screen = (decoder.width(), decoder.height());
    let Some(frame) = decoder.next_frame_info().map_err(bad)? else {
        return Err(damaged("GIF", "it has no frame"));
    };
    let [left, top, w, h] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
    let transparent = frame.transparent;
    if w == 0 || h == 0 {
        return Err(damaged("GIF", "its first frame is empty"));
    }
    // A frame that reaches beyond the screen enlarges it, as in Pillow.
    let (width, height) = limit.check(
        (left + w).max(screen.0.into()) as u64,
        (top + h).max(screen.1.into()) as u64,
    )?;
    let mut indices = vec![0; w * h];
    decoder.read_into_buffer(&mut indices).map_err(bad)?;

    // What a file names beyond its colour table is black in Pillow.
    let mut palette = [[0; 3]; 256];
    let table = decoder.palette().map_err(bad)?;
    for (to, from) in palette.iter_mut().zip(table.as_chunks::<3>().0) {
        *to = *from;
    }
    // Around the frame: the transparent colour, else the first.
    let around = transparent.unwrap_or(0);
    let mut canvas;
    let indices = if (w, h) == (width, height) {
        indices
    } else {
        canvas = vec![around; width * height];
        for (y, row) in indices.chunks_exact(w).enumerate() {
            canvas[(top + y) * width + left..][..w].copy_from_slice(row);
        }
        canvas
    };
    let (channels, samples) = match transparent {
        None => (
            3,
            indices.iter().flat_map(|&i| palette[i as usize]).collect(),
        ),
        Some(clear) => {
            let rgba = |&i: &u8| {
                let [r, g, b] = palette[i as usize];
                [r, g, b, if i == clear { 0 } else { 255 }]
            };
            (4, indices.iter().flat_map(rgba).collect())
        }
    };
    Ok(Raw {
        pixels: Pixels::new(width, height, channels, samples)?,
        orientation: 1,
    })
}
