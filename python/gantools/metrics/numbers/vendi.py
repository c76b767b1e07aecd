"""The Vendi score: how many different things there are in a set, without any reference.

`exp(-sum_i l_i log l_i)` of the eigenvalues l of K / n, K the matrix of similarities (Friedman and Dieng, "The Vendi
score", arXiv:2210.02410, equation 1); of order q, `(sum_i l_i^q)^(1 / (1 - q))` (Pasarkar and Dieng, arXiv:2310.12952).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gantools.errors import MetricError
from gantools.metrics.numbers.arrays import CHUNK, checked, unit_rows


@dataclass(frozen=True)
class Vendi:
    """The Vendi score.

    Attributes:
        score: the effective number of different samples, 1 to min(n, d).
        q: its order: smaller than 1 gives rare things more weight, larger less.
        n: samples.
    """

    score: float
    q: float
    n: int


def vendi_score(features: ArrayLike, *, q: float = 1.0) -> Vendi:
    """The Vendi score with the similarity x.y of features of length 1.

    The matrix of similarities and the (d, d) one of the columns have the same non-zero eigenvalues, so the smaller is
    taken.

    Args:
        features: (n, d).
        q: the order, > 0; 1 is the entropy, infinity counts only the commonest.

    Raises:
        MetricError: q is not positive, a row of zeros, or features that are none.
    """
    if not q > 0:
        raise MetricError(f"q is {q}.", "Give q > 0; 1 is the original score.")
    x = checked("features", features)
    n, d = x.shape
    if n <= d:
        u = unit_rows("features", x)
        gram = u @ u.T
    else:
        gram = np.zeros((d, d))
        for start in range(0, n, CHUNK):
            u = unit_rows("features", x[start : start + CHUNK], start)
            gram += u.T @ u
    values = np.linalg.eigvalsh(gram / n)
    # Rounding leaves values near 0 of either sign; of a small order they would count.
    values = values[values > len(values) * np.finfo(np.float64).eps * values[-1]]
    values /= values.sum()
    if q == 1:
        score = np.exp(-(values * np.log(values)).sum())
    elif np.isinf(q):
        score = 1 / values.max()
    else:
        # By logarithms: the powers of a large order leave double precision.
        logs = q * np.log(values)
        top = logs.max()
        score = np.exp((top + np.log(np.exp(logs - top).sum())) / (1 - q))
    return Vendi(float(score), float(q), n)
