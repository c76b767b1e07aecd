//! A shard of encoded images: `GTBLOBS1`, their number n, n + 1 offsets from the start of the file, then the images one
//! after the other. All numbers are 64-bit and little-endian; the last offset is the length of the file.

/// What such a file begins with: its format and version.
pub(crate) const MAGIC: &[u8; 8] = b"GTBLOBS1";

/// Everything before the first image.
pub(crate) fn header(lengths: impl ExactSizeIterator<Item = usize>) -> Vec<u8> {
    let count = lengths.len();
    let start = MAGIC.len() + 8 * (count + 2);
    let mut out = Vec::with_capacity(start);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(count as u64).to_le_bytes());
    let mut offset = start as u64;
    out.extend_from_slice(&offset.to_le_bytes());
    for length in lengths {
        offset += length as u64;
        out.extend_from_slice(&offset.to_le_bytes());
    }
    out
}

/// The offsets in a file of these bytes, checked: n + 1 of them, never falling, from the end of the header to the end of
/// the file.
pub(crate) fn offsets(file: &[u8], count: usize) -> Result<Vec<u64>, String> {
    let number = |at: usize| {
        let bytes = file.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    if !file.starts_with(MAGIC) {
        return Err("it is no file of encoded images".into());
    }
    let short = || format!("it ends after {} bytes", file.len());
    let found = number(8).ok_or_else(short)?;
    if found != count as u64 {
        return Err(format!(
            "it holds {found} images, the manifest says {count}"
        ));
    }
    // The manifest's count is not to be trusted with memory either: the offsets have to be there first.
    let start = count
        .checked_add(2)
        .and_then(|n| n.checked_mul(8))
        .and_then(|n| n.checked_add(MAGIC.len()))
        .filter(|&start| start <= file.len())
        .ok_or_else(short)?;
    let offsets: Vec<u64> = (0..=count).filter_map(|i| number(16 + 8 * i)).collect();
    let last = offsets[count];
    if last != file.len() as u64 {
        return Err(format!(
            "it has {} bytes, its offsets say {last}",
            file.len()
        ));
    }
    if offsets[0] != start as u64 || offsets.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err("its offsets contradict each other".into());
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(images: &[&[u8]]) -> Vec<u8> {
        let mut out = header(images.iter().map(|i| i.len()));
        out.extend(images.concat());
        out
    }

    #[test]
    fn offsets_point_at_the_images() {
        let cases: [&[&[u8]]; 3] = [&[], &[b"abc"], &[b"a", b"", b"bc"]];
        for images in cases {
            let file = file(images);
            let offsets = offsets(&file, images.len()).unwrap();
            for (image, pair) in images.iter().zip(offsets.windows(2)) {
                assert_eq!(&&file[pair[0] as usize..pair[1] as usize], image);
            }
        }
    }

    #[test]
    fn a_changed_header_is_an_error_or_still_inside_the_file() {
        let good = file(&[b"abc", b"de"]);
        for end in 0..good.len() {
            assert!(offsets(&good[..end], 2).is_err(), "{end}");
        }
        assert!(offsets(&[&good[..], b"x"].concat(), 2).is_err());
        for at in 0..40 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                for count in [0, 1, 2, 3, usize::MAX] {
                    if let Ok(offsets) = offsets(&bad, count) {
                        assert!(offsets.iter().all(|&o| o <= bad.len() as u64));
                    }
                }
            }
        }
    }
}
