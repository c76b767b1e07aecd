mod progressive;

use proptest::prelude::*;
use turbojpeg::{Colorspace, Compressor, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};

use super::header::ZIGZAG;
use super::*;

/// Numbers that look random, always the same for a seed.
struct Noise(u64);

impl Noise {
    fn new(seed: u32) -> Self {
        Self(u64::from(seed) * 2 + 1)
    }

    /// From 0 to `n - 1`.
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as u32 % n
    }

    /// A number of at most so many bits, small ones as often as large ones, and a sign.
    fn value(&mut self, bits: u32) -> i32 {
        let size = self.below(bits + 1);
        let v = self.below(1 << size) as i32;
        if self.below(2) == 0 {
            v
        } else {
            -v
        }
    }

    fn shuffle(&mut self, symbols: &mut [u8]) {
        for i in (1..symbols.len()).rev() {
            symbols.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

/// A picture with slopes, edges and some noise, so that blocks of every kind come up.
fn picture((width, height): (usize, usize), seed: u32, amount: u32) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    let (a, b) = (noise.below(37) + 3, noise.below(29) + 3);
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height as u32 {
        for x in 0..width as u32 {
            let edge = if (x / a + y / b) % 3 == 0 { 120 } else { 0 };
            for c in 0..3 {
                let slope = (x * (c + 1) + y * (3 - c)) / 4 % 128;
                pixels.push((edge + slope + noise.below(amount + 1)).min(255) as u8);
            }
        }
    }
    pixels
}

fn jpeg(pixels: &[u8], (width, height): (usize, usize), subsamp: Subsamp, quality: i32) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_optimize(width % 2 == 0).unwrap();
    compressed(compressor, pixels, (width, height), subsamp, quality)
}

fn compressed(
    mut compressor: Compressor,
    pixels: &[u8],
    (width, height): (usize, usize),
    subsamp: Subsamp,
    quality: i32,
) -> Vec<u8> {
    compressor.set_quality(quality).unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    let format = PixelFormat::RGB;
    let image = Image {
        pixels,
        width,
        pitch: 3 * width,
        height,
        format,
    };
    compressor.compress_to_vec(image).unwrap()
}

/// What libjpeg-turbo makes of a file, or its complaint.
fn theirs(data: &[u8], by: usize) -> turbojpeg::Result<Vec<u8>> {
    let mut decompressor = Decompressor::new()?;
    let header = decompressor.read_header(data)?;
    let factor = ScalingFactor::new(1, by);
    decompressor.set_scaling_factor(factor)?;
    let (width, height) = (factor.scale(header.width), factor.scale(header.height));
    let format = match header.colorspace {
        Colorspace::Gray => PixelFormat::GRAY,
        _ => PixelFormat::RGB,
    };
    let pitch = width * format.size();
    let mut pixels = vec![0; height * pitch];
    let image = Image {
        pixels: &mut pixels[..],
        width,
        pitch,
        height,
        format,
    };
    decompressor.decompress(data, image)?;
    Ok(pixels)
}

/// What this decoder makes of a file whose header libjpeg-turbo takes.
fn ours(decoder: &mut BaselineDecoder, data: &[u8], by: usize) -> Option<Vec<u8>> {
    let header = Decompressor::new().unwrap().read_header(data).ok()?;
    let channels = match header.colorspace {
        Colorspace::Gray => 1,
        Colorspace::YCbCr => 3,
        _ => return None,
    };
    let size = (header.width, header.height);
    let mut pixels = vec![7; size.0.div_ceil(by) * size.1.div_ceil(by) * channels];
    // Tables of a small file are made when they come a second time.
    if decoder.decode(data, by, size, &mut pixels).is_none() {
        decoder.decode(data, by, size, &mut pixels)?;
    }
    Some(pixels)
}

/// Whether this decoder takes a file; if so, libjpeg-turbo does, too, and with the same samples.
fn takes(decoder: &mut BaselineDecoder, data: &[u8], by: usize) -> bool {
    let Some(got) = ours(decoder, data, by) else {
        return false;
    };
    let want = theirs(data, by).expect("libjpeg-turbo takes what this decoder takes");
    assert!(got == want, "other samples at 1/{by}");
    true
}

/// Compares pictures of these sizes, as `jpeg` writes them in every subsampling and quality.
fn check_pictures(
    sizes: &[(usize, usize)],
    jpeg: impl Fn(&[u8], (usize, usize), Subsamp, i32) -> Vec<u8>,
) {
    let mut decoder = BaselineDecoder::default();
    for (seed, &size) in (0..).zip(sizes) {
        for subsamp in [
            Subsamp::None,
            Subsamp::Sub2x1,
            Subsamp::Sub2x2,
            Subsamp::Gray,
        ] {
            for (quality, amount) in [(5, 90), (50, 0), (75, 20), (92, 30), (100, 130)] {
                let data = jpeg(&picture(size, seed, amount), size, subsamp, quality);
                for by in [1, 2, 4, 8] {
                    assert!(
                        takes(&mut decoder, &data, by),
                        "{size:?} {subsamp:?} quality {quality} by {by}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_subsampling_size_and_quality_gives_libjpegs_samples() {
    let sizes = [
        (1, 1),
        (7, 9),
        (8, 8),
        (16, 16),
        (17, 15),
        (33, 31),
        (64, 48),
        (65, 130),
        (200, 3),
        (3, 200),
        (161, 97),
    ];
    check_pictures(&sizes, jpeg);
}

/// Any coefficients, for a JPEG file.
#[derive(Debug, Clone)]
struct Made {
    size: (usize, usize),
    /// Blocks of luma in an MCU, across and down; 0 for grey.
    luma: (usize, usize),
    seed: u32,
    /// Coefficients that are 0, of a hundred.
    zeros: u32,
    /// Bits of the others, at most.
    bits: u32,
    /// The largest number of the quantisation tables.
    quant: u32,
    restart: usize,
    /// Whether code words are such as no encoder gives them: in baseline files symbols have some of any length, not those
    /// of the tables in T.81; in progressive ones there are a few short ones and long ones, not those of eight bits.
    strange: bool,
}

/// A file like those of cameras, with restart markers.
const ORDINARY: Made = Made {
    size: (40, 33),
    luma: (2, 2),
    seed: 5,
    zeros: 60,
    bits: 5,
    quant: 9,
    restart: 2,
    strange: false,
};

fn segment(out: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    out.extend([0xff, marker]);
    out.extend((payload.len() as u16 + 2).to_be_bytes());
    out.extend(payload);
}

/// Code words, and their lengths, by symbol.
type Words = Vec<(u32, u32)>;

/// The code words of a table with `counts[i]` words of `i + 1` bits, for `symbols` in their order.
fn words(counts: &[u8; 16], symbols: &[u8]) -> Words {
    let mut words = vec![(0, 0); 256];
    let (mut code, mut next) = (0, symbols.iter());
    for (length, &n) in (1..).zip(counts) {
        for &symbol in next.by_ref().take(n.into()) {
            words[usize::from(symbol)] = (code, length);
            code += 1;
        }
        code <<= 1;
    }
    words
}

impl Made {
    fn components(&self) -> u8 {
        if self.luma.0 == 0 {
            1
        } else {
            3
        }
    }

    /// Blocks of the first component in an MCU, across and down.
    fn factors(&self) -> (usize, usize) {
        match self.components() {
            1 => (1, 1),
            _ => self.luma,
        }
    }

    /// The begin of a file: quantisation tables and a frame header with this marker.
    fn head(&self, noise: &mut Noise, marker: u8) -> Vec<u8> {
        let mut out = vec![0xff, 0xd8];
        for which in 0..2 {
            let values = (0..64).map(|_| (noise.below(self.quant) + 1) as u8);
            let table: Vec<u8> = std::iter::once(which).chain(values).collect();
            segment(&mut out, 0xdb, &table);
        }
        let (h, v) = self.factors();
        let mut frame = vec![8];
        frame.extend((self.size.1 as u16).to_be_bytes());
        frame.extend((self.size.0 as u16).to_be_bytes());
        frame.push(self.components());
        for id in 1..=self.components() {
            let factors = if id == 1 { (h << 4 | v) as u8 } else { 0x11 };
            frame.extend([id, factors, u8::from(id > 1)]);
        }
        segment(&mut out, marker, &frame);
        out
    }

    /// The same with coefficients that are not left to libjpeg.
    fn tame(self) -> Self {
        Self {
            bits: self.bits.min(5),
            quant: self.quant.min(20),
            ..self
        }
    }

    /// Compares the samples of `data`, which is this file, with libjpeg-turbo's.
    fn check(&self, data: &[u8], by: usize) {
        assert!(theirs(data, by).is_ok());
        let taken = takes(&mut BaselineDecoder::default(), data, by);
        // A block of nothing but such coefficients has a column of 8 * 2^bits * quant.
        assert!(taken || (1 << self.bits) * self.quant > 300);
    }

    fn write(&self) -> Vec<u8> {
        let mut noise = Noise::new(self.seed);
        let (h, v) = self.factors();
        let count = self.components();
        let mut out = self.head(&mut noise, 0xc0);
        // As many code words of each length as in T.81, tables K.3 and K.5, for all symbols that there are.
        let dc_counts = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
        let ac_counts = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
        let mut tables = Vec::new();
        for which in [0x00, 0x01, 0x10, 0x11] {
            let (counts, mut symbols): ([u8; 16], Vec<u8>) = match which >> 4 {
                0 => (dc_counts, (0..12).collect()),
                _ => {
                    let mut symbols: Vec<u8> = (0..=255)
                        .filter(|s| matches!(s & 15, 1..=10) || matches!(s, 0 | 0xf0))
                        .collect();
                    symbols.sort_by_key(|s| (s >> 4) + 2 * (s & 15));
                    (ac_counts, symbols)
                }
            };
            if self.strange {
                noise.shuffle(&mut symbols);
            }
            let mut stored = vec![which];
            stored.extend(counts);
            stored.extend(&symbols);
            segment(&mut out, 0xc4, &stored);
            tables.push(words(&counts, &symbols));
        }
        if self.restart > 0 {
            segment(&mut out, 0xdd, &(self.restart as u16).to_be_bytes());
        }
        let mut scan = vec![count];
        for id in 1..=count {
            scan.extend([id, if id == 1 { 0 } else { 0x11 }]);
        }
        scan.extend([0, 63, 0]);
        segment(&mut out, 0xda, &scan);

        let mut bits = Writer {
            out,
            buffer: 0,
            count: 0,
        };
        let mcus = self.size.0.div_ceil(8 * h) * self.size.1.div_ceil(8 * v);
        let mut before = [0; 3];
        for mcu in 0..mcus {
            if self.restart > 0 && mcu > 0 && mcu % self.restart == 0 {
                bits.finish();
                bits.out
                    .extend([0xff, 0xd0 + (mcu / self.restart - 1) as u8 % 8]);
                before = [0; 3];
            }
            for (c, before) in before.iter_mut().enumerate().take(count.into()) {
                let blocks = if c == 0 { h * v } else { 1 };
                let (dc, ac) = (&tables[usize::from(c > 0)], &tables[2 + usize::from(c > 0)]);
                for _ in 0..blocks {
                    let difference = noise
                        .value(self.bits)
                        .clamp(-1024 - *before, 1024 - *before);
                    *before += difference;
                    bits.number(dc, 0, difference);
                    let mut run = 0;
                    for k in 1..64 {
                        let v = noise.value(self.bits);
                        if v == 0 || noise.below(100) < self.zeros {
                            run += 1;
                            continue;
                        }
                        while run > 15 {
                            bits.word(ac[0xf0]);
                            run -= 16;
                        }
                        bits.number(ac, run, v);
                        run = 0;
                        if k == 63 {
                            run = -1;
                        }
                    }
                    if run >= 0 {
                        bits.word(ac[0]);
                    }
                }
            }
        }
        bits.finish();
        bits.out.extend([0xff, 0xd9]);
        bits.out
    }
}

fn size_of(v: i32) -> u32 {
    32 - v.unsigned_abs().leading_zeros()
}

/// Writes bits, with stuffed bytes.
struct Writer {
    out: Vec<u8>,
    buffer: u64,
    count: u32,
}

impl Writer {
    fn word(&mut self, (bits, length): (u32, u32)) {
        self.buffer = self.buffer << length | u64::from(bits);
        self.count += length;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.buffer >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xff {
                self.out.push(0);
            }
        }
    }

    /// A number behind `run` zeros.
    fn number(&mut self, words: &[(u32, u32)], run: i32, v: i32) {
        self.word(words[(run as usize) << 4 | size_of(v) as usize]);
        self.value(v);
    }

    /// The bits of a number whose size is known.
    fn value(&mut self, v: i32) {
        let size = size_of(v);
        let bits = if v < 0 { v - 1 } else { v };
        self.word((bits as u32 & ((1 << size) - 1), size));
    }

    /// Fills the last byte with ones.
    fn finish(&mut self) {
        if self.count > 0 {
            let rest = 8 - self.count;
            self.word(((1 << rest) - 1, rest));
        }
    }
}

fn made() -> impl Strategy<Value = Made> {
    let luma = prop::sample::select(vec![(0, 0), (1, 1), (2, 1), (2, 2)]);
    let restart = prop_oneof![Just(0_usize), 1_usize..20];
    (
        (1_usize..70, 1_usize..70),
        luma,
        any::<u32>(),
        0_u32..=100,
        0_u32..=10,
        1_u32..256,
        restart,
        any::<bool>(),
    )
        .prop_map(
            |(size, luma, seed, zeros, bits, quant, restart, strange)| Made {
                size,
                luma,
                seed,
                zeros,
                bits,
                quant,
                restart,
                strange,
            },
        )
}

/// Damages a file in twenty ways; what this decoder still takes is as libjpeg-turbo's.
fn check_damaged(whole: &[u8], by: usize, seed: u32) {
    let mut noise = Noise::new(seed);
    let mut decoder = BaselineDecoder::default();
    for _ in 0..20 {
        let mut data = whole.to_vec();
        for _ in 0..=noise.below(3) {
            let at = noise.below(data.len() as u32) as usize;
            data[at] = match noise.below(2) {
                0 => data[at] ^ 1 << noise.below(8),
                _ => noise.below(256) as u8,
            };
        }
        takes(&mut decoder, &data, by);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Coefficients of any size, from those of pictures to those that no picture has, which are libjpeg's.
    #[test]
    fn any_coefficients_and_tables_give_libjpegs_samples(made in made(), by in prop::sample::select(vec![1, 2, 4, 8])) {
        made.check(&made.write(), by);
    }

    #[test]
    fn damage_is_libjpegs_to_judge(made in made(), by in prop::sample::select(vec![1, 2, 4, 8]), seed in any::<u32>()) {
        check_damaged(&made.tame().write(), by, seed);
    }
}

#[test]
fn flipped_bits_that_fit_are_taken() {
    // What the test above may not meet: damage that leaves a file which has the right number of coefficients.
    let data = jpeg(&picture((64, 64), 1, 60), (64, 64), Subsamp::Sub2x2, 90);
    let mut decoder = BaselineDecoder::default();
    let mut reader = Reader::new(&data).unwrap();
    reader.next().unwrap();
    let start = data.len() - reader.rest.len();
    let mut taken = 0;
    for at in start..data.len() - 2 {
        let mut damaged = data.clone();
        damaged[at] ^= 1 << (at % 8);
        taken += usize::from(takes(&mut decoder, &damaged, 1 << (at % 4)));
    }
    assert!(taken > 500, "{taken}");
}

#[test]
fn a_file_that_ends_early_is_left_to_libjpeg() {
    let data = jpeg(&picture((40, 40), 2, 40), (40, 40), Subsamp::Sub2x2, 80);
    let mut decoder = BaselineDecoder::default();
    assert!(takes(&mut decoder, &data, 1));
    for length in 2..data.len() {
        assert!(ours(&mut decoder, &data[..length], 1).is_none(), "{length}");
    }
    // Behind the end there may be anything.
    let longer = [&data[..], b"more"].concat();
    assert!(takes(&mut decoder, &longer, 1));
}

/// A file with `from` replaced by `to`, once.
fn replaced(data: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = data
        .windows(from.len())
        .position(|w| w == from)
        .expect("it is there");
    [&data[..at], to, &data[at + from.len()..]].concat()
}

#[test]
fn what_is_not_plain_baseline_is_left_to_libjpeg() {
    let mut decoder = BaselineDecoder::default();
    let made = ORDINARY;
    let data = made.write();
    assert!(takes(&mut decoder, &data, 2));
    let size = [0xff, 0xc0, 0, 17, 8, 0, 33, 0, 40];
    let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0];
    let other = |i: usize, v: u8, from: &[u8]| {
        let mut to = from.to_vec();
        to[i] = v;
        replaced(&data, from, &to)
    };
    let inserted = |bytes: &[u8]| [&data[..2], bytes, &data[2..]].concat();
    for (what, data) in [
        ("progressive", other(1, 0xc2, &size)),
        ("arithmetic", other(1, 0xc9, &size)),
        ("12 bits", other(4, 12, &size)),
        ("no height", other(6, 0, &size)),
        ("a spectral selection", other(11, 1, &scan)),
        ("a successive approximation", other(13, 1, &scan)),
        (
            "another order of components",
            replaced(&data, &scan[5..11], &[2, 0x11, 1, 0, 3, 0x11]),
        ),
        ("a table that is not there", other(6, 0x22, &scan)),
        (
            "other factors",
            replaced(&data, &[1, 0x22, 0], &[1, 0x12, 0]),
        ),
        (
            "factors of chroma",
            replaced(&data, &[2, 0x11, 1], &[2, 0x21, 1]),
        ),
        (
            "a quantisation table that is not there",
            replaced(&data, &[2, 0x11, 1], &[2, 0x11, 3]),
        ),
        ("fill bytes", inserted(&[0xff])),
        ("an unknown marker", inserted(&[0xff, 0xf0, 0, 2])),
        (
            "no restart interval",
            replaced(&data, &[0xff, 0xdd, 0, 4, 0, 2], &[]),
        ),
        (
            "another restart interval",
            replaced(&data, &[0xff, 0xdd, 0, 4, 0, 2], &[0xff, 0xdd, 0, 4, 0, 3]),
        ),
        (
            "a restart marker out of turn",
            replaced(&data, &[0xff, 0xd1], &[0xff, 0xd3]),
        ),
        ("no restart marker", replaced(&data, &[0xff, 0xd1], &[])),
        (
            "more behind the scan",
            replaced(&data, &[0xff, 0xd9], &[0, 0xff, 0xd9]),
        ),
        (
            "another scan",
            replaced(&data, &[0xff, 0xd9], &[&scan[..], &[0xff, 0xd9]].concat()),
        ),
    ] {
        assert!(ours(&mut decoder, &data, 2).is_none(), "{what}");
    }
    for (what, data) in [
        ("a comment", inserted(&[0xff, 0xfe, 0, 4, 1, 2])),
        ("extended baseline", other(1, 0xc1, &size)),
        (
            "a table that is replaced",
            inserted(&[&[0xff, 0xdb, 0, 67, 0][..], &[99; 64]].concat()),
        ),
    ] {
        assert!(takes(&mut decoder, &data, 2), "{what}");
    }
    let grey = Made {
        luma: (0, 0),
        restart: 0,
        ..made
    }
    .write();
    let factors = replaced(&grey, &[1, 0x11, 0], &[1, 0x22, 0]);
    assert!(takes(&mut decoder, &factors, 2));
    // Colours that are not YCbCr are told by their caller, who has libjpeg's opinion; the size must be its, too.
    let mut pixels = vec![0; 20 * 17 * 3];
    assert!(decoder.decode(&data, 2, (40, 34), &mut pixels).is_none());
    assert!(decoder
        .decode(&data, 2, (40, 33), &mut pixels[1..])
        .is_none());
}

#[test]
fn tables_of_small_files_wait_for_the_second() {
    let made = Made {
        size: (16, 16),
        luma: (1, 1),
        restart: 0,
        strange: true,
        ..ORDINARY
    };
    let files = [1, 2].map(|seed| {
        Made {
            seed,
            ..made.clone()
        }
        .write()
    });
    let mut pixels = vec![0; 16 * 16 * 3];
    let mut decoder = BaselineDecoder::default();
    let mut taken = |n: usize| {
        decoder
            .decode(&files[n], 1, (16, 16), &mut pixels)
            .is_some()
    };
    assert_eq!(
        [0, 1, 0, 0, 0, 1, 1].map(&mut taken),
        [false, false, false, true, true, false, true]
    );
    let large = Made {
        size: (200, 200),
        ..made
    }
    .write();
    assert!(large.len() > WORTH_TABLES);
    let mut pixels = vec![0; 200 * 200 * 3];
    assert!(BaselineDecoder::default()
        .decode(&large, 1, (200, 200), &mut pixels)
        .is_some());
}

/// Random blocks through a transform with all kinds of lanes.
#[test]
fn transforms_are_the_same_with_and_without_vectors() {
    fn samples<N: Narrow, W: Wide>(transform: &Transform, block: &Block) -> (Vec<u8>, bool) {
        let mut plane = vec![0; 64];
        let mut beyond = Beyond::<N, W>::none();
        transform.apply(block.coefficients(), &mut plane, 0, 8, &mut beyond);
        (plane, beyond.any())
    }
    let mut noise = Noise::new(3);
    let mut beyond = 0;
    for case in 0..2000 {
        let quant = std::array::from_fn(|_| (noise.below(255) + 1) as u8);
        let bits = case % 16 + 1;
        for size in [1, 2, 4, 8] {
            let transform = Transform::new(size, &quant);
            let mut block = Block([0; 128]);
            for &at in &transform.slots[..64] {
                block.0[usize::from(at)] =
                    (noise.below(1 << bits) as i32 - (1 << (bits - 1))) as i16;
            }
            let plain = samples::<lanes::Plain, Two<lanes::Plain>>(&transform, &block);
            beyond += usize::from(plain.1);
            #[cfg(target_arch = "x86_64")]
            {
                assert_eq!(
                    plain,
                    samples::<lanes::Sse2, Two<lanes::Sse2>>(&transform, &block)
                );
                if is_x86_feature_detected!("avx2") {
                    assert_eq!(
                        plain,
                        samples::<lanes::Sse2, lanes::Avx2>(&transform, &block)
                    );
                }
            }
        }
    }
    assert!((500..3500).contains(&beyond), "{beyond}");
}

/// The definition (T.81, A.3.3), in floating point: what the integers are near to.
#[test]
fn the_transform_is_the_inverse_dct() {
    let mut noise = Noise::new(4);
    let mut pixels = [0.0; 64];
    for _ in 0..200 {
        pixels.fill_with(|| f64::from(noise.below(256)) - 128.0);
        let basis = |k: usize, x: usize| {
            let scale = if k == 0 { 0.125_f64.sqrt() } else { 0.5 };
            scale * ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos()
        };
        let transform = Transform::new(8, &[1; 64]);
        let mut block = Block([0; 128]);
        for (n, &natural) in ZIGZAG.iter().enumerate() {
            let (v, u) = (usize::from(natural / 8), usize::from(natural % 8));
            let sum: f64 = (0..64)
                .map(|i| pixels[i] * basis(v, i / 8) * basis(u, i % 8))
                .sum();
            block.0[usize::from(transform.slots[n])] = sum.round() as i16;
        }
        let mut plane = [0; 64];
        let mut beyond = Beyond::<lanes::Plain, Two<lanes::Plain>>::none();
        transform.apply(block.coefficients(), &mut plane, 0, 8, &mut beyond);
        for (got, want) in plane.iter().zip(&pixels) {
            assert!((f64::from(*got) - 128.0 - want).abs() < 3.0);
        }
    }
}
