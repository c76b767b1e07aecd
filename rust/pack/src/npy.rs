//! The header of a NumPy `.npy` file: written in format version 1.0, read in 1.0 and 2.0.

/// As much of a file as `parse` needs at most; a header of uint8 images has a tenth of it.
pub(crate) const MAX_HEADER: u64 = 4096;

/// What a header says about a C-ordered uint8 array.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Where the data begin.
    pub length: usize,
    /// The shape of the array.
    pub shape: Vec<usize>,
}

/// The header at the beginning of a file, or what is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Header, String> {
    let cut = || String::from("its header is cut off");
    if bytes.get(..6).ok_or_else(cut)? != b"\x93NUMPY" {
        return Err("it does not begin as a .npy file".into());
    }
    let (start, length): (usize, usize) = match *bytes.get(6..8).ok_or_else(cut)? {
        [1, 0] => {
            let field = bytes.get(8..10).ok_or_else(cut)?;
            (10, usize::from(u16::from_le_bytes([field[0], field[1]])))
        }
        [2, 0] => {
            let field = bytes.get(8..12).ok_or_else(cut)?;
            let length = u32::from_le_bytes([field[0], field[1], field[2], field[3]]);
            (12, usize::try_from(length).map_err(|e| e.to_string())?)
        }
        _ => return Err("it is of a .npy version other than 1.0 and 2.0".into()),
    };
    let text = start
        .checked_add(length)
        .and_then(|end| bytes.get(start..end))
        .ok_or_else(cut)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is no text")?;
    let value = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    if !value("descr").is_some_and(|v| v.starts_with("'|u1'")) {
        return Err("it holds no uint8 values".into());
    }
    if !value("fortran_order").is_some_and(|v| v.starts_with("False")) {
        return Err("it is not in C order".into());
    }
    let shape = value("shape")
        .and_then(|v| v.strip_prefix('('))
        .and_then(|v| v.split_once(')'))
        .ok_or("its header names no shape")?
        .0;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty())
        .map(|d| {
            d.parse::<usize>()
                .map_err(|_| format!("its header has the dimension {d:?}"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Header {
        length: start + length,
        shape,
    })
}

/// The header of a C-ordered uint8 array of this shape; its length is a multiple of 64, so the data are aligned.
pub(crate) fn header(shape: &[usize]) -> Vec<u8> {
    let dimensions: Vec<String> = shape.iter().map(|n| n.to_string()).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '|u1', 'fortran_order': False, 'shape': ({}{comma}), }}",
        dimensions.join(", ")
    );
    const PREFIX: usize = 10; // magic, version, length
    let total = (PREFIX + text.len() + 1).next_multiple_of(64);
    let padding = total - PREFIX - text.len() - 1;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(
        u16::try_from(text.len())
            .expect("a short text")
            .to_le_bytes(),
    );
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_one_numpy_writes() {
        let bytes = header(&[3, 64, 64, 3]);
        assert_eq!(bytes.len(), 128);
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(bytes[10..]
            .starts_with(b"{'descr': '|u1', 'fortran_order': False, 'shape': (3, 64, 64, 3), }"));
        assert_eq!(bytes.last(), Some(&b'\n'));
    }

    #[test]
    fn a_header_is_read_back() {
        for shape in [&[3, 64, 64, 3][..], &[5], &[0, 1]] {
            let bytes = header(shape);
            let expected = Header {
                length: bytes.len(),
                shape: shape.to_vec(),
            };
            assert_eq!(parse(&bytes), Ok(expected));
        }
        let second = b"\x93NUMPY\x02\x00\x3a\x00\x00\x00{'descr': '|u1', 'fortran_order': False, 'shape': (7, 2), }";
        let text = second.len() - 12;
        let mut second = second.to_vec();
        second[8] = text as u8;
        assert_eq!(parse(&second).unwrap().shape, [7, 2]);
    }

    #[test]
    fn what_is_no_header_of_uint8_is_an_error() {
        let good = header(&[3, 4]);
        for end in 0..good.len() {
            assert!(parse(&good[..end]).is_err());
        }
        let with = |from: &str, to: &str| {
            let text = String::from_utf8_lossy(&good[10..]).replace(from, to);
            [&good[..10], text.as_bytes()].concat()
        };
        for (from, to, words) in [
            ("|u1", "<f4", "uint8"),
            ("False", "True ", "C order"),
            ("(3, 4)", "(-3,4)", "dimension"),
            ("shape", "shap_", "no shape"),
            ("(3, 4)", " 3, 4 ", "no shape"),
        ] {
            let error = parse(&with(from, to)).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(parse(b"PK\x03\x04 and more").is_err());
        assert!(parse(b"\x93NUMPY\x01\x00\xff\xff{").is_err());
    }
}
