//! Zip and tar archives, also compressed ones: their directories, their links and every entry.

#![no_main]

use std::ffi::OsString;

use gantools_pack::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    let zip = Source::zip(file.path()).ok();
    let tar = Source::tar(&[(file.path().to_path_buf(), OsString::new())], &mut || true).ok();
    for source in [zip, tar].into_iter().flatten() {
        let _ = source.fingerprint();
        for i in 0..source.len() {
            let _ = source.read(i);
        }
    }
});
