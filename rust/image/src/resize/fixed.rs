//! Pillow's filters and the weights they give one axis, exact and in fixed point.

named! {
    /// Resampling filters, with Pillow's names and supports.
    pub enum Filter {
        /// Windowed sinc with three lobes (support 3).
        Lanczos => "lanczos",
        /// Keys' cubic with a = -0.5 (support 2).
        Bicubic => "bicubic",
        /// Triangle (support 1).
        Bilinear => "bilinear",
        /// Area average (support 0.5).
        Box => "box",
    }
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        fn sinc(x: f64) -> f64 {
            if x == 0.0 {
                1.0
            } else {
                let x = x * std::f64::consts::PI;
                x.sin() / x
            }
        }
        match self {
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => {
                const A: f64 = -0.5;
                let x = x.abs();
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Self::Lanczos => {
                if (-3.0..3.0).contains(&x) {
                    sinc(x) * sinc(x / 3.0)
                } else {
                    0.0
                }
            }
        }
    }
}

/// Bits of the fixed-point weights: 8 for the sample and 2 against overflow are left of 32.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;
/// One half, so that the final shift rounds.
pub(super) const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The weights of one axis.
pub(super) struct Weights<W> {
    /// For each target index: its first source index and its number of weights.
    pub(super) bounds: Vec<(usize, usize)>,
    /// `taps` weights for each target index, zero beyond its number.
    pub(super) weights: Vec<W>,
    pub(super) taps: usize,
}

/// Weights in fixed point.
pub(super) type Axis = Weights<i32>;

impl<W> Weights<W> {
    /// The first source index that any target needs, and the one after the last.
    pub(super) fn reach(&self) -> (usize, usize) {
        let first = self.bounds.iter().map(|b| b.0).min().unwrap_or(0);
        let end = self.bounds.iter().map(|b| b.0 + b.1).max().unwrap_or(0);
        (first, end)
    }
}

impl Weights<f64> {
    /// Pillow's `precompute_coeffs`: the weights for the targets `window` (first, number) of `output`, which the span `from` (start, length; in general
    /// no whole pixels) of `input` pixels becomes.
    pub(super) fn new(
        input: usize,
        from: (f64, f64),
        output: usize,
        window: (usize, usize),
        filter: Filter,
    ) -> Self {
        let scale = from.1 / output as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let taps = support.ceil() as usize * 2 + 1;
        let mut bounds = Vec::with_capacity(window.1);
        let mut weights = vec![0.0; window.1 * taps];
        for (i, exact) in weights.chunks_exact_mut(taps).enumerate() {
            let center = from.0 + ((window.0 + i) as f64 + 0.5) * scale;
            let shrink = 1.0 / stretch;
            // `as usize` truncates and takes a negative number to 0, as Pillow's cast and clamp do together.
            let first = (center - support + 0.5) as usize;
            let count = ((center + support + 0.5) as usize).min(input) - first;
            let exact = &mut exact[..count];
            let mut sum = 0.0;
            for (i, w) in exact.iter_mut().enumerate() {
                *w = filter.weight(((i + first) as f64 - center + 0.5) * shrink);
                sum += *w;
            }
            if sum != 0.0 {
                exact.iter_mut().for_each(|w| *w /= sum);
            }
            bounds.push((first, count));
        }
        Self {
            bounds,
            weights,
            taps,
        }
    }

    /// Rounded to fixed point.
    pub(super) fn fixed(self) -> Axis {
        let fixed = |&w: &f64| {
            let w = w * f64::from(1 << PRECISION_BITS);
            (w + if w < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        Axis {
            bounds: self.bounds,
            weights: self.weights.iter().map(fixed).collect(),
            taps: self.taps,
        }
    }
}
