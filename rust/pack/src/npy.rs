//! The header of a NumPy `.npy` file, format version 1.0.

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
}
