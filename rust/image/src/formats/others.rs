//! Files that are no image of a format that is read, called by their names.

use memchr::memmem::find;

use crate::ImageError;

/// How far into a text its kind is looked for.
const LOOK: usize = 1 << 10;

/// The error for bytes that are of no format that is read: what they are, or how they begin.
pub(crate) fn not_an_image(data: &[u8]) -> ImageError {
    if data.is_empty() {
        return ImageError::NotAnImage("it is empty".into());
    }
    if let Some(name) = image(data) {
        return ImageError::Unsupported(format!("{name}, which is not read"));
    }
    let what = match other(data) {
        Some(name) => format!("it is {name}"),
        None => describe_start(data),
    };
    ImageError::NotAnImage(what)
}

/// The name of an image format that is not read.
fn image(data: &[u8]) -> Option<&'static str> {
    // ISO base media: a box `ftyp` with a main brand and those it goes with.
    if let [_, _, _, size, b'f', b't', b'y', b'p', ..] = data {
        let brands = data
            .get(8..usize::from(*size).max(12))
            .unwrap_or(&data[8..]);
        let of = |names: &[&[u8; 4]]| {
            brands
                .chunks_exact(4)
                .any(|b| names.iter().any(|n| b == *n))
        };
        return if of(&[b"avif", b"avis"]) {
            Some("AVIF")
        } else if of(&[
            b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1",
        ]) {
            Some("HEIC")
        } else if of(&[b"crx "]) {
            Some("Canon raw (CR3)")
        } else {
            Some("a video (MP4)")
        };
    }
    Some(match data {
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "JPEG XL",
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => "JPEG 2000",
        [b'8', b'B', b'P', b'S', ..] => "PSD (Photoshop)",
        [b'%', b'P', b'D', b'F', b'-', ..] => "PDF",
        [b'%', b'!', b'P', b'S', ..] | [0xc5, 0xd0, 0xd3, 0xc6, ..] => "PostScript (EPS)",
        [0, 0, 1, 0, n, 0, ..] if *n > 0 => "a Windows icon (ICO)",
        [0, 0, 2, 0, n, 0, ..] if *n > 0 => "a Windows cursor (CUR)",
        [b'D', b'D', b'S', b' ', ..] => "DDS",
        [0x76, 0x2f, 0x31, 0x01, ..] => "OpenEXR",
        [b'#', b'?', b'R', ..] => "Radiance HDR",
        [b'q', b'o', b'i', b'f', ..] => "QOI",
        [b'g', b'i', b'm', b'p', b' ', b'x', b'c', b'f', ..] => "XCF (GIMP)",
        [b'P', b'7', b'\n', ..] => "PAM",
        [b'P', b'f' | b'F', b'\n', ..] => "PFM",
        [b'f', b'a', b'r', b'b', b'f', b'e', b'l', b'd', ..] => "farbfeld",
        [0x59, 0xa6, 0x6a, 0x95, ..] => "Sun raster",
        [0x01, 0xda, 0 | 1, 1 | 2, ..] => "SGI",
        [b'I', b'I', 0xbc, ..] => "JPEG XR",
        [b'I', b'I', b'R' | b'U', ..] => "a camera's raw file",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "a video (Matroska)",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => "a video (AVI)",
        _ if data.len() > 132 && data[128..132] == *b"DICM" => "DICOM",
        _ if text(data).is_some_and(|t| find(&t, b"<svg").is_some()) => "SVG",
        _ => return None,
    })
}

/// The name of what is no image at all.
fn other(data: &[u8]) -> Option<&'static str> {
    Some(match data {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => "a zip archive",
        [0x1f, 0x8b, ..] => "compressed by gzip",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "compressed by bzip2",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "compressed by xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "compressed by zstd",
        [b'7', b'z', 0xbc, 0xaf, ..] => "a 7z archive",
        [b'R', b'a', b'r', b'!', ..] => "a RAR archive",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file",
        [b'P', b'A', b'R', b'1', ..] => "a parquet file",
        _ if data.len() > 262 && data[257..262] == *b"ustar" => "a tar archive",
        _ if data.iter().all(|&b| b == 0) => "nothing but zeros",
        _ => {
            let text = text(data)?;
            let starts = |with: &[u8]| text.starts_with(with);
            if starts(b"version https://git-lfs") {
                "a git-lfs pointer; run `git lfs pull`"
            } else if starts(b"<!doctype html")
                || starts(b"<html")
                || find(&text, b"<html").is_some()
            {
                "an HTML page"
            } else if starts(b"<?xml") || starts(b"<") {
                "an XML text"
            } else if starts(b"{") || starts(b"[") {
                "a JSON text"
            } else {
                return None;
            }
        }
    })
}

/// The beginning of a text in lower case, white space and a byte order mark left out; none where it is no text.
fn text(data: &[u8]) -> Option<Vec<u8>> {
    let head = &data[..data.len().min(LOOK)];
    let head = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    let is_text = !head.is_empty() && head.iter().all(|&b| b >= b' ' || b.is_ascii_whitespace());
    is_text.then(|| head.to_ascii_lowercase())
}

/// The first bytes of a file that is no image, in words a person can use.
fn describe_start(data: &[u8]) -> String {
    let head = &data[..data.len().min(12)];
    if head
        .iter()
        .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
    {
        format!(
            "it begins with the text {:?}",
            String::from_utf8_lossy(head)
        )
    } else {
        let hex: Vec<String> = head.iter().map(|b| format!("{b:02x}")).collect();
        format!("it begins with the bytes {}", hex.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_called_by_its_name() {
        let cases: [(&[u8], &str); 19] = [
            (
                b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
                "unsupported AVIF, which is not read",
            ),
            (
                b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf",
                "unsupported AVIF, which is not read",
            ),
            (
                b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
                "unsupported HEIC, which is not read",
            ),
            (b"\0\0\0\x18ftypheic", "unsupported HEIC, which is not read"),
            (
                b"\xff\x0a\xfa\x1f",
                "unsupported JPEG XL, which is not read",
            ),
            (
                b"\0\0\0\x0cJXL \r\n\x87\n",
                "unsupported JPEG XL, which is not read",
            ),
            (
                b"\0\0\0\x0cjP  \r\n\x87\n",
                "unsupported JPEG 2000, which is not read",
            ),
            (
                b"8BPS\0\x01",
                "unsupported PSD (Photoshop), which is not read",
            ),
            (b"%PDF-1.7\n", "unsupported PDF, which is not read"),
            (
                b"<?xml version='1.0'?>\n<svg xmlns=",
                "unsupported SVG, which is not read",
            ),
            (
                b"\xef\xbb\xbf  <SVG width='1'>",
                "unsupported SVG, which is not read",
            ),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
                "not an image (it is a git-lfs pointer; run `git lfs pull`)",
            ),
            (
                b"\n<!DOCTYPE html><html>",
                "not an image (it is an HTML page)",
            ),
            (
                b"<?xml version='1.0'?><Error>",
                "not an image (it is an XML text)",
            ),
            (b"{\"error\": 404}", "not an image (it is a JSON text)"),
            (b"PK\x03\x04\x14\0", "not an image (it is a zip archive)"),
            (b"\x1f\x8b\x08\0", "not an image (it is compressed by gzip)"),
            (b"\0\0\0\0\0\0", "not an image (it is nothing but zeros)"),
            (b"hello", "not an image (it begins with the text \"hello\")"),
        ];
        for (data, words) in cases {
            assert_eq!(not_an_image(data).to_string(), words);
        }
    }
}
