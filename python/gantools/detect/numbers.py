"""How well scores tell two kinds apart, and what they mean. A higher score means more likely generated."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gantools.errors import MetricError

Scores = NDArray[np.float64]
#: Bins of the calibration error.
BINS = 15
# Where the temperature is looked for.
_COLDEST, _HOTTEST = 0.02, 50.0


def _both(generated: ArrayLike, real: ArrayLike) -> tuple[Scores, Scores]:
    sides = (np.asarray(generated, np.float64), np.asarray(real, np.float64))
    for name, side in zip(("generated", "real"), sides, strict=True):
        if side.ndim != 1 or not len(side):
            raise MetricError(f"{name}: scores of images are (n,) with n at least 1, not {side.shape}.")
        if not np.isfinite(side).all():
            raise MetricError(f"{name}: a score is not finite.")
    return sides


def auc(generated: ArrayLike, real: ArrayLike) -> float:
    """Area under the ROC curve: P(generated above real) + P(equal) / 2 (Hanley and McNeil 1982), by ranks.

    Args:
        generated: scores (n,).
        real: scores (m,).
    """
    a, b = _both(generated, real)
    b = np.sort(b)
    below, upto = np.searchsorted(b, a, "left"), np.searchsorted(b, a, "right")
    return float((below + upto).sum() / (2 * len(a) * len(b)))


def average_precision(generated: ArrayLike, real: ArrayLike) -> float:
    """Sum over thresholds of (R_k - R_(k-1)) P_k, precision by recall, equal scores at one threshold.

    It depends on how many there are of both: compare it at equal numbers only.
    """
    a, b = _both(generated, real)
    thresholds = np.unique(a)[::-1]
    hits = len(a) - np.searchsorted(np.sort(a), thresholds, "left")
    alarms = len(b) - np.searchsorted(np.sort(b), thresholds, "left")
    return float((np.diff(hits, prepend=0) / len(a) * hits / (hits + alarms)).sum())


def tpr_at_fpr(generated: ArrayLike, real: ArrayLike, rate: float) -> float:
    """The share of the generated above the lowest threshold that no more than `rate` of the real lie above."""
    a, b = _both(generated, real)
    allowed = math.floor(rate * len(b) + 1e-9)
    if allowed >= len(b):
        return 1.0
    return float((a > np.sort(b)[::-1][allowed]).mean())


def accuracy(generated: ArrayLike, real: ArrayLike, threshold: float) -> float:
    """The mean of the shares of both kinds that lie on their side of a threshold; on it counts as real."""
    a, b = _both(generated, real)
    return float(((a > threshold).mean() + (b <= threshold).mean()) / 2)


def best_threshold(generated: ArrayLike, real: ArrayLike) -> float:
    """The threshold of the highest `accuracy` (Youden's J), in the middle between two scores."""
    a, b = _both(generated, real)
    scores = np.unique(np.concatenate((a, b)))
    middles = np.concatenate((scores[:1] - 1, (scores[1:] + scores[:-1]) / 2, scores[-1:] + 1))
    right = (
        1
        - np.searchsorted(np.sort(a), middles, "right") / len(a)
        + np.searchsorted(np.sort(b), middles, "right") / len(b)
    )
    # In the middle of all that are as good, where there are many between two heaps.
    best = np.flatnonzero(right >= right.max() - 1e-12)
    return float(middles[best[len(best) // 2]])


def unsure_between(generated: ArrayLike, real: ArrayLike, rate: float) -> tuple[float, float]:
    """Two thresholds, the lower first: all but `rate` of the generated lie above one, of the real below the other.

    Between them lie what both kinds have in common, or, where they are further apart than that, what neither has.
    """
    a, b = _both(generated, real)
    ends = float(np.quantile(a, rate)), float(np.quantile(b, 1 - rate))
    return min(ends), max(ends)


def sigmoid(logits: ArrayLike) -> Scores:
    """1 / (1 + exp(-x)), without overflow."""
    x = np.asarray(logits, np.float64)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def calibration_error(generated: ArrayLike, real: ArrayLike) -> float:
    """Expected calibration error of probabilities: sum over bins of (n_b / n) |share generated - mean probability|.

    Source: Guo et al. 2017 (arXiv:1706.04599), equation 3, with 15 bins of equal width of the probability of one of two
    kinds, both weighing the same whatever their numbers.
    """
    a, b = _both(generated, real)
    p = np.concatenate((a, b))
    weights = np.concatenate((np.full(len(a), 0.5 / len(a)), np.full(len(b), 0.5 / len(b))))
    truth = np.concatenate((np.ones(len(a)), np.zeros(len(b))))
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    return float(np.abs(np.bincount(bins, weights * (truth - p), BINS)).sum())


def cross_entropy(generated: ArrayLike, real: ArrayLike, temperature: float = 1.0) -> float:
    """The mean over both kinds of -log of the probability of what is true, of logits divided by a temperature."""
    a, b = _both(generated, real)
    return float((np.logaddexp(0, -a / temperature).mean() + np.logaddexp(0, b / temperature).mean()) / 2)


def fit_temperature(generated: ArrayLike, real: ArrayLike) -> float:
    """The temperature of the lowest `cross_entropy` of these logits, within 0.02 to 50 (Guo et al. 2017, section 4.2).

    It has one minimum in 1 / temperature, which a golden section finds.
    """
    a, b = _both(generated, real)
    ratio = (math.sqrt(5) - 1) / 2
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(80):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if cross_entropy(a, b, 1 / left) < cross_entropy(a, b, 1 / right):
            high = right
        else:
            low = left
    return 2 / (low + high)
