//! Noise on the pixels of a finished image, for sets of pairs.

/// Adds noise of mean 0 and deviation `sigma`, in levels, to every value; rounded to the nearest level and cut off at 0
/// and 255.
///
/// The noise of value `i` is a function of `seed` and `i`: the sum of twelve uniform numbers of 16 bits, whose
/// distribution is that of Gauss to within 0.003, with nothing beyond six deviations. In additions and multiplications
/// alone, so that every machine has the same bytes, which a logarithm does not promise.
pub fn add_noise(data: &mut [u8], sigma: f64, seed: u64) {
    for (i, value) in data.iter_mut().enumerate() {
        *value = (f64::from(*value) + sigma * normal(seed, i as u64))
            .round()
            .clamp(0.0, 255.0) as u8;
    }
}

/// Number `i` of those that `seed` gives, of mean 0 and deviation 1, as [`add_noise`] says.
pub(crate) fn normal(seed: u64, i: u64) -> f64 {
    // Two numbers of 16 bits side by side, with room above each for their sums.
    const EVERY_OTHER: u64 = 0x0000_ffff_0000_ffff;
    let sums: u64 = (0..3)
        .map(|j| scattered(seed, 3 * i + j))
        .map(|bits| (bits & EVERY_OTHER) + (bits >> 16 & EVERY_OTHER))
        .sum();
    let sum = (sums & 0xffff_ffff) + (sums >> 32);
    // Twelve times the middle of 0..65535; the variance of each is 65536² / 12.
    (sum as f64 - 12.0 * 32767.5) / 65536.0
}

/// Number `counter` of the sequence that begins with `seed`: SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195).
pub(crate) fn scattered(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add((counter + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(sigma: f64, seed: u64, n: usize) -> Vec<f64> {
        let mut data = vec![128; n];
        add_noise(&mut data, sigma, seed);
        data.into_iter().map(|v| f64::from(v) - 128.0).collect()
    }

    #[test]
    fn the_sequence_is_splitmix64() {
        // The first numbers of seed 1234567 as its authors' C code gives them.
        assert_eq!(scattered(1_234_567, 0), 6_457_827_717_110_365_317);
        assert_eq!(scattered(1_234_567, 1), 3_203_168_211_198_807_973);
    }

    #[test]
    fn its_moments_are_those_of_gauss() {
        let n = 200_000;
        let found = noise(20.0, 7, n);
        let moment = |k: i32| found.iter().map(|v| v.powi(k)).sum::<f64>() / n as f64;
        assert!(moment(1).abs() < 0.2, "{}", moment(1));
        assert!(
            (moment(2).sqrt() - 20.0).abs() < 0.15,
            "{}",
            moment(2).sqrt()
        );
        // 3 for Gauss, 2.9 for twelve uniform numbers, 1.8 for one.
        let kurtosis = moment(4) / moment(2).powi(2);
        assert!((kurtosis - 2.9).abs() < 0.05, "{kurtosis}");
        let beside = found.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
        assert!((beside / moment(2)).abs() < 0.01);
    }

    #[test]
    fn it_depends_on_the_seed_and_is_cut_off() {
        assert_eq!(noise(25.0, 1, 64), noise(25.0, 1, 64));
        assert_ne!(noise(25.0, 1, 64), noise(25.0, 2, 64));
        assert_eq!(noise(0.0, 1, 64), vec![0.0; 64]);
        let mut white = vec![255; 1000];
        add_noise(&mut white, 50.0, 3);
        assert!(white.contains(&255) && white.iter().any(|&v| v < 200));
    }
}
