"""Does a generator repeat its training set: nearest training samples, authenticity, and MiFID."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gantools import _native
from gantools.errors import MetricError, unknown_name
from gantools.metrics.numbers.arrays import Features, checked_pair, unit_rows
from gantools.metrics.numbers.frechet import frechet_between

#: Over which side the mean of MiFID runs: the reference, or the samples.
MIFID_CONVENTIONS = ("torchmetrics", "paper")


@dataclass(frozen=True)
class Nearest:
    """The nearest training sample of each sample.

    Attributes:
        distance: float64 (n,), Euclidean.
        index: int64 (n,), the row of the training set; of equally near ones the first.
    """

    distance: NDArray[np.float64]
    index: NDArray[np.int64]


@dataclass(frozen=True)
class Authenticity:
    """Which samples are no near copies.

    Attributes:
        percent: share of authentic samples, 0 to 100 (AuthPct).
        authentic: bool (n,): whether each is.
        nearest: the nearest training sample of each.
    """

    percent: float
    authentic: NDArray[np.bool_]
    nearest: Nearest


@dataclass(frozen=True)
class Mifid:
    """The memorization-informed Frechet distance.

    Attributes:
        score: `fid / penalty`.
        fid: the Frechet distance.
        distance: the mean distance to the nearest neighbour by the cosine, 0 to 1.
        penalty: what the Frechet distance was divided by: `distance` below the threshold, else 1.
        convention: over which side the mean runs: `torchmetrics` (the reference) or `paper` (the samples).
    """

    score: float
    fid: float
    distance: float
    penalty: float
    convention: str = "torchmetrics"


def nearest_training(samples: ArrayLike, training: ArrayLike) -> Nearest:
    """The nearest training sample of each sample, exactly, in O(n + m) memory.

    Args:
        samples: features (n, d).
        training: features (m, d) from the same extractor.

    Raises:
        MetricError: features that are none.
    """
    x, y = checked_pair(samples, training, names=("samples", "training"))
    squared, index = _native.nearest(x, y)
    return Nearest(np.sqrt(squared), index)


def authenticity(samples: ArrayLike, training: ArrayLike) -> Authenticity:
    """The share of samples that are no near copies of a training sample (Alaa et al., arXiv:2102.08921, section 4.3).

    A sample is authentic when it is farther from its nearest training sample than that one is from its own nearest
    other training sample; this is dgm-eval's AuthPct.

    Args:
        samples: features (n, d).
        training: features (m, d), m >= 2, from the same extractor.

    Raises:
        MetricError: features that are none.
    """
    x, y = checked_pair(samples, training, names=("samples", "training"))
    if len(y) < 2:
        raise MetricError("training: 1 row has no nearest other row.", "Give the features of the whole training set.")
    squared, index = _native.nearest(x, y)
    authentic = _native.neighbour_radii(y, 1)[index] < squared
    return Authenticity(100 * float(authentic.mean()), authentic, Nearest(np.sqrt(squared), index))


def mifid(
    samples: ArrayLike,
    reference: ArrayLike,
    *,
    threshold: float = 0.1,
    convention: Literal["torchmetrics", "paper"] = "torchmetrics",
) -> Mifid:
    """The memorization-informed Frechet distance (Bai et al., arXiv:2106.03062, section 4): FID / penalty.

    The memorization distance is a mean of the smallest `1 - |cos|` to the other side. torchmetrics takes it over the
    *reference*: copies of a few images are near to those few alone, so that a generator that gives nothing but them has
    no penalty. The paper takes it over the *samples*: a set of pure copies has distance 0, whatever it copies. Rows
    whose values sum to 0 are left out of it. A Frechet distance of 1e-8 or less gives 0.

    Args:
        samples: features (n, d), n >= 2.
        reference: features (m, d), m >= 2, of the training set, from the same extractor.
        threshold: memorization distances of this or more count as none.
        convention: `torchmetrics`, equal to its number, or `paper`.

    Raises:
        MetricError: features that are none, nothing but rows that sum to 0, or an unknown convention.
    """
    if convention not in MIFID_CONVENTIONS:
        raise unknown_name("convention", convention, MIFID_CONVENTIONS, error=MetricError)
    x, y = checked_pair(samples, reference, least=2)
    fid = frechet_between(x, y).distance
    u, v = _directions("samples", x), _directions("reference", y)
    # Of unit vectors |u - v|^2 = 2 - 2 cos, so the nearest of u and -u has the largest |cos|.
    over, near = (v, u) if convention == "torchmetrics" else (u, v)
    squared = np.minimum(_native.nearest(over, near)[0], _native.nearest(over, -near)[0])
    distance = float(squared.mean()) / 2
    penalty = distance if distance < threshold else 1.0
    # The same small number as in torchmetrics, which keeps a set of exact copies from a division by 0.
    return Mifid(fid / (penalty + 10e-15) if fid > 1e-8 else 0.0, fid, distance, penalty, convention)


def _directions(name: str, features: Features) -> NDArray[np.float64]:
    kept = features[features.sum(axis=1) != 0]
    if len(kept) == 0:
        raise MetricError(f"{name}: every row sums to 0.", "Check the network that made the features.")
    return unit_rows(name, kept)
