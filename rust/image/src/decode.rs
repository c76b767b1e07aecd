//! Encoded bytes to pixels. The format is taken from the bytes, never from a file name.

use std::panic::catch_unwind;

use crate::colour::{self, AlphaPolicy};
use crate::formats::depth::SixteenBit;
use crate::formats::jpeg::JpegDecoder;
use crate::formats::{self, damaged, Format, Limit};
use crate::orientation::{self, JpegMetadata, OrientationPolicy};
use crate::resize::pillow::Geometry;
use crate::{ImageError, Pixels, Rect};

/// The default limit on width times height: Pillow's bound for "decompression bomb" errors.
pub const DEFAULT_MAX_PIXELS: u64 = 2 * 89_478_485;

/// The libraries that decide decoded pixels, with their versions; recorded in manifests.
pub const DECODERS: [(&str, &str); 5] = [
    // As bundled by turbojpeg-sys 1.2.0.
    ("libjpeg-turbo", "3.1.0"),
    ("png", "0.18.1"),
    // As bundled by libwebp-sys 0.14.4.
    ("libwebp", "1.6.0"),
    ("gif", "0.14.2"),
    ("weezl", "0.1.12"),
];

/// How bytes become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Channels of the result: 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// What happens to transparency.
    pub alpha: AlphaPolicy,
    /// What happens to an EXIF orientation tag.
    pub orientation: OrientationPolicy,
    /// Which 16-bit values become 0 and 255.
    pub sixteen_bit: SixteenBit,
    /// The limit on declared width times height, checked before memory is taken.
    pub max_pixels: u64,
}

/// An image that may have come out of its decoder smaller than it is.
pub(crate) struct Reduced {
    pub(crate) pixels: Pixels,
    /// Its upright width and height in the file.
    pub(crate) full: (usize, usize),
    /// 1, 2, 4 or 8: pixels of the file, along each axis, for one of `pixels`.
    by: usize,
    /// Where the left and upper edge of the full image lie in `pixels`: not at 0 where the last column or row, which
    /// stands for fewer pixels of the file than the others, has been turned to the front.
    origin: (f64, f64),
    /// The largest colour of 16 bits in the file; none where its samples have fewer.
    pub(crate) largest: Option<u16>,
}

impl Reduced {
    /// An image as large as it is.
    pub(crate) fn not(pixels: Pixels) -> Self {
        Self {
            full: (pixels.width, pixels.height),
            pixels,
            by: 1,
            origin: (0.0, 0.0),
            largest: None,
        }
    }

    /// A geometry of the full image in terms of the smaller one: the smallest part of whole pixels, in it the exact span.
    pub(crate) fn geometry(&self, full: &Geometry) -> Geometry {
        if self.by == 1 {
            return *full;
        }
        let axis = |start: usize, length: usize, origin: f64, limit: usize| {
            let by = self.by as f64;
            let (start, length) = (origin + start as f64 / by, length as f64 / by);
            let first = start.floor();
            let end = (start + length).ceil().min(limit as f64);
            (
                first as usize,
                (end - first) as usize,
                start - first,
                length,
            )
        };
        let part = full.part;
        let (x, width, left, across) = axis(part.x, part.width, self.origin.0, self.pixels.width);
        let (y, height, top, down) = axis(part.y, part.height, self.origin.1, self.pixels.height);
        Geometry {
            part: Rect {
                x,
                y,
                width,
                height,
            },
            span: (left, top, across, down),
            ..*full
        }
    }
}

/// Decodes one image after the other; keeps decoder state and memory between them, so make one for each thread.
#[derive(Default)]
pub struct Decoder {
    jpeg: JpegDecoder,
}

impl Decoder {
    /// The image in `data` with 1 or 3 channels, by the rules of `options`.
    pub fn decode(&mut self, data: &[u8], options: &DecodeOptions) -> Result<Pixels, ImageError> {
        Ok(self.decode_reduced(data, options, |_, _| 1)?.pixels)
    }

    /// As `decode`, where a JPEG is reduced by `reduction(width, height)` of its upright size: 1, 2, 4 or 8.
    pub(crate) fn decode_reduced(
        &mut self,
        data: &[u8],
        options: &DecodeOptions,
        reduction: impl Fn(usize, usize) -> usize,
    ) -> Result<Reduced, ImageError> {
        let limit = Limit(options.max_pixels);
        let turned = |orientation| match options.orientation {
            OrientationPolicy::Apply => orientation,
            OrientationPolicy::Ignore => 1,
        };
        let format = Format::of(data).ok_or_else(|| formats::not_an_image(data))?;
        let mut reduced = match format {
            Format::Jpeg => {
                let orientation = turned(JpegMetadata::of(data).orientation());
                let (transpose, flip_x, flip_y) = orientation::parts(orientation);
                let jpeg = self.jpeg.decode(data, limit, |w, h| {
                    if transpose {
                        reduction(h, w)
                    } else {
                        reduction(w, h)
                    }
                })?;
                let (w, h) = jpeg.full;
                // What the last column and row are short of.
                let short = |n: usize| (n.div_ceil(jpeg.by) * jpeg.by - n) as f64 / jpeg.by as f64;
                let x = if flip_x { short(w) } else { 0.0 };
                let y = if flip_y { short(h) } else { 0.0 };
                let (full, origin) = match transpose {
                    true => ((h, w), (y, x)),
                    false => ((w, h), (x, y)),
                };
                Reduced {
                    pixels: orientation::apply(jpeg.pixels, orientation),
                    full,
                    by: jpeg.by,
                    origin,
                    largest: None,
                }
            }
            _ => {
                // These decoders keep no state, so a panic in one of them ends with the image.
                let deep = catch_unwind(|| format.decode(data, limit, options.sixteen_bit))
                    .unwrap_or_else(|_| Err(damaged("image", "its decoder failed")))?;
                let turn = turned(deep.raw.orientation);
                Reduced {
                    largest: deep.largest,
                    ..Reduced::not(orientation::apply(deep.raw.pixels, turn))
                }
            }
        };
        reduced.pixels = colour::flatten_alpha(reduced.pixels, options.alpha)?;
        reduced.pixels = colour::to_channels(reduced.pixels, options.channels)?;
        Ok(reduced)
    }

    /// Takes the memory of an image that is no longer needed for the next one.
    pub(crate) fn recycle(&mut self, pixels: Pixels) {
        self.jpeg.recycle(pixels.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_versions_are_those_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let locked = |name: &str, version: &str| {
            lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n"))
        };
        for (name, version) in DECODERS {
            match name {
                "libjpeg-turbo" => assert!(locked("turbojpeg-sys", "1.2.0")),
                "libwebp" => {
                    assert!(locked("libwebp-sys", "0.14.4"));
                    // SAFETY: it only returns a number.
                    let numbers = unsafe { libwebp_sys::WebPGetDecoderVersion() }.to_be_bytes();
                    assert_eq!(
                        version,
                        numbers[1..]
                            .iter()
                            .map(u8::to_string)
                            .collect::<Vec<_>>()
                            .join(".")
                    );
                }
                _ => assert!(locked(name, version), "{name} {version}"),
            }
        }
    }

    #[test]
    fn what_is_no_image_says_how_it_begins() {
        let options = DecodeOptions {
            channels: 3,
            alpha: AlphaPolicy::Error,
            orientation: OrientationPolicy::Apply,
            sixteen_bit: SixteenBit::Full,
            max_pixels: DEFAULT_MAX_PIXELS,
        };
        let message = |data: &[u8]| {
            let error = Decoder::default().decode(data, &options).unwrap_err();
            error.to_string()
        };
        assert_eq!(message(b""), "not an image (it is empty)");
        assert_eq!(
            message(b"hello world, I am a text"),
            "not an image (it begins with the text \"hello world,\")"
        );
        assert_eq!(
            message(&[0, 1, 255]),
            "not an image (it begins with the bytes 00 01 ff)"
        );
        assert_eq!(
            message(b"GIF88a..."),
            "not an image (it begins with the text \"GIF88a...\")"
        );
    }

    #[test]
    fn a_declared_size_beyond_the_limit_is_refused_before_memory_is_taken() {
        // A PNG header that declares 65535 x 65535 pixels, and no data.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend([0, 0, 255, 255, 0, 0, 255, 255, 8, 6, 0, 0, 0]);
        let crc = png_crc(&png[12..]);
        png.extend(crc.to_be_bytes());
        png.extend(b"\0\0\0\0IDAT");
        let result = Format::Png.decode(&png, Limit(1 << 20), SixteenBit::Full);
        assert!(matches!(result, Err(ImageError::TooLarge { .. })));
    }

    fn png_crc(data: &[u8]) -> u32 {
        !data.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |c: u32, _| {
                (c >> 1) ^ if c & 1 == 1 { 0xedb8_8320 } else { 0 }
            })
        })
    }
}
