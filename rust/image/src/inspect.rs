//! What the head of an image file declares, without decoding its pixels.

use std::io::Cursor;
use std::panic::catch_unwind;

use gif::ColorOutput;
use image::codecs::bmp::BmpDecoder;
use image::{ExtendedColorType, ImageDecoder};
use image_webp::WebPDecoder;
use tiff::decoder::{Decoder as TiffDecoder, Limits};
use tiff::tags::Tag;
use tiff::ColorType;

use crate::decode::{describe_start, DEFAULT_MAX_PIXELS};
use crate::orientation::jpeg_exif;
use crate::ImageError;

/// The file formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossy or not.
    WebP,
    /// Windows BMP.
    Bmp,
    /// GIF.
    Gif,
    /// TIFF.
    Tiff,
}

impl Format {
    /// All formats with their names.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("JPEG", Self::Jpeg),
        ("PNG", Self::Png),
        ("WebP", Self::WebP),
        ("BMP", Self::Bmp),
        ("GIF", Self::Gif),
        ("TIFF", Self::Tiff),
    ];
}

/// How colour is stored; alpha beside it is said by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One sample a pixel.
    Grey,
    /// Three samples a pixel.
    Rgb,
    /// An index into a table of colours.
    Palette,
    /// Four inks.
    Cmyk,
}

impl Mode {
    /// All modes with their names.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("grey", Self::Grey),
        ("RGB", Self::Rgb),
        ("palette", Self::Palette),
        ("CMYK", Self::Cmyk),
    ];
}

/// What an image file declares of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The file format.
    pub format: Format,
    /// Pixels across, as stored.
    pub width: u64,
    /// Pixels down, as stored.
    pub height: u64,
    /// How colour is stored.
    pub mode: Mode,
    /// Bits of a sample.
    pub bits: u8,
    /// Whether there is a channel or a colour for transparency.
    pub alpha: bool,
    /// The EXIF (or TIFF) orientation, 1 to 8; 1 where the file has none.
    pub orientation: u8,
}

/// The header of the image file `data`; formats and limits are those of the decoder.
///
/// That the file is whole is checked as far as its frame tells: a PNG has its last chunk, a JPEG an end marker after its
/// scan, a WebP the length that it declares. Damage within the compressed data is only found by decoding.
pub fn inspect(data: &[u8]) -> Result<Header, ImageError> {
    let header = match data {
        [0xff, 0xd8, 0xff, ..] => jpeg(data),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png(data),
        // These parsers are other people's, and a panic in one of them ends with the image.
        _ => catch_unwind(|| other(data))
            .unwrap_or_else(|_| Err(damaged("image", "its header cannot be read"))),
    }?;
    if header.width == 0 || header.height == 0 {
        return Err(ImageError::Geometry(format!(
            "declares a size of {}x{}",
            header.width, header.height
        )));
    }
    match header.width.checked_mul(header.height) {
        Some(n) if n <= DEFAULT_MAX_PIXELS => Ok(header),
        _ => Err(ImageError::TooLarge {
            width: header.width,
            height: header.height,
            limit: DEFAULT_MAX_PIXELS,
        }),
    }
}

fn damaged(format: &'static str, reason: impl std::fmt::Display) -> ImageError {
    ImageError::Damaged {
        format,
        reason: reason.to_string(),
    }
}

fn other(data: &[u8]) -> Result<Header, ImageError> {
    match data {
        [] => Err(ImageError::NotAnImage("it is empty".into())),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(data),
        [b'B', b'M', ..] => bmp(data),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => gif(data),
        [b'I', b'I', 0x2a | 0x2b, 0, ..] | [b'M', b'M', 0, 0x2a | 0x2b, ..] => tiff(data),
        _ => Err(ImageError::NotAnImage(describe_start(data))),
    }
}

/// The number that EXIF data give for tag 0x0112 in their first directory; 1 where there is none that is valid.
fn exif_orientation(exif: Option<&[u8]>) -> u8 {
    let read = |exif: &[u8]| -> Option<u16> {
        let little = match exif.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let short = |at: usize| -> Option<u16> {
            let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
            Some(if little {
                u16::from_le_bytes(bytes)
            } else {
                u16::from_be_bytes(bytes)
            })
        };
        let long = exif.get(4..8)?.try_into().ok()?;
        let first = if little {
            u32::from_le_bytes(long)
        } else {
            u32::from_be_bytes(long)
        } as usize;
        let entries = usize::from(short(first)?);
        let at = (0..entries)
            .map(|i| first + 2 + 12 * i)
            .find(|&at| short(at) == Some(0x0112))?;
        // Of type SHORT, stored in the entry itself.
        (short(at + 2)? == 3).then(|| short(at + 8)).flatten()
    };
    match exif.and_then(read) {
        Some(value @ 1..=8) => value as u8,
        _ => 1,
    }
}

fn jpeg(data: &[u8]) -> Result<Header, ImageError> {
    let short = || damaged("JPEG", "the file ends in its header");
    let mut at = 2;
    let mut frame = None;
    loop {
        if *data.get(at).ok_or_else(short)? != 0xff {
            return Err(damaged("JPEG", "no marker where one has to be"));
        }
        let marker = *data.get(at + 1).ok_or_else(short)?;
        match marker {
            0xff => {
                at += 1; // fill byte
                continue;
            }
            0x01 | 0xd0..=0xd8 => {
                at += 2; // no length
                continue;
            }
            0xd9 => return Err(damaged("JPEG", "it ends before its image")),
            _ => {}
        }
        let length = data.get(at + 2..at + 4).ok_or_else(short)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = data.get(at + 4..at + 2 + length).ok_or_else(short)?;
        match marker {
            // Start of frame; C4, C8 and CC are other segments.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [bits, h1, h0, w1, w0, components, ..] = *body else {
                    return Err(short());
                };
                frame = Some((
                    bits,
                    u16::from_be_bytes([h1, h0]),
                    u16::from_be_bytes([w1, w0]),
                    components,
                ));
            }
            // Start of scan: what follows is compressed, up to the end marker.
            0xda => {
                at += 2 + length;
                break;
            }
            _ => {}
        }
        at += 2 + length;
    }
    let Some((bits, height, width, components)) = frame else {
        return Err(damaged("JPEG", "a scan before its frame"));
    };
    if !data[at..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]) {
        return Err(damaged("JPEG", "the file is cut off, it has no end marker"));
    }
    Ok(Header {
        format: Format::Jpeg,
        width: width.into(),
        height: height.into(),
        mode: match components {
            1 => Mode::Grey,
            3 => Mode::Rgb,
            4 => Mode::Cmyk,
            n => return Err(ImageError::Unsupported(format!("JPEG: {n} components"))),
        },
        bits,
        alpha: false,
        orientation: exif_orientation(jpeg_exif(data)),
    })
}

fn png(data: &[u8]) -> Result<Header, ImageError> {
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

fn webp(data: &[u8]) -> Result<Header, ImageError> {
    let declared = u32::from_le_bytes([data[4], data[5], data[6], data[7]]) as usize;
    // Some writers leave out the byte that pads the last chunk to an even length.
    if data.len() < declared.saturating_add(7) {
        return Err(damaged("WebP", "the file is cut off"));
    }
    let bad = |e: image_webp::DecodingError| damaged("WebP", e);
    let mut decoder = WebPDecoder::new(Cursor::new(data)).map_err(bad)?;
    let (width, height) = decoder.dimensions();
    let exif = decoder.exif_metadata().map_err(bad)?;
    let exif = exif
        .as_deref()
        .map(|e| e.strip_prefix(b"Exif\0\0").unwrap_or(e));
    Ok(Header {
        format: Format::WebP,
        width: width.into(),
        height: height.into(),
        mode: Mode::Rgb,
        bits: 8,
        alpha: decoder.has_alpha(),
        orientation: exif_orientation(exif),
    })
}

fn bmp(data: &[u8]) -> Result<Header, ImageError> {
    let decoder = BmpDecoder::new(Cursor::new(data)).map_err(|e| damaged("BMP", e))?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    Ok(Header {
        format: Format::Bmp,
        width: width.into(),
        height: height.into(),
        mode: match decoder.original_color_type() {
            ExtendedColorType::L8 => Mode::Grey,
            // Bits 28 and 29 of the file: its bits a pixel; up to eight are indices.
            _ if data.get(28).is_some_and(|&bits| bits <= 8) => Mode::Palette,
            _ => Mode::Rgb,
        },
        bits: 8,
        alpha: color.has_alpha(),
        orientation: 1,
    })
}

fn gif(data: &[u8]) -> Result<Header, ImageError> {
    let bad = |e: gif::DecodingError| damaged("GIF", e);
    let mut options = gif::DecodeOptions::new();
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

fn tiff(data: &[u8]) -> Result<Header, ImageError> {
    let bad = |e: tiff::TiffError| damaged("TIFF", e);
    let mut limits = Limits::default();
    limits.ifd_value_size = data.len();
    limits.decoding_buffer_size = data.len().saturating_mul(64);
    let decoder = TiffDecoder::new(Cursor::new(data)).map_err(bad)?;
    let mut decoder = decoder.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(bad)?;
    let orientation = decoder
        .find_tag_unsigned_vec::<u16>(Tag::Orientation)
        .map_err(bad)?;
    let (mode, alpha, bits) = match decoder.colortype().map_err(bad)? {
        ColorType::Gray(bits) => (Mode::Grey, false, bits),
        ColorType::GrayA(bits) => (Mode::Grey, true, bits),
        ColorType::Multiband {
            bit_depth,
            num_samples: 2,
        } => (Mode::Grey, true, bit_depth),
        ColorType::RGB(bits) => (Mode::Rgb, false, bits),
        ColorType::RGBA(bits) => (Mode::Rgb, true, bits),
        ColorType::Palette(bits) => (Mode::Palette, false, bits),
        ColorType::CMYK(bits) => (Mode::Cmyk, false, bits),
        other => return Err(ImageError::Unsupported(format!("TIFF: {other:?}"))),
    };
    Ok(Header {
        format: Format::Tiff,
        width: width.into(),
        height: height.into(),
        mode,
        bits,
        alpha,
        orientation: match orientation.as_deref() {
            Some([value @ 1..=8, ..]) => *value as u8,
            _ => 1,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png_of(kind: u8, bits: u8, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        let header = [0, 0, 0, 7, 0, 0, 0, 5, bits, kind, 0, 0, 0];
        for (name, body) in [(b"IHDR", &header[..])].iter().chain(chunks) {
            png.extend((body.len() as u32).to_be_bytes());
            png.extend(*name);
            png.extend(*body);
            png.extend([0; 4]);
        }
        png
    }

    fn jpeg_of(components: u8, tail: &[u8]) -> Vec<u8> {
        let mut jpeg = vec![
            0xff, 0xd8, 0xff, 0xff, 0xc0, 0, 8, 8, 0, 5, 0, 7, components,
        ];
        jpeg.extend([0xff, 0xda, 0, 2, 1, 2, 3]);
        jpeg.extend(tail);
        jpeg
    }

    #[test]
    fn png_declares_colour_depth_alpha_and_orientation() {
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let end: (&[u8; 4], &[u8]) = (b"IEND", b"");
        let plain = inspect(&png_of(2, 16, &[end])).unwrap();
        assert_eq!((plain.width, plain.height), (7, 5));
        assert_eq!(
            (plain.mode, plain.bits, plain.alpha),
            (Mode::Rgb, 16, false)
        );
        assert_eq!(plain.orientation, 1);
        let chunks: [(&[u8; 4], &[u8]); 3] = [(b"tRNS", b"\0"), (b"eXIf", exif), end];
        let rich = inspect(&png_of(3, 8, &chunks)).unwrap();
        assert_eq!(
            (rich.mode, rich.alpha, rich.orientation),
            (Mode::Palette, true, 6)
        );
        assert!(inspect(&png_of(5, 8, &[end])).is_err());
    }

    #[test]
    fn a_file_that_is_cut_off_is_damaged_wherever_it_is_cut() {
        let png = png_of(0, 8, &[(b"IDAT", b"1234"), (b"IEND", b"")]);
        let jpeg = jpeg_of(3, &[0xff, 0xd9]);
        for whole in [png, jpeg] {
            assert!(inspect(&whole).is_ok());
            for end in 0..whole.len() {
                assert!(inspect(&whole[..end]).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn an_end_marker_before_the_scan_does_not_count() {
        let mut jpeg = jpeg_of(1, &[]);
        // A comment that looks like an end.
        jpeg.splice(2..2, [0xff, 0xfe, 0, 4, 0xff, 0xd9]);
        let error = inspect(&jpeg).unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let mut png = png_of(0, 8, &[(b"IEND", b"")]);
        png[16..24].fill(0xff);
        assert!(matches!(inspect(&png), Err(ImageError::TooLarge { .. })));
        png[16..24].fill(0);
        assert!(matches!(inspect(&png), Err(ImageError::Geometry(_))));
    }

    #[test]
    fn nothing_a_file_begins_with_makes_it_panic() {
        let starts: [&[u8]; 7] = [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\0\0\0\0WEBP",
            b"BM",
            b"GIF89a",
            b"II*\0",
            b"MM\0+",
        ];
        for start in starts {
            for fill in [0u8, 0xff, 0x41] {
                let mut data = start.to_vec();
                data.extend(std::iter::repeat_n(fill, 60));
                assert!(inspect(&data).is_err());
            }
        }
    }
}
