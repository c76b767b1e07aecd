//! 16-bit samples to 8 bits.

/// Which 16-bit values become 0 and 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SixteenBit {
    /// The high byte: 0 and 255 are 0..=255 and 65280..=65535.
    Full,
    /// The lowest and the highest of each image's colours, alpha apart; an image of one level keeps its high byte.
    Stretch,
    /// These two; what lies outside becomes 0 or 255.
    Range(u16, u16),
}

impl SixteenBit {
    /// The policy of a text: `full`, `stretch` or `LOW:HIGH`, two whole numbers of 0 to 65535 in rising order.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "full" => Some(Self::Full),
            "stretch" => Some(Self::Stretch),
            _ => {
                let (low, high) = text.split_once(':')?;
                let (low, high) = (low.parse().ok()?, high.parse().ok()?);
                (low < high).then_some(Self::Range(low, high))
            }
        }
    }
}

/// 8-bit samples made of 16-bit ones.
pub(crate) struct Shallow {
    pub(crate) samples: Vec<u8>,
    /// The largest 16-bit colour.
    pub(crate) largest: u16,
}

/// `samples` of `channels` a pixel, the last of which may be alpha, which keeps its high byte.
///
/// Between the ends values are spread evenly and rounded to the nearest, halves up.
pub(crate) fn to_bytes(
    samples: impl ExactSizeIterator<Item = u16> + Clone,
    channels: usize,
    has_alpha: bool,
    policy: SixteenBit,
) -> Shallow {
    let is_colour = |i: usize| !has_alpha || i % channels != channels - 1;
    let colours = samples.clone().enumerate().filter(|&(i, _)| is_colour(i));
    let (lowest, largest) = colours.fold((u16::MAX, 0), |(low, high), (_, v)| {
        (low.min(v), high.max(v))
    });
    let (low, high) = match policy {
        SixteenBit::Stretch if lowest < largest => (lowest, largest),
        SixteenBit::Range(low, high) if low < high => (low, high),
        _ => {
            return Shallow {
                samples: samples.map(|v| (v >> 8) as u8).collect(),
                largest,
            }
        }
    };
    let span = u32::from(high - low);
    let scaled = |v: u16| ((u32::from(v.clamp(low, high) - low) * 255 + span / 2) / span) as u8;
    let each = samples.enumerate().map(|(i, v)| match is_colour(i) {
        true => scaled(v),
        false => (v >> 8) as u8,
    });
    Shallow {
        samples: each.collect(),
        largest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(samples: &[u16], channels: usize, policy: SixteenBit) -> Vec<u8> {
        to_bytes(
            samples.iter().copied(),
            channels,
            channels.is_multiple_of(2),
            policy,
        )
        .samples
    }

    #[test]
    fn each_policy_maps_its_ends_to_black_and_white() {
        let samples = [0, 100, 355, 4095, 65535];
        assert_eq!(bytes(&samples, 1, SixteenBit::Full), [0, 0, 1, 15, 255]);
        let range = SixteenBit::Range(100, 355);
        assert_eq!(bytes(&samples, 1, range), [0, 0, 255, 255, 255]);
        // 512 is 255 / 2 of the way, a half, which goes up.
        assert_eq!(
            bytes(&[2, 512, 1022], 1, SixteenBit::Stretch),
            [0, 128, 255]
        );
    }

    #[test]
    fn a_policy_is_a_word_or_two_numbers_that_rise() {
        assert_eq!(SixteenBit::parse("full"), Some(SixteenBit::Full));
        assert_eq!(SixteenBit::parse("stretch"), Some(SixteenBit::Stretch));
        assert_eq!(
            SixteenBit::parse("0:4095"),
            Some(SixteenBit::Range(0, 4095))
        );
        for wrong in ["", "high", "5:5", "9:3", "0:65536", "-1:7", "1:2:3", "4095"] {
            assert_eq!(SixteenBit::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn alpha_and_images_of_one_level_keep_their_high_byte() {
        assert_eq!(
            bytes(&[7, 0x8000, 9, 0xffff], 2, SixteenBit::Stretch),
            [0, 128, 255, 255]
        );
        assert_eq!(bytes(&[0x1234; 3], 3, SixteenBit::Stretch), [0x12; 3]);
        let samples = [1u16, 65535, 4095, 65535];
        let shallow = to_bytes(samples.into_iter(), 2, true, SixteenBit::Full);
        assert_eq!(shallow.largest, 4095);
    }

    #[test]
    fn a_range_is_monotonous_and_rounds_to_the_nearest() {
        for (low, high) in [(0u16, 4095u16), (17, 18), (0, 65535), (1000, 1255)] {
            let all: Vec<u16> = (0..=u16::MAX).step_by(7).collect();
            let got = bytes(&all, 1, SixteenBit::Range(low, high));
            assert!(got.is_sorted());
            for (&v, &b) in all.iter().zip(&got) {
                let v = f64::from(v.clamp(low, high) - low) * 255.0 / f64::from(high - low);
                assert_eq!(b, (v + 0.5).floor() as u8, "{v} of {low}..{high}");
            }
        }
    }
}
