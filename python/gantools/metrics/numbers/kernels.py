"""Kernel distances between two sets of features: KID, and the maximum mean discrepancy it estimates.

`MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)` (Gretton et al., "A kernel two-sample test", JMLR 13, 2012, lemma 6).
KID is its unbiased estimate with the kernel `(x.y / d + 1)^3` of Inception features, averaged over random subsets
(Binkowski et al., "Demystifying MMD GANs", arXiv:1801.01401, section 4). Being unbiased it can come out slightly
negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gantools import _native
from gantools.errors import MetricError, unknown_name
from gantools.metrics.numbers.arrays import Features, checked_pair, unit_rows
from gantools.metrics.numbers.intervals import Interval, jackknife_interval

KernelName = Literal["polynomial", "gaussian"]
KERNELS = ("polynomial", "gaussian")
#: Subsets and their size where nothing else is asked for, as everywhere in the literature.
SUBSETS, SUBSET_SIZE = 100, 1000


@dataclass(frozen=True)
class KernelDistance:
    """KID as it is usually reported.

    Attributes:
        mean: the mean of the unbiased estimates of the subsets.
        std: their standard deviation (divisor `subsets`). It describes one subset; it is no error of the mean.
        subsets: how many were drawn.
        subset_size: samples in each, of either side.
        kernel: the kernel and its parameters, as `_native.Kernel` prints it.
        n_samples: samples there were.
        n_reference: likewise of the reference.
    """

    mean: float
    std: float
    subsets: int
    subset_size: int
    kernel: str
    n_samples: int
    n_reference: int


@dataclass(frozen=True)
class Discrepancy:
    """The squared maximum mean discrepancy of all samples.

    Attributes:
        value: the estimate, times `scale`.
        estimator: `unbiased` (without k(x, x) and k(y, y); can be negative) or `biased` (with them; never negative).
        scale: what the estimate was multiplied by.
        interval: of an unbiased estimate from at least 3 samples a side, by the jackknife over single samples; else
            None.
        kernel: the kernel and its parameters.
        n_samples: samples there were.
        n_reference: likewise of the reference.
    """

    value: float
    estimator: str
    scale: float
    interval: Interval | None
    kernel: str
    n_samples: int
    n_reference: int


def kid(
    samples: ArrayLike,
    reference: ArrayLike,
    *,
    subsets: int = SUBSETS,
    subset_size: int | None = SUBSET_SIZE,
    seed: int = 2020,
    kernel: KernelName = "polynomial",
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
    sigma: float = 10.0,
) -> KernelDistance:
    """The kernel inception distance: equal to torch-fidelity's, whose draws it repeats.

    Args:
        samples: features (n, d).
        reference: features (m, d) from the same extractor.
        subsets: how many pairs of subsets.
        subset_size: samples in each; None for min(1000, n, m). The result says which it was.
        seed: of `numpy.random.RandomState`; subset by subset it draws `choice(n, subset_size, replace=False)`, then the
            same of m.
        kernel: `polynomial`, (gamma x.y + coef)^degree, or `gaussian`, exp(-|x - y|^2 / (2 sigma^2)), elsewhere `rbf`.
        degree: 1 to 64.
        gamma: None for 1 / d.
        coef: the constant in the polynomial.
        sigma: the width of the Gaussian.

    Raises:
        MetricError: fewer than `subset_size` samples, or features that are none.
    """
    x, y = checked_pair(samples, reference, least=2)
    n, m = len(x), len(y)
    if subsets < 1:
        raise MetricError(f"subsets is {subsets}.", "Give subsets >= 1; 100 is usual.")
    size = min(SUBSET_SIZE, n, m) if subset_size is None else subset_size
    if size < 2:
        raise MetricError(f"subset_size is {size}.", "Give subset_size >= 2; 1000 is usual.")
    fewer = min(n, m)
    if size > fewer:
        raise MetricError(
            f"subset_size is {size}, but there are {n} samples and {m} in the reference.",
            f"Give --kid-subset-size {fewer} or less (in Python kid_subset_size={fewer}, of kid subset_size={fewer}), "
            "or none, which chooses it, and say so with the score; or give more samples.",
        )
    k = make_kernel(kernel, x.shape[1], degree=degree, gamma=gamma, coef=coef, sigma=sigma)
    rng = np.random.RandomState(seed)
    values = np.empty(subsets)
    for i in range(subsets):
        first = x[rng.choice(n, size, replace=False)]
        second = y[rng.choice(m, size, replace=False)]
        values[i] = _Sums.of(first, second, k).unbiased()
    return KernelDistance(float(values.mean()), float(values.std()), subsets, size, repr(k), n, m)


def mmd(
    samples: ArrayLike,
    reference: ArrayLike,
    *,
    estimator: Literal["unbiased", "biased"] = "unbiased",
    level: float = 0.95,
    kernel: KernelName = "polynomial",
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
    sigma: float = 10.0,
) -> Discrepancy:
    """The squared maximum mean discrepancy of all samples at once: KID without the draw of subsets.

    Time is O((n + m)^2 d), memory O(n + m). Its standard error is that of the jackknife: leaving one sample out takes
    the sum of one row from the sums, so all n + m estimates together cost nothing. The error is right to a tenth where
    the two distributions differ clearly; where they are nearly equal it is up to half too large. In one or two columns
    the estimate is skewed and an interval of 95 % may cover in 87 %.

    Args:
        samples: features (n, d).
        reference: features (m, d) from the same extractor.
        estimator: `unbiased` or `biased`.
        level: of the interval.
        kernel: as for `kid`, as are the others.
        degree: 1 to 64.
        gamma: None for 1 / d.
        coef: the constant in the polynomial.
        sigma: the width of the Gaussian.

    Raises:
        MetricError: features that are none, or fewer than 2 of a side for `unbiased`.
    """
    if estimator not in ("unbiased", "biased"):
        raise unknown_name("estimator", estimator, ("unbiased", "biased"), error=MetricError)
    x, y = checked_pair(samples, reference, least=2 if estimator == "unbiased" else 1)
    k = make_kernel(kernel, x.shape[1], degree=degree, gamma=gamma, coef=coef, sigma=sigma)
    sums = _Sums.of(x, y, k)
    if estimator == "biased":
        return Discrepancy(sums.biased(), estimator, 1.0, None, repr(k), len(x), len(y))
    value = sums.unbiased()
    interval = None
    if min(len(x), len(y)) >= 3:
        interval = jackknife_interval(value, sums.without_each(), level)
    return Discrepancy(value, estimator, 1.0, interval, repr(k), len(x), len(y))


def cmmd(samples: ArrayLike, reference: ArrayLike, *, sigma: float = 10.0, scale: float = 1000.0) -> Discrepancy:
    """CMMD of CLIP embeddings: the biased estimate with a Gaussian kernel, times 1000.

    Jayasumana et al., "Rethinking FID", arXiv:2401.09603, section 4, with the constants of the authors' code
    (google-research/cmmd). Rows are brought to length 1 first, as there.

    Args:
        samples: embeddings (n, d); CMMD proper takes those of CLIP ViT-L/14 at 336 pixels.
        reference: embeddings (m, d).
        sigma: the width of the kernel.
        scale: what the estimate is multiplied by.

    Raises:
        MetricError: features that are none, or a row of zeros.
    """
    x, y = checked_pair(samples, reference)
    k = make_kernel("gaussian", x.shape[1], sigma=sigma)
    sums = _Sums.of(unit_rows("samples", x), unit_rows("reference", y), k)
    return Discrepancy(scale * sums.biased(), "biased", scale, None, repr(k), len(x), len(y))


def make_kernel(
    name: str, d: int, *, degree: int = 3, gamma: float | None = None, coef: float = 1.0, sigma: float = 10.0
) -> _native.Kernel:
    """The kernel of that name for features of width `d`. MetricError: an unknown name or a parameter out of range."""
    if name not in KERNELS:
        raise unknown_name("kernel", name, KERNELS, error=MetricError)
    try:
        if name == "gaussian":
            return _native.Kernel.gaussian(sigma)
        return _native.Kernel.polynomial(1.0 / d if gamma is None else gamma, coef, degree)
    except (ValueError, OverflowError) as e:
        raise MetricError(f"{name} kernel: {e}.", "KID's is degree=3, gamma=None (1 / d), coef=1.") from e


@dataclass(frozen=True)
class _Sums:
    """The sums of the rows of the three kernel matrices: (n,) and (m,); `others` is without the diagonal."""

    x_others: NDArray[np.float64]
    x_self: NDArray[np.float64]
    y_others: NDArray[np.float64]
    y_self: NDArray[np.float64]
    x_cross: NDArray[np.float64]
    y_cross: NDArray[np.float64]

    @classmethod
    def of(cls, x: Features, y: Features, kernel: _native.Kernel) -> _Sums:
        return cls(
            *_native.kernel_self_sums(x, kernel),
            *_native.kernel_self_sums(y, kernel),
            *_native.kernel_cross_sums(x, y, kernel),
        )

    def unbiased(self) -> float:
        """Gretton et al., equation 3."""
        n, m = len(self.x_others), len(self.y_others)
        within = self.x_others.sum() / (n * (n - 1)) + self.y_others.sum() / (m * (m - 1))
        return float(within - 2 * self.x_cross.sum() / (n * m))

    def biased(self) -> float:
        """Gretton et al., equation 5."""
        n, m = len(self.x_others), len(self.y_others)
        xx = (self.x_others.sum() + self.x_self.sum()) / (n * n)
        yy = (self.y_others.sum() + self.y_self.sum()) / (m * m)
        # A squared norm; only rounding can make it negative.
        return max(float(xx + yy - 2 * self.x_cross.sum() / (n * m)), 0.0)

    def without_each(self) -> list[NDArray[np.float64]]:
        """The unbiased estimate without each sample in turn, (n,), and without each of the reference, (m,)."""
        n, m = len(self.x_others), len(self.y_others)
        xx, yy, xy = self.x_others.sum(), self.y_others.sum(), self.x_cross.sum()
        less_x = (xx - 2 * self.x_others) / ((n - 1) * (n - 2)) - 2 * (xy - self.x_cross) / ((n - 1) * m)
        less_y = (yy - 2 * self.y_others) / ((m - 1) * (m - 2)) - 2 * (xy - self.y_cross) / (n * (m - 1))
        return [less_x + yy / (m * (m - 1)), less_y + xx / (n * (n - 1))]
