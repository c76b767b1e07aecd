//! What the head of an image file declares, without decoding its pixels.

use std::panic::catch_unwind;

use crate::decode::DEFAULT_MAX_PIXELS;
use crate::formats::{damaged, not_an_image, Format, Limit};
use crate::ImageError;

named! {
    /// How colour is stored; alpha beside it is said by itself.
    pub enum Mode {
        /// One sample a pixel.
        Grey => "grey",
        /// Three samples a pixel.
        Rgb => "RGB",
        /// An index into a table of colours.
        Palette => "palette",
        /// Four inks.
        Cmyk => "CMYK",
    }
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
    let format = Format::of(data).ok_or_else(|| not_an_image(data))?;
    // Some of these parsers are other people's, and a panic in one of them ends with the image.
    let header = catch_unwind(|| format.header(data))
        .unwrap_or_else(|_| Err(damaged("image", "its header cannot be read")))?;
    Limit(DEFAULT_MAX_PIXELS).check(header.width, header.height)?;
    Ok(header)
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
