//! JPEG, baseline and progressive, twice, since tables of small files are made when they come again: what libjpeg-turbo makes of it by itself.

#![no_main]

use std::cell::RefCell;

use gantools_image::{AlphaPolicy, DecodeOptions, Decoder, OrientationPolicy};
use libfuzzer_sys::fuzz_target;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::default();
}

const MAX_PIXELS: usize = 1 << 18;

/// Width, height and RGB samples; None for a file that is refused, or whose colours are none of the two below.
fn theirs(data: &[u8]) -> Option<Vec<u8>> {
    let mut decompressor = Decompressor::new().ok()?;
    let header = decompressor.read_header(data).ok()?;
    if header.width.checked_mul(header.height)? > MAX_PIXELS
        || !matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray)
    {
        return None;
    }
    let mut pixels = vec![0; 3 * header.width * header.height];
    let image = Image {
        pixels: &mut pixels[..],
        width: header.width,
        pitch: 3 * header.width,
        height: header.height,
        format: PixelFormat::RGB,
    };
    decompressor.decompress(data, image).ok()?;
    Some(pixels)
}

fuzz_target!(|input: &[u8]| {
    let mut data = input.to_vec();
    for (to, from) in data.iter_mut().zip(b"\xff\xd8\xff") {
        *to = *from;
    }
    // What is said of baseline files holds for progressive ones, and most bytes are the same.
    check(&data);
    let frame = data
        .windows(2)
        .position(|w| matches!(w, [0xff, 0xc0..=0xc2]));
    if let Some(at) = frame {
        data[at + 1] ^= 2;
        check(&data);
    }
});

fn check(data: &[u8]) {
    let Some(want) = theirs(data) else { return };
    let options = DecodeOptions {
        channels: 3,
        alpha: AlphaPolicy::Error,
        orientation: OrientationPolicy::Ignore,
        max_pixels: MAX_PIXELS as u64,
    };
    DECODER.with_borrow_mut(|decoder| {
        for _ in 0..2 {
            let got = decoder
                .decode(data, &options)
                .expect("libjpeg-turbo takes it");
            assert!(got.data == want, "other samples");
        }
    });
}
