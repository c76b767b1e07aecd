//! The EXIF orientation tag: finding it and turning the pixels.

use crate::Pixels;

named! {
    /// Whether an EXIF orientation tag turns the image.
    pub enum OrientationPolicy {
        /// Turn the image so that it stands upright, as viewers, browsers and `ImageOps.exif_transpose` do.
        Apply => "apply",
        /// Take the stored pixels, as Pillow's `Image.open` does.
        Ignore => "ignore",
    }
}

/// The metadata segments of a JPEG file that can say how it is to be turned.
#[derive(Default)]
pub(crate) struct JpegMetadata<'a> {
    /// The TIFF part of its first EXIF segment.
    pub(crate) exif: Option<&'a [u8]>,
    /// Its last XMP segment.
    pub(crate) xmp: Option<&'a [u8]>,
}

impl<'a> JpegMetadata<'a> {
    pub(crate) fn of(data: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut at = 2;
        while let Some(&[first, marker]) = data.get(at..).and_then(|d| d.first_chunk()) {
            match (first, marker) {
                (0xff, 0xff) => at += 1,                      // fill byte
                (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2, // no length
                (0xff, 0xd9 | 0xda) => break, // end of image, start of scan: no more metadata
                (0xff, _) => {
                    let Some(length) = data.get(at + 2..).and_then(|d| d.first_chunk()) else {
                        break;
                    };
                    let length = usize::from(u16::from_be_bytes(*length)).max(2);
                    let Some(body) = data.get(at + 4..at + 2 + length) else {
                        break;
                    };
                    if marker == 0xe1 {
                        let exif = body.strip_prefix(b"Exif\0\0");
                        found.exif = found.exif.or(exif);
                        found.xmp = body
                            .strip_prefix(b"http://ns.adobe.com/xap/1.0/\0")
                            .or(found.xmp);
                    }
                    at += 2 + length;
                }
                _ => at += 1, // stray bytes between segments
            }
        }
        found
    }

    pub(crate) fn orientation(&self) -> u8 {
        orientation(self.exif, self.xmp)
    }
}

/// How an image is to be turned, 1 to 8: what EXIF data say, else the first `tiff:Orientation` of XMP data; 1 where
/// neither says anything that is known. As Pillow's `ImageOps.exif_transpose`.
pub(crate) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> u8 {
    let said = exif.and_then(in_exif).or_else(|| xmp.and_then(in_xmp));
    said.filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

/// The number that EXIF data give for tag 0x0112 in their first directory, 0 for one beyond 255.
fn in_exif(exif: &[u8]) -> Option<u8> {
    let little = match exif.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match little {
            true => u16::from_le_bytes(bytes),
            false => u16::from_be_bytes(bytes),
        })
    };
    let long = |at: usize| -> Option<u32> {
        let bytes = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match little {
            true => u32::from_le_bytes(bytes),
            false => u32::from_be_bytes(bytes),
        })
    };
    let first = long(4)? as usize;
    let entries = usize::from(short(first)?);
    let at = (0..entries)
        .map(|i| first + 2 + 12 * i)
        .find(|&at| short(at) == Some(0x0112))?;
    // Stored in the entry itself: a BYTE, as a rule a SHORT, or a LONG.
    let value = match short(at + 2)? {
        1 => u32::from(*exif.get(at + 8)?),
        3 => u32::from(short(at + 8)?),
        4 => long(at + 8)?,
        _ => return None,
    };
    Some(u8::try_from(value).unwrap_or(0))
}

/// The digit after the first `tiff:Orientation` of XMP data, as attribute or as element.
pub(crate) fn in_xmp(xmp: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    memchr::memmem::find_iter(xmp, NAME).find_map(|at| {
        let rest = &xmp[at + NAME.len()..];
        let value = rest.strip_prefix(b"=\"").or(rest.strip_prefix(b">"))?;
        let digit = value.first()?.checked_sub(b'0')?;
        (digit <= 9).then_some(digit)
    })
}

/// Whether to swap the axes, and to mirror x and y of the *stored* image.
pub(crate) fn parts(orientation: u8) -> (bool, bool, bool) {
    match orientation {
        2 => (false, true, false),
        3 => (false, true, true),
        4 => (false, false, true),
        5 => (true, false, false),
        6 => (true, false, true),
        7 => (true, true, true),
        8 => (true, true, false),
        _ => (false, false, false),
    }
}

/// Turns `image` upright.
pub(crate) fn apply(image: Pixels, orientation: u8) -> Pixels {
    if orientation <= 1 {
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
            let turned = apply(image(), self::orientation(Some(&exif(orientation)), None));
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
            assert_eq!(apply(image.clone(), orientation(Some(bytes), None)), image);
        }
    }

    #[test]
    fn xmp_speaks_where_exif_is_silent() {
        let xmp = b"<x tiff:Orientation='3' tiff:Orientation=\"6\"/>";
        assert_eq!(orientation(None, Some(xmp)), 6);
        assert_eq!(
            orientation(None, Some(b"<tiff:Orientation>8</tiff:Orientation>")),
            8
        );
        assert_eq!(orientation(Some(&exif(3)), Some(xmp)), 3);
        // A number that is not known is a word all the same.
        assert_eq!(orientation(Some(&exif(9)), Some(xmp)), 1);
        for silent in [
            &b""[..],
            b"tiff:Orientation",
            b"tiff:Orientation=\"",
            b"tiff:Orientation=\"x",
        ] {
            assert_eq!(orientation(None, Some(silent)), 1);
        }
    }

    #[test]
    fn every_kind_of_number_is_read() {
        for (kind, value) in [(1u8, [6, 0, 0, 0]), (3, [6, 0, 0, 0]), (4, [6, 0, 0, 0])] {
            let mut data = exif(0);
            data[12] = kind;
            data[18..22].copy_from_slice(&value);
            assert_eq!(orientation(Some(&data), None), 6, "{kind}");
        }
    }

    #[test]
    fn metadata_are_found_between_other_segments_and_truncation_is_none() {
        let mut jpeg = vec![
            0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0x00, 0x17, 0xff, 0xe1, 0, 10,
        ];
        jpeg.extend(b"Exif\0\0II");
        assert_eq!(JpegMetadata::of(&jpeg).exif, Some(&b"II"[..]));
        for end in 0..jpeg.len() {
            assert_eq!(JpegMetadata::of(&jpeg[..end]).exif, None, "{end}");
        }
        jpeg.extend(b"\xff\xe1\0\x21http://ns.adobe.com/xap/1.0/\0ab");
        assert_eq!(JpegMetadata::of(&jpeg).xmp, Some(&b"ab"[..]));
    }
}
