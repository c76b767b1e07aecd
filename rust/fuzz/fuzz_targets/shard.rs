//! A shard of any bytes, of pixels or of encoded images: it is opened as what the manifest says, or refused; never mapped
//! beyond its end.

#![no_main]

use gantools_image::{AlphaPolicy, Crop, DecodeOptions, Effect, Filter, Half, OrientationPolicy, PixelPolicy, SixteenBit};
use gantools_pack::{Encoding, Layout, Reader, Store};
use libfuzzer_sys::fuzz_target;

const POLICY: PixelPolicy = PixelPolicy {
    width: 3,
    height: 2,
    crop: Crop::Center,
    band: 0,
    background: [0; 3],
    filter: Filter::Lanczos,
    fast: false,
    half: Half::Whole,
    effect: Effect::None,
    decode: DecodeOptions {
        sixteen_bit: SixteenBit::Full,
        channels: 1,
        alpha: AlphaPolicy::Drop,
        orientation: OrientationPolicy::Apply,
        max_pixels: 1 << 16,
    },
};

fuzz_target!(|data: &[u8]| {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    let count = data.last().map_or(0, |&n| usize::from(n) % 8);
    let shards = [(file.path().to_path_buf(), count)];
    for encoding in [None, Some(Encoding::of(Store::Original, &POLICY))] {
        if let Ok(reader) = Reader::open(&shards, [2, 3, 1], encoding) {
            let indices: Vec<i64> = (0..reader.len() as i64).collect();
            let mut out = vec![0; indices.len() * reader.image_len()];
            let flip: Vec<bool> = indices.iter().map(|i| i % 2 == 1).collect();
            let read = reader.gather(&indices, Some(&flip), &mut out);
            assert!(read.is_ok() || encoding.is_some());
            let mut floats = vec![0.0; out.len()];
            let again = reader.gather_float(&indices, Some(&flip), Layout::Nhwc, &mut floats);
            assert_eq!(read.is_ok(), again.is_ok());
        }
    }
});
