//! A shard of any bytes: it is opened as what the manifest says, or refused; never mapped beyond its end.

#![no_main]

use gantools_pack::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    let count = data.last().map_or(0, |&n| usize::from(n) % 8);
    if let Ok(reader) = Reader::open(&[(file.path().to_path_buf(), count)], [2, 3, 1]) {
        let indices: Vec<i64> = (0..reader.len() as i64).collect();
        let mut out = vec![0; indices.len() * reader.image_len()];
        reader.gather(&indices, None, &mut out).unwrap();
    }
});
