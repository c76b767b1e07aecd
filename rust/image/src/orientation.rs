//! The EXIF orientation tag: finding it and turning the pixels.

use image::metadata::Orientation;

use crate::Pixels;

/// Whether an EXIF orientation tag turns the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrientationPolicy {
    /// Turn the image so that it stands upright, as viewers, browsers and `ImageOps.exif_transpose` do.
    Apply,
    /// Take the stored pixels, as Pillow's `Image.open` does.
    Ignore,
}

impl OrientationPolicy {
    /// All policies with their names.
    pub const NAMES: [(&'static str, Self); 2] = [("apply", Self::Apply), ("ignore", Self::Ignore)];
}

/// The TIFF part of the EXIF segment of a JPEG file, if it has one.
pub(crate) fn jpeg_exif(data: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    loop {
        if *data.get(at)? != 0xff {
            return None;
        }
        let marker = *data.get(at + 1)?;
        match marker {
            0xff => at += 1,               // fill byte
            0x01 | 0xd0..=0xd8 => at += 2, // no length
            0xd9 | 0xda => return None,    // end of image, start of scan: no more metadata
            _ => {
                let length =
                    usize::from(u16::from_be_bytes([*data.get(at + 2)?, *data.get(at + 3)?]));
                let body = data.get(at + 4..at + 2 + length)?;
                if marker == 0xe1 {
                    if let Some(tiff) = body.strip_prefix(b"Exif\0\0") {
                        return Some(tiff);
                    }
                }
                at += 2 + length;
            }
        }
    }
}

/// The orientation that EXIF data ask for; absent or unreadable data ask for nothing.
pub(crate) fn from_exif(exif: Option<&[u8]>) -> Orientation {
    exif.and_then(Orientation::from_exif_chunk)
        .unwrap_or(Orientation::NoTransforms)
}

/// The number that EXIF data give for tag 0x0112 in their first directory; 1 where there is none that is valid.
pub(crate) fn exif_orientation(exif: Option<&[u8]>) -> u8 {
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

/// Whether to swap the axes, and to mirror x and y of the *stored* image.
pub(crate) fn parts(orientation: Orientation) -> (bool, bool, bool) {
    match orientation {
        Orientation::NoTransforms => (false, false, false),
        Orientation::FlipHorizontal => (false, true, false),
        Orientation::Rotate180 => (false, true, true),
        Orientation::FlipVertical => (false, false, true),
        Orientation::Rotate90FlipH => (true, false, false),
        Orientation::Rotate90 => (true, false, true),
        Orientation::Rotate270FlipH => (true, true, true),
        Orientation::Rotate270 => (true, true, false),
    }
}

/// Turns `image` upright.
pub(crate) fn apply(image: Pixels, orientation: Orientation) -> Pixels {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let (transpose, flip_x, flip_y) = parts(orientation);
    let (w, h, c) = (image.width, image.height, image.channels);
    let (out_w, out_h) = if transpose { (h, w) } else { (w, h) };
    let mut data = Vec::with_capacity(image.data.len());
    for y in 0..out_h {
        for x in 0..out_w {
            let (sx, sy) = if transpose { (y, x) } else { (x, y) };
            let sx = if flip_x { w - 1 - sx } else { sx };
            let sy = if flip_y { h - 1 - sy } else { sy };
            let at = (sy * w + sx) * c;
            data.extend_from_slice(&image.data[at..at + c]);
        }
    }
    Pixels {
        width: out_w,
        height: out_h,
        channels: c,
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(orientation: u8) -> Vec<u8> {
        // Little-endian TIFF header, one IFD entry: tag 0x0112, type SHORT, count 1.
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        tiff.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        tiff
    }

    #[test]
    fn each_orientation_turns_as_the_exif_standard_says() {
        // 1 2 3
        // 4 5 6
        let image = || Pixels::new(3, 2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let expected: [(u8, usize, [u8; 6]); 8] = [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
        ];
        for (orientation, width, data) in expected {
            let turned = apply(image(), from_exif(Some(&exif(orientation))));
            assert_eq!(
                (turned.width, &turned.data[..]),
                (width, &data[..]),
                "{orientation}"
            );
        }
    }

    #[test]
    fn absurd_exif_changes_nothing() {
        let image = Pixels::new(2, 1, 1, vec![1, 2]).unwrap();
        for bytes in [&b""[..], b"II*\0", &exif(0)[..], &exif(9)[..], &[0xff; 40]] {
            assert_eq!(apply(image.clone(), from_exif(Some(bytes))), image);
        }
    }

    #[test]
    fn exif_is_found_between_other_segments_and_truncation_is_none() {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xe1, 0, 10];
        jpeg.extend(b"Exif\0\0II");
        assert_eq!(jpeg_exif(&jpeg), Some(&b"II"[..]));
        for end in 0..jpeg.len() {
            assert_eq!(jpeg_exif(&jpeg[..end]), None, "{end}");
        }
    }
}
