"""FID with infinitely many samples, by extrapolation.

A Frechet distance of n samples is too large by about C / n, with C depending on the model (Chong and Forsyth,
"Effectively unbiased FID", arXiv:1911.07023, section 3). So distances of several subsets are regressed on 1 / n, and
the line is read at 1 / n = 0. The sizes are those of dgm-eval (Stein et al., arXiv:2306.04675, appendix).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gantools.errors import MetricError
from gantools.metrics.numbers.arrays import Features, checked, checked_pair
from gantools.metrics.numbers.frechet import Statistics, frechet_between, moments_of


@dataclass(frozen=True)
class Extrapolation:
    """A line through Frechet distances of subsets.

    Attributes:
        intercept: the distance at infinitely many samples; can be negative when the truth is near 0.
        slope: the distance's growth with 1 / n.
        r_squared: the share of the variance that the line explains; 1 where all distances are equal.
        points: (n, distance) of each subset.
    """

    intercept: float
    slope: float
    r_squared: float
    points: tuple[tuple[int, float], ...]


def fid_infinity(
    samples: ArrayLike, reference: ArrayLike | Statistics, *, points: int = 15, seed: int = 0
) -> Extrapolation:
    """The Frechet distance extrapolated to infinitely many samples; the reference stays what it is.

    Sizes are `points` from min(5000, max(n / 10, 2)) to n, evenly spaced and rounded down; each subset is drawn anew,
    without replacement.

    Args:
        samples: features (n, d).
        reference: features (m, d) or statistics.
        points: how many subsets; at least 2.
        seed: of `numpy.random.default_rng`.

    Raises:
        MetricError: too few samples for two sizes, or features that are none.
    """
    if points < 2:
        raise MetricError(f"points is {points}.", "A line needs 2; 15 is usual.")
    other: Features | Statistics
    if isinstance(reference, Statistics):
        x, other = checked("samples", samples, least=3), reference
    else:
        x, y = checked_pair(samples, reference, least=2)
        # More rows than columns are needed as a covariance each time: once is enough.
        other = moments_of(y) if len(y) > y.shape[1] else y
    n = len(x)
    sizes = np.linspace(min(5000, max(n / 10, 2)), n, points).astype(np.int64)
    if sizes[0] == sizes[-1]:
        raise MetricError(f"samples: {n} rows make no subsets of different sizes.", "Give at least 3.")
    rng = np.random.default_rng(seed)
    found = np.array([frechet_between(x[rng.choice(n, size, replace=False)], other).distance for size in sizes])
    inverse = 1.0 / sizes
    a, b = inverse - inverse.mean(), found - found.mean()
    slope = float(a @ b / (a @ a))
    total = float(b @ b)
    r_squared = float((a @ b) ** 2 / (a @ a) / total) if total > 0 else 1.0
    return Extrapolation(
        intercept=float(found.mean() - slope * inverse.mean()),
        slope=slope,
        r_squared=r_squared,
        points=tuple(zip(sizes.tolist(), found.tolist(), strict=True)),
    )
