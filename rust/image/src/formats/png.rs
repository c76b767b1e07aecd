//! PNG of every colour type and depth.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use flate2::read::ZlibDecoder;
use png::{BitDepth, Decoder, Transformations};

use super::depth::{self, SixteenBit};
use super::{damaged, Deep, Format, Limit, Raw};
use crate::orientation::orientation;
use crate::{Header, ImageError, Mode, Pixels};

/// Text that says how an image is turned is short; what unpacks to more is an attack.
const TEXT_LIMIT: u64 = 1 << 20;

/// What a file's chunks say.
struct Chunks<'a> {
    width: u32,
    height: u32,
    bits: u8,
    kind: u8,
    /// Whether a colour or the palette's entries are transparent.
    transparency: bool,
    exif: Option<Cow<'a, [u8]>>,
    xmp: Option<Cow<'a, [u8]>>,
}

impl<'a> Chunks<'a> {
    /// All chunks up to the last; their checksums are not looked at.
    fn of(data: &'a [u8]) -> Result<Self, ImageError> {
        let cut = || damaged("PNG", "the file is cut off");
        let mut at = 8;
        let mut found: Option<Self> = None;
        let mut profile = None;
        loop {
            let head = data.get(at..at + 8).ok_or_else(cut)?;
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let end = (at + 8).checked_add(length).ok_or_else(cut)?;
            let body = data.get(at + 8..end).ok_or_else(cut)?;
            data.get(end..end + 4).ok_or_else(cut)?;
            match (&head[4..], &mut found) {
                (b"IHDR", _) => {
                    let [w3, w2, w1, w0, h3, h2, h1, h0, bits, kind, ..] = *body else {
                        return Err(damaged("PNG", "its header is too short"));
                    };
                    found = Some(Self {
                        width: u32::from_be_bytes([w3, w2, w1, w0]),
                        height: u32::from_be_bytes([h3, h2, h1, h0]),
                        bits,
                        kind,
                        transparency: false,
                        exif: None,
                        xmp: None,
                    });
                }
                (_, None) => return Err(damaged("PNG", "it does not begin with IHDR")),
                (b"IEND", _) => break,
                (b"tRNS", Some(found)) => found.transparency = true,
                (b"eXIf", Some(found)) => found.exif = Some(body.into()),
                (b"tEXt" | b"zTXt" | b"iTXt", Some(found)) => match text(&head[4..], body) {
                    Some((b"XML:com.adobe.xmp", text)) => found.xmp = Some(text),
                    Some((b"Raw profile type exif", text)) => profile = from_hex(&text),
                    _ => {}
                },
                _ => {}
            }
            at = end + 4;
        }
        let mut found = found.ok_or_else(|| damaged("PNG", "it has no IHDR"))?;
        found.exif = found.exif.or(profile.map(Cow::Owned));
        Ok(found)
    }

    fn orientation(&self) -> u8 {
        let exif = self.exif.as_deref();
        let exif = exif.map(|e| e.strip_prefix(b"Exif\0\0").unwrap_or(e));
        orientation(exif, self.xmp.as_deref())
    }
}

/// Keyword and text of a chunk of text, where they can say how an image is turned.
fn text<'a>(name: &[u8], body: &'a [u8]) -> Option<(&'a [u8], Cow<'a, [u8]>)> {
    let (keyword, rest) = split(body)?;
    if !matches!(keyword, b"XML:com.adobe.xmp" | b"Raw profile type exif") {
        return None;
    }
    let (packed, text) = match name {
        b"tEXt" => (false, rest),
        b"zTXt" => (true, rest.get(1..)?),
        _ => {
            let (&[packed, _], rest) = rest.split_first_chunk()?;
            let (_language, rest) = split(rest)?;
            let (_translated, text) = split(rest)?;
            (packed != 0, text)
        }
    };
    if !packed {
        return Some((keyword, text.into()));
    }
    let mut out = Vec::new();
    let mut reader = ZlibDecoder::new(text).take(TEXT_LIMIT);
    reader.read_to_end(&mut out).ok()?;
    Some((keyword, out.into()))
}

/// What stands before and behind the first zero.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(0, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// The bytes of ImageMagick's raw profile: an empty line, its name, its length, then hexadecimal digits.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let lines = text.split(|&b| b == b'\n').skip(3);
    let digits: Vec<u8> = lines
        .flatten()
        .filter(|b| !b.is_ascii_whitespace())
        .copied()
        .collect();
    let digit = |&b: &u8| char::from(b).to_digit(16).map(|d| d as u8);
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[a, b]| Some(digit(a)? << 4 | digit(b)?))
        .collect()
}

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let chunks = Chunks::of(data)?;
    let (mode, own_alpha) = match chunks.kind {
        0 => (Mode::Grey, false),
        2 => (Mode::Rgb, false),
        3 => (Mode::Palette, false),
        4 => (Mode::Grey, true),
        6 => (Mode::Rgb, true),
        n => return Err(damaged("PNG", format!("colour type {n}"))),
    };
    Ok(Header {
        format: Format::Png,
        width: chunks.width.into(),
        height: chunks.height.into(),
        mode,
        bits: chunks.bits,
        alpha: chunks.transparency || own_alpha,
        orientation: chunks.orientation(),
    })
}

pub(super) fn decode(data: &[u8], limit: Limit, sixteen: SixteenBit) -> Result<Deep, ImageError> {
    let bad = |e: png::DecodingError| damaged("PNG", e);
    let mut decoder = Decoder::new(Cursor::new(data));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palette to RGB, 1/2/4-bit grey to 8, tRNS to alpha.
    decoder.set_transformations(Transformations::EXPAND);
    let header = decoder.read_header_info().map_err(bad)?;
    let (width, height) = limit.check(header.width.into(), header.height.into())?;
    let mut reader = decoder.read_info().map_err(bad)?;
    // The decoder trusts that a palette is made of whole colours.
    let palette = reader.info().palette.as_deref();
    if palette.is_some_and(|p| p.is_empty() || !p.len().is_multiple_of(3)) {
        return Err(damaged("PNG", "its palette is not made of whole colours"));
    }
    let (colour, bits) = reader.output_color_type();
    let channels = colour.samples();
    // The size is bounded by the limit, four channels of two bytes each.
    let width_of_sample = if bits == BitDepth::Sixteen { 2 } else { 1 };
    let mut samples = vec![0; width * height * channels * width_of_sample];
    reader.next_frame(&mut samples).map_err(bad)?;
    let mut largest = None;
    if bits == BitDepth::Sixteen {
        let words = samples.as_chunks().0.iter().map(|&b| u16::from_be_bytes(b));
        let shallow = depth::to_bytes(words, channels, channels.is_multiple_of(2), sixteen);
        largest = Some(shallow.largest);
        samples = shallow.samples;
    }
    // An `eXIf` chunk may stand after the image data, where nothing needs to be whole.
    reader.finish().map_err(bad)?;
    let raw = Raw {
        pixels: Pixels::new(width, height, channels, samples)?,
        orientation: Chunks::of(data).map_or(1, |chunks| chunks.orientation()),
    };
    Ok(Deep { raw, largest })
}
