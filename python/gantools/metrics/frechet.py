"""The Frechet distance between two sets of features, by the cheapest exact route for how many there are.

`d^2 = |mu_1 - mu_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)` (Dowson and Landau, 1982; as an image metric: Heusel et
al., arXiv:1706.08500, equation 6). On Inception's 2048 features it is called FID.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import MetricError


@dataclass(frozen=True)
class Statistics:
    """What a set's features come down to.

    Attributes:
        n: images, or None where a file of statistics does not say.
        mean: float64 (d,).
        covariance: float64 (d, d), divisor n - 1.
        features: float32 (n, d) where n <= d, so that the smaller problem can be solved; else None.
    """

    n: int | None
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    features: NDArray[np.float32] | None = None

    @property
    def dims(self) -> int:
        """Width of a feature."""
        return len(self.mean)


class Collector:
    """Takes features batch by batch: moments always, the features themselves while there are no more than columns."""

    def __init__(self, dims: int) -> None:
        self._moments = _native.Moments(dims)
        self._few: list[NDArray[np.float32]] | None = []

    def add(self, features: NDArray[np.float32]) -> None:
        """Add float32 (n, dims). MetricError: not finite."""
        self._moments.update(features)
        if self._few is not None:
            self._few.append(features)
            if self._moments.n > self._moments.d:
                self._few = None

    def statistics(self) -> Statistics:
        """All that was added. MetricError: fewer than 2 images."""
        features = np.concatenate(self._few) if self._few else None
        return Statistics(self._moments.n, self._moments.mean, self._moments.covariance(), features)


def frechet_distance(a: Statistics, b: Statistics) -> _native.Frechet:
    """The squared Frechet distance between the Gaussians with the moments of `a` and `b`.

    Raises:
        MetricError: different widths, not finite, or a matrix that is no covariance.
    """
    if a.dims != b.dims:
        raise MetricError(
            f"statistics of different width: {a.dims} and {b.dims}.",
            "Both must come from the same extractor and layer.",
        )
    if a.features is not None and b.features is not None:
        return _native.frechet_distance_features(a.features, b.features)
    if a.features is not None:
        return _native.frechet_distance_features_moments(a.features, b.mean, b.covariance)
    if b.features is not None:
        return _native.frechet_distance_features_moments(b.features, a.mean, a.covariance)
    return _native.frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
