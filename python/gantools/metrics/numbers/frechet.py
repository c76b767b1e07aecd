"""The Frechet distance between two sets of features, by the cheapest exact route for how many there are.

`d^2 = |mu_1 - mu_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)` (Dowson and Landau, 1982; as an image metric: Heusel et
al., arXiv:1706.08500, equation 6). On Inception's 2048 features it is called FID.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gantools import _native
from gantools.errors import MetricError
from gantools.metrics.numbers.arrays import checked_pair

#: As rust/stats has it: the relative error that statistics stored in single precision can have.
_STORED_IN_SINGLE = 1e-4


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


@dataclass
class FeatureSums:
    """What is kept of features that come batch by batch.

    Attributes:
        moments: count, mean and centred sums.
        features: float32 (n, d), all of them; None where they were not kept.
    """

    moments: _native.Moments
    features: NDArray[np.float32] | None

    @classmethod
    def empty(cls, dims: int, n: int, keep: bool) -> FeatureSums:
        """With room for `n` features (dims,), which are kept for `keep`, and where there are no more than columns."""
        return cls(_native.Moments(dims), np.empty((n, dims), np.float32) if keep or n <= dims else None)

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> FeatureSums:
        """Those of all features (n, d). MetricError: not finite."""
        sums = cls(_native.Moments(features.shape[1]), features)
        for start in range(0, len(features), 4096):
            sums.moments.update(np.ascontiguousarray(features[start : start + 4096]))
        return sums

    def add(self, features: NDArray[np.float32]) -> None:
        """Add float32 (k, dims). MetricError: not finite."""
        done = self.moments.n
        self.moments.update(features)
        if self.features is not None:
            self.features[done : done + len(features)] = features

    def statistics(self) -> Statistics:
        """Mean and covariance. MetricError: fewer than 2 images."""
        few = self.features if self.features is not None and len(self.features) <= self.moments.d else None
        return Statistics(self.moments.n, self.moments.mean, self.moments.covariance(), few)


@overload
def frechet_distance(a: Statistics, b: Statistics, /) -> _native.Frechet: ...
@overload
def frechet_distance(mu1: ArrayLike, sigma1: ArrayLike, mu2: ArrayLike, sigma2: ArrayLike, /) -> _native.Frechet: ...


def frechet_distance(*moments: Any) -> _native.Frechet:
    """The squared Frechet distance between Gaussians: of two `Statistics`, or of mu1, sigma1, mu2, sigma2.

    Args:
        moments: `Statistics` twice; or means (d,) and covariances (d, d) with divisor n - 1, of any rank.

    Returns:
        The distance (`distance`, or `float()` of the result) and how it was computed.

    Raises:
        MetricError: different widths, not finite, or a matrix that is no covariance.
        TypeError: neither two nor four arguments.
    """
    if len(moments) == 4:
        names = ("mu1", "sigma1"), ("mu2", "sigma2")
        a, b = (_statistics(*which, *moments[at : at + 2]) for which, at in zip(names, (0, 2), strict=True))
    elif len(moments) == 2 and all(isinstance(m, Statistics) for m in moments):
        names = ("first mean", "first covariance"), ("second mean", "second covariance")
        a, b = moments
    else:
        raise TypeError("frechet_distance takes two Statistics, or mu1, sigma1, mu2, sigma2")
    found = frechet_between(a, b, names)
    if found.route == "truncated-eigen":
        # The other routes see a negative eigenvalue in the product (Sylvester); this one may leave its direction out.
        for side, (mean, covariance) in zip((a, b), names, strict=True):
            check_moments(side, mean, covariance)
    return found


#: What the mean and the covariance of each side are called in an error of a score.
SIDES = (("mean of the samples", "covariance of the samples"), ("mean of the reference", "covariance of the reference"))


def frechet_between(
    a: Statistics | NDArray[np.float32] | NDArray[np.float64],
    b: Statistics | NDArray[np.float32] | NDArray[np.float64],
    names: tuple[tuple[str, str], tuple[str, str]] = SIDES,
) -> _native.Frechet:
    """As `frechet_distance`, each side as statistics or as features (n, d), n >= 2, by the cheapest exact route.

    Args:
        a: the samples.
        b: the reference.
        names: of each side's mean and covariance, for errors.

    Raises:
        MetricError: different widths, fewer than 2 samples, not finite, or a matrix that is no covariance.
    """
    widths = [x.dims if isinstance(x, Statistics) else x.shape[1] for x in (a, b)]
    if widths[0] != widths[1]:
        raise MetricError(
            f"statistics of different width: {widths[0]} and {widths[1]}.",
            "Both must come from the same extractor and layer.",
        )
    try:
        return _between(a, b)
    except MetricError:
        # Only here it is known which of the arrays is whose.
        for side, (mean, covariance) in zip((a, b), names, strict=True):
            if isinstance(side, Statistics):
                check_moments(side, mean, covariance)
        raise


def _between(
    a: Statistics | NDArray[np.float32] | NDArray[np.float64], b: Statistics | NDArray[np.float32] | NDArray[np.float64]
) -> _native.Frechet:
    first, second = (x.features if isinstance(x, Statistics) and x.features is not None else x for x in (a, b))
    if isinstance(first, Statistics):
        if isinstance(second, Statistics):
            return _native.frechet_distance(first.mean, first.covariance, second.mean, second.covariance)
        # A distance is symmetric, so the side that has features goes first.
        first, second = second, first
    if isinstance(second, Statistics):
        return _native.frechet_distance_features_moments(first, second.mean, second.covariance)
    return _native.frechet_distance_features(first, second)


def check_moments(statistics: Statistics, mean: str, covariance: str) -> None:
    """Refuses a mean that is not finite and a matrix that is no covariance, under the names given (MetricError).

    Symmetry and eigenvalues may be off by 1e-4 of the largest, as those of statistics stored in single precision are.
    """
    mu, sigma = statistics.mean, statistics.covariance
    damaged = (
        "Statistics are features.mean(0) and np.cov(features, rowvar=False): compute them again from the features."
    )
    bad = np.flatnonzero(~np.isfinite(mu))
    if len(bad):
        raise MetricError(f"{mean}: not finite (NaN or infinity) at {bad[0]}.", damaged)
    places = np.argwhere(~np.isfinite(sigma))
    if len(places):
        row, column = places[0]
        raise MetricError(f"{covariance}: not finite (NaN or infinity) at row {row}, column {column}.", damaged)
    off = np.abs(sigma - sigma.T)
    if off.max() > _STORED_IN_SINGLE * max(float(np.diagonal(sigma).max()), 0.0):
        row, column = np.unravel_index(int(off.argmax()), off.shape)
        raise MetricError(
            f"{covariance}: not symmetric, entries ({row}, {column}) and ({column}, {row}) differ by "
            f"{off[row, column]:.3g}.",
            damaged,
        )
    # Against the largest eigenvalue by way of a number that is no smaller.
    size = float(np.linalg.norm(sigma))
    try:
        np.linalg.cholesky(sigma + _STORED_IN_SINGLE * size * np.eye(len(mu))) if size else None
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(sigma)[0])
        raise MetricError(
            f"{covariance}: not positive semi-definite, so it is no covariance (smallest eigenvalue {smallest:.3g}).",
            damaged,
        ) from None


def frechet_distance_features(samples: ArrayLike, reference: ArrayLike) -> _native.Frechet:
    """The squared Frechet distance between two sets of features (n, d) and (m, d), by the cheapest exact route.

    Raises:
        MetricError: different widths, fewer than 2 samples, or not finite.
    """
    return frechet_between(*checked_pair(samples, reference, least=2))


def moments_of(features: NDArray[np.float32] | NDArray[np.float64] | _native.Moments) -> Statistics:
    """Mean and covariance of features (n, d), or of moments, n >= 2. MetricError: fewer, or not finite."""
    if isinstance(features, _native.Moments):
        return Statistics(features.n, features.mean, features.covariance())
    moments = _native.Moments(features.shape[1])
    moments.update(features)
    return Statistics(moments.n, moments.mean, moments.covariance())


def _statistics(mean: str, covariance: str, mean_values: ArrayLike, covariance_values: ArrayLike) -> Statistics:
    mu = np.atleast_1d(_numbers(mean, mean_values))
    sigma = np.atleast_2d(_numbers(covariance, covariance_values))
    if mu.ndim != 1 or len(mu) == 0 or sigma.shape != (len(mu), len(mu)):
        raise MetricError(
            f"{mean} is {mu.shape} and {covariance} {sigma.shape}.",
            "A mean is (d,) and a covariance (d, d): features.mean(0), np.cov(features, rowvar=False).",
        )
    return Statistics(None, mu, sigma)


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        found = np.asarray(values)
    except ValueError as e:
        raise MetricError(f"{name}: not an array ({e}).", "Give an array of numbers.") from e
    if found.dtype.kind not in "fiu":
        raise MetricError(f"{name}: of type {found.dtype}, but statistics are numbers.", "Give float64.")
    return found.astype(np.float64)


@dataclass(frozen=True)
class ClassDistance:
    """The Frechet distance within one class.

    Attributes:
        label: the class.
        distance: squared Frechet distance of its samples from its reference.
        n_samples: samples of the class.
        n_reference: likewise of the reference.
    """

    label: int | str
    distance: float
    n_samples: int
    n_reference: int


@dataclass(frozen=True)
class SmallClass:
    """A class that has no distance because a side has too few samples of it."""

    label: int | str
    n_samples: int
    n_reference: int


@dataclass(frozen=True)
class ClassDistances:
    """Frechet distances class by class.

    Attributes:
        classes: worst first; equal ones in the order of their labels.
        too_small: classes with fewer than `least` samples on a side, in the order of their labels.
        mean: the mean of the distances, each class counting once.
        least: samples that a class needs on either side.
    """

    classes: tuple[ClassDistance, ...]
    too_small: tuple[SmallClass, ...]
    mean: float
    least: int


def frechet_per_class(
    samples: ArrayLike, labels: ArrayLike, reference: ArrayLike, reference_labels: ArrayLike, *, least: int = 2
) -> ClassDistances:
    """The Frechet distance within each class ("intra FID": Miyato and Koyama, arXiv:1802.05637, section 4).

    A class has far fewer samples than the whole, and a Frechet distance rises as samples get fewer: compare classes of
    like counts only, and not with the distance of the whole.

    Args:
        samples: features (n, d).
        labels: (n,) integers or strings.
        reference: features (m, d) from the same extractor.
        reference_labels: (m,).
        least: samples below which a class is too small; at least 2.

    Raises:
        MetricError: features that are none, labels that do not fit them, or no class with enough samples.
    """
    x, y = checked_pair(samples, reference)
    if least < 2:
        raise MetricError(f"least is {least}.", "A covariance needs 2 samples: give least >= 2.")
    of_x, of_y = _labels("labels", labels, len(x)), _labels("reference_labels", reference_labels, len(y))
    if (of_x.dtype.kind == "U") != (of_y.dtype.kind == "U"):
        raise MetricError(
            f"labels are {of_x.dtype} and reference_labels {of_y.dtype}.", "Give both as integers or both as strings."
        )
    found: list[ClassDistance] = []
    small: list[SmallClass] = []
    for value in np.union1d(of_x, of_y):
        label: int | str = value.item()
        a, b = x[of_x == value], y[of_y == value]
        if min(len(a), len(b)) < least:
            small.append(SmallClass(label, len(a), len(b)))
        else:
            found.append(ClassDistance(label, frechet_between(a, b).distance, len(a), len(b)))
    if not found:
        raise MetricError(
            f"no class has {least} samples on both sides ({len(small)} classes).",
            "Check that both sides name their classes alike, and give more samples.",
        )
    found.sort(key=lambda c: -c.distance)
    return ClassDistances(tuple(found), tuple(small), sum(c.distance for c in found) / len(found), least)


def _labels(name: str, labels: ArrayLike, n: int) -> NDArray[Any]:
    values = np.asarray(labels)
    if values.shape != (n,) or values.dtype.kind not in "iuU":
        raise MetricError(
            f"{name}: {values.dtype} of shape {values.shape} for {n} features.",
            f"Give an integer or a string for each: shape ({n},).",
        )
    return values


def histogram(
    samples: NDArray[np.float32], reference: NDArray[np.float32] | None, mean: NDArray[np.float64], bins: int = 40
) -> dict[str, Any] | None:
    """How many features lie how far from the reference's mean, on both sides: what a distance alone does not show.

    Args:
        samples: features (n, d).
        reference: features (m, d), or None where only their mean is known.
        mean: of the reference's features, (d,).
        bins: of the histogram.

    Returns:
        `what` it shows, the `low` and `high` end of all bins, and counts of `samples` and `reference`; None where all
        features lie equally far.
    """
    sides = {"samples": samples} if reference is None else {"samples": samples, "reference": reference}
    far = {name: _lengths(features, mean) for name, features in sides.items()}
    low, high = min(v.min() for v in far.values()), max(v.max() for v in far.values())
    if not high > low:
        return None
    counts = {name: np.histogram(v, bins, (low, high))[0].tolist() for name, v in far.items()}
    return {"what": "Distance of features from the reference's mean", "low": float(low), "high": float(high), **counts}


def _lengths(features: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = [np.linalg.norm(features[i : i + 1024] - mean, axis=1) for i in range(0, len(features), 1024)]
    return np.concatenate(parts)
