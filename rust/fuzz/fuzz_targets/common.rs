//! What the decoder targets share: bytes to a prepared image, under a policy that the first two bytes choose. The decoders
//! keep their state from input to input, as they do in a preparation.

use std::cell::RefCell;

use gantools_image::{
    AlphaPolicy, Crop, DecodeOptions, Effect, Filter, Half, OrientationPolicy, PixelPolicy, Preparer, Region, SixteenBit,
};

thread_local! {
    static PREPARER: RefCell<Preparer> = RefCell::default();
}

/// Prepares `input` behind its two policy bytes, begun with `magic` so that it is taken for that format.
pub fn prepare(input: &[u8], magic: &[u8]) {
    let [a, b, rest @ ..] = input else { return };
    let mut data = rest.to_vec();
    for (to, from) in data.iter_mut().zip(magic) {
        *to = *from;
    }
    if data.is_empty() {
        return;
    }
    let pick = |byte: u8, n: usize| usize::from(byte) % n;
    let crop = Crop::NAMES[pick(*a, Crop::NAMES.len())].1;
    let size = 1 + pick(*b, 40);
    let policy = PixelPolicy {
        width: size,
        height: size,
        crop,
        band: size.div_ceil(2),
        background: [1, 2, 3],
        filter: Filter::NAMES[pick(*b >> 2, 4)].1,
        fast: *a & 0x80 != 0,
        half: Half::NAMES[input.len() % 3].1,
        effect: Effect::NAMES[input.len() / 3 % 3].1,
        decode: DecodeOptions {
            sixteen_bit: [
                SixteenBit::Full,
                SixteenBit::Stretch,
                SixteenBit::Range(100, 4095),
            ][pick(*a >> 2, 3)],
            channels: if *b & 0x80 == 0 { 3 } else { 1 },
            alpha: AlphaPolicy::NAMES[pick(*a >> 4, 4)].1,
            orientation: OrientationPolicy::NAMES[pick(*b >> 6, 2)].1,
            max_pixels: 1 << 20,
        },
    };
    // Corners in and around the image, some of them no square.
    let region = Region(std::array::from_fn(|i| {
        f64::from(data[data.len() - 1 - i.min(data.len() - 1)] as i8)
    }));
    let upright = {
        let (x, y, side) = (region.0[0], region.0[1], region.0[2].abs());
        Region([x, y, x, y + side, x + side, y + side, x + side, y])
    };
    let region = if crop == Crop::Box { upright } else { region };
    let mut out = vec![0; policy.image_len()];
    PREPARER.with_borrow_mut(|preparer| {
        // A reject is as good as an image; a panic, an overrun or a hang is not.
        let _ = preparer.encoded(&data, &policy, Some(&region), &mut out);
    });
}
