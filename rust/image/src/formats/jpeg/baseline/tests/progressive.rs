//! Progressive files with scans of every kind against libjpeg-turbo.

use super::*;

/// One scan: components, coefficients in zigzag order, and which of their bits.
#[derive(Debug, Clone, PartialEq)]
struct Script {
    of: Vec<usize>,
    band: (usize, usize),
    high: u8,
    low: u8,
}

const ORDINARY: Made = Made {
    size: (43, 37),
    luma: (2, 2),
    seed: 6,
    zeros: 70,
    bits: 5,
    quant: 9,
    restart: 0,
    strange: false,
};

/// Counts and symbols of a table with all symbols, in an order of its own, and its code words.
fn table(noise: &mut Noise, symbols: usize, long: bool) -> (Vec<u8>, Words) {
    let mut counts = [0_u8; 16];
    match (symbols, long) {
        (256, false) => (counts[7], counts[8]) = (254, 2),
        (256, true) => (counts[0], counts[1], counts[2], counts[10]) = (1, 1, 1, 253),
        _ => counts[3] = symbols as u8,
    }
    let mut order: Vec<u8> = (0..symbols).map(|s| s as u8).collect();
    noise.shuffle(&mut order);
    ([&counts[..], &order].concat(), words(&counts, &order))
}

/// The end of the band in some blocks, and the bits that their coefficients are corrected by.
#[derive(Default)]
struct Pending {
    blocks: u32,
    bits: Vec<u32>,
}

impl Pending {
    fn flush(&mut self, out: &mut Writer, words: &Words) {
        if self.blocks > 0 {
            let size = self.blocks.ilog2();
            out.word(words[(size << 4) as usize]);
            out.word((self.blocks & ((1 << size) - 1), size));
            self.blocks = 0;
        }
        for bit in self.bits.drain(..) {
            out.word((bit, 1));
        }
    }
}

impl Script {
    fn header(&self) -> Vec<u8> {
        let mut header = vec![self.of.len() as u8];
        for &c in &self.of {
            header.extend([c as u8 + 1, if c == 0 { 0 } else { 0x11 }]);
        }
        header.extend([
            self.band.0 as u8,
            self.band.1 as u8,
            self.high << 4 | self.low,
        ]);
        header
    }

    fn block(
        &self,
        out: &mut Writer,
        block: &[i32; 64],
        before: &mut i32,
        (dc, ac): (&Words, &Words),
        pending: &mut Pending,
    ) {
        let low = self.low;
        if self.band.0 == 0 {
            let v = block[0] >> low;
            if self.high > 0 {
                out.word((v as u32 & 1, 1));
            } else {
                out.word(dc[size_of(v - *before) as usize]);
                out.value(v - *before);
                *before = v;
            }
            return;
        }
        let cut = |k: usize| block[k].signum() * (block[k].abs() >> low);
        let band = self.band.0..=self.band.1;
        let last_new = band.clone().rev().find(|&k| cut(k).abs() == 1).unwrap_or(0);
        let (mut run, mut corrections) = (0, Vec::new());
        for k in band {
            let v = cut(k);
            if v == 0 {
                run += 1;
                continue;
            }
            while run > 15 && (self.high == 0 || k <= last_new) {
                pending.flush(out, ac);
                out.word(ac[0xf0]);
                corrections.drain(..).for_each(|bit| out.word((bit, 1)));
                run -= 16;
            }
            if self.high == 0 {
                pending.flush(out, ac);
                out.word(ac[run << 4 | size_of(v) as usize]);
                out.value(v);
            } else if v.abs() > 1 {
                corrections.push(v.unsigned_abs() & 1);
                continue;
            } else {
                pending.flush(out, ac);
                out.word(ac[run << 4 | 1]);
                out.word((u32::from(v > 0), 1));
                corrections.drain(..).for_each(|bit| out.word((bit, 1)));
            }
            run = 0;
        }
        if run > 0 || !corrections.is_empty() {
            pending.blocks += 1;
            pending.bits.extend(corrections);
            if pending.blocks == 0x7fff {
                pending.flush(out, ac);
            }
        }
    }
}

impl Made {
    /// Scans that give all bits of all coefficients, in one of many orders.
    fn script(&self, noise: &mut Noise) -> Vec<Script> {
        let all: Vec<usize> = (0..self.components().into()).collect();
        // What is to be sent in turn; each starts with as many bits as it may leave out.
        let mut lines: Vec<Vec<Script>> = Vec::new();
        let mut line = |of: Vec<usize>, band, noise: &mut Noise| {
            let mut low = noise.below(4) as u8;
            let mut scans = vec![Script {
                of,
                band,
                high: 0,
                low,
            }];
            while low > 0 {
                low -= 1;
                let of = scans[0].of.clone();
                scans.push(Script {
                    of,
                    band,
                    high: low + 1,
                    low,
                });
            }
            lines.push(scans);
        };
        if noise.below(2) == 0 {
            line(all.clone(), (0, 0), noise);
        } else {
            all.iter().for_each(|&c| line(vec![c], (0, 0), noise));
        }
        for &c in &all {
            let mut first = 1;
            while first <= 63 {
                let last = (first + noise.below(64) as usize).min(63);
                line(vec![c], (first, last), noise);
                first = last + 1;
            }
        }
        let mut script: Vec<Script> = Vec::new();
        while lines.iter().any(|line| !line.is_empty()) {
            let n = noise.below(lines.len() as u32) as usize;
            let known = |c| script.iter().any(|s| s.band.0 == 0 && s.of.contains(&c));
            match lines[n].first() {
                Some(scan) if scan.band.0 == 0 || known(scan.of[0]) => {
                    script.push(lines[n].remove(0));
                }
                _ => {}
            }
        }
        script
    }

    fn write_progressive(&self) -> Vec<u8> {
        let mut noise = Noise::new(self.seed);
        let script = self.script(&mut noise);
        self.write_as(&script, &mut noise)
    }

    fn write_as(&self, script: &[Script], noise: &mut Noise) -> Vec<u8> {
        let n = usize::from(self.components());
        let (h, v) = self.factors();
        let mut out = self.head(noise, 0xc2);
        if self.restart > 0 {
            segment(&mut out, 0xdd, &(self.restart as u16).to_be_bytes());
        }
        let (across, down) = (self.size.0.div_ceil(8 * h), self.size.1.div_ceil(8 * v));
        // Blocks across and down, those that a scan of one component has, and the coefficients.
        let planes: Vec<_> = (0..n)
            .map(|c| {
                let (ch, cv) = if c == 0 { (h, v) } else { (1, 1) };
                let blocks: Vec<[i32; 64]> = (0..across * ch * down * cv)
                    .map(|_| {
                        std::array::from_fn(|k| match noise.below(100) < self.zeros && k > 0 {
                            true => 0,
                            false => noise.value(self.bits).clamp(-1023, 1023),
                        })
                    })
                    .collect();
                let alone = (
                    (self.size.0 * ch).div_ceil(8 * h),
                    (self.size.1 * cv).div_ceil(8 * v),
                );
                (ch, cv, alone, blocks)
            })
            .collect();
        let mut words: [Words; 4] = Default::default();
        for (i, scan) in script.iter().enumerate() {
            // Tables of their own for many scans, as encoders make them.
            if i == 0 || noise.below(2) == 0 {
                for (j, words) in words.iter_mut().enumerate() {
                    let (which, symbols) = ([0x00, 0x01, 0x10, 0x11][j], [12, 12, 256, 256][j]);
                    let (stored, made) = table(noise, symbols, self.strange);
                    segment(&mut out, 0xc4, &[&[which][..], &stored].concat());
                    *words = made;
                }
            }
            segment(&mut out, 0xda, &scan.header());
            let mut bits = Writer {
                out,
                buffer: 0,
                count: 0,
            };
            let mut pending = Pending::default();
            let mut before = [0; 3];
            let alone = scan.of.len() == 1;
            let (columns, rows) = if alone {
                planes[scan.of[0]].2
            } else {
                (across, down)
            };
            let ac = &words[2 + usize::from(scan.of[0] > 0)];
            for mcu in 0..columns * rows {
                if self.restart > 0 && mcu > 0 && mcu % self.restart == 0 {
                    pending.flush(&mut bits, ac);
                    bits.finish();
                    let marker = 0xd0 + (mcu / self.restart - 1) as u8 % 8;
                    bits.out.extend([0xff, marker]);
                    before = [0; 3];
                }
                let (x, y) = (mcu % columns, mcu / columns);
                for &c in &scan.of {
                    let (ch, cv, _, blocks) = &planes[c];
                    let (bh, bv) = if alone { (1, 1) } else { (*ch, *cv) };
                    for i in 0..bh * bv {
                        let at = (y * bv + i / bh) * across * ch + x * bh + i % bh;
                        let tables = (&words[usize::from(c > 0)], ac);
                        scan.block(&mut bits, &blocks[at], &mut before[c], tables, &mut pending);
                    }
                }
            }
            pending.flush(&mut bits, ac);
            bits.finish();
            out = bits.out;
        }
        out.extend([0xff, 0xd9]);
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_scans_and_coefficients_give_libjpegs_samples(made in made(), by in prop::sample::select(vec![1, 2, 4, 8])) {
        made.check(&made.write_progressive(), by);
    }

    #[test]
    fn damage_is_libjpegs_to_judge(made in made(), by in prop::sample::select(vec![1, 2, 4, 8]), seed in any::<u32>()) {
        check_damaged(&made.tame().write_progressive(), by, seed);
    }

    /// Scans left out, doubled and in another order: what is not whole is libjpeg's, which makes it smoother.
    #[test]
    fn scripts_that_are_not_whole_are_left_to_libjpeg(made in made(), by in prop::sample::select(vec![1, 2, 8]), seed in any::<u32>()) {
        let made = made.tame();
        let mut noise = Noise::new(made.seed);
        let script = made.script(&mut noise);
        let mut choice = Noise::new(seed);
        let mut other = script.clone();
        let at = choice.below(other.len() as u32) as usize;
        let scan = other.remove(at);
        let kind = choice.below(3);
        match kind {
            0 => {}
            1 => other.insert(choice.below(other.len() as u32 + 1) as usize, scan),
            _ => other.splice(at..at, [scan.clone(), scan]).for_each(drop),
        }
        let data = made.write_as(&other, &mut noise);
        if !other.is_empty() {
            let taken = takes(&mut BaselineDecoder::default(), &data, by);
            prop_assert!(!taken || kind == 1);
        }
    }
}

#[test]
fn every_subsampling_size_and_quality_gives_libjpegs_samples() {
    let sizes = [
        (1, 1),
        (7, 9),
        (16, 16),
        (17, 15),
        (33, 31),
        (65, 130),
        (3, 200),
        (161, 97),
    ];
    check_pictures(&sizes, |pixels, size, subsamp, quality| {
        let mut compressor = Compressor::new().unwrap();
        compressor.set_progressive(true).unwrap();
        compressed(compressor, pixels, size, subsamp, quality)
    });
}

#[test]
fn a_file_that_ends_early_is_left_to_libjpeg() {
    for restart in [0, 3] {
        let data = Made {
            restart,
            ..ORDINARY
        }
        .write_progressive();
        let mut decoder = BaselineDecoder::default();
        assert!(takes(&mut decoder, &data, 1));
        for length in 2..data.len() {
            assert!(ours(&mut decoder, &data[..length], 1).is_none(), "{length}");
        }
        assert!(takes(&mut decoder, &[&data[..], b"more"].concat(), 1));
    }
}

#[test]
fn a_flipped_bit_is_taken_as_libjpeg_takes_it_or_left_to_it() {
    let data = Made {
        size: (20, 17),
        ..ORDINARY
    }
    .write_progressive();
    let mut decoder = BaselineDecoder::default();
    let mut taken = 0;
    for at in 2..data.len() - 2 {
        let mut damaged = data.clone();
        damaged[at] ^= 1 << (at % 8);
        taken += usize::from(takes(&mut decoder, &damaged, 1 << (at % 4)));
    }
    assert!(taken > 100, "{taken}");
}

#[test]
fn a_file_with_fewer_bits_than_blocks_takes_no_memory() {
    let mut data = ORDINARY.write_progressive();
    let at = data.windows(2).position(|w| w == [0xff, 0xc2]).unwrap() + 5;
    data[at..at + 4].copy_from_slice(&[0xff, 0xf0, 0xff, 0xf0]);
    let mut decoder = BaselineDecoder::default();
    let mut pixels = vec![0; 65520_usize.div_ceil(8).pow(2) * 3];
    assert!(decoder
        .decode(&data, 8, (65520, 65520), &mut pixels)
        .is_none());
    assert_eq!(decoder.coefficients.memory(), 0);
}
