#![allow(dead_code)]

/// Deterministic values that look random: splitmix64, so that tests need no generator crate.
pub struct Rng(pub u64);

impl Rng {
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box-Muller.
    pub fn normal(&mut self) -> f64 {
        let r = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        r * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// n rows of width d, each column with its own scale.
    pub fn features(&mut self, n: usize, d: usize) -> Vec<f64> {
        let scale: Vec<f64> = (0..d).map(|_| 0.1 + self.uniform()).collect();
        let mut x = Vec::with_capacity(n * d);
        for _ in 0..n {
            let shared = self.normal();
            x.extend(scale.iter().map(|s| s * (0.5 * shared)));
            let at = x.len() - d;
            for (v, s) in x[at..].iter_mut().zip(&scale) {
                *v += s * self.normal();
            }
        }
        x
    }
}

pub fn diagonal(values: &[f64]) -> Vec<f64> {
    let d = values.len();
    let mut s = vec![0.0; d * d];
    for (i, v) in values.iter().enumerate() {
        s[i * d + i] = *v;
    }
    s
}

/// Mean and covariance by the two-pass formula, written out.
pub fn two_pass(x: &[f64], n: usize, d: usize) -> (Vec<f64>, Vec<f64>) {
    let mean: Vec<f64> = (0..d)
        .map(|j| (0..n).map(|i| x[i * d + j]).sum::<f64>() / n as f64)
        .collect();
    let mut s = vec![0.0; d * d];
    for i in 0..n {
        for j in 0..d {
            for k in 0..d {
                s[j * d + k] += (x[i * d + j] - mean[j]) * (x[i * d + k] - mean[k]);
            }
        }
    }
    s.iter_mut().for_each(|v| *v /= (n - 1) as f64);
    (mean, s)
}

#[track_caller]
pub fn close(a: f64, b: f64, relative: f64) {
    let scale = a.abs().max(b.abs()).max(f64::MIN_POSITIVE);
    assert!(
        (a - b).abs() <= relative * scale,
        "{a} and {b} differ by more than {relative:e}"
    );
}

#[track_caller]
pub fn all_close(a: &[f64], b: &[f64], relative_to_largest: f64) {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!(
            (x - y).abs() <= relative_to_largest * scale,
            "at {i}: {x} and {y}, largest {scale}"
        );
    }
}
