"""Scores: images to features to numbers, each with the protocol it was made by.

The scores of plain features (numpy arrays of shape (n, d)) are here under their names and need no torch::

    from gantools import metrics

    metrics.frechet_distance(mu1, sigma1, mu2, sigma2).distance
    metrics.kid(samples, reference).mean
    metrics.precision_recall(samples, reference).recall

Each is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gantools.lazy import on_first_use

if TYPE_CHECKING:
    from gantools.metrics.numbers.extrapolation import fid_infinity
    from gantools.metrics.numbers.frechet import frechet_distance, frechet_distance_features, frechet_per_class
    from gantools.metrics.numbers.inception_score import inception_score
    from gantools.metrics.numbers.intervals import frechet_interval
    from gantools.metrics.numbers.kernels import cmmd, kid, mmd
    from gantools.metrics.numbers.memorisation import authenticity, mifid, nearest_training
    from gantools.metrics.numbers.neighbours import density_coverage, precision_recall
    from gantools.metrics.numbers.vendi import vendi_score

_PLACES = {
    "authenticity": "numbers.memorisation",
    "cmmd": "numbers.kernels",
    "density_coverage": "numbers.neighbours",
    "fid_infinity": "numbers.extrapolation",
    "frechet_distance": "numbers.frechet",
    "frechet_distance_features": "numbers.frechet",
    "frechet_interval": "numbers.intervals",
    "frechet_per_class": "numbers.frechet",
    "inception_score": "numbers.inception_score",
    "kid": "numbers.kernels",
    "mifid": "numbers.memorisation",
    "mmd": "numbers.kernels",
    "nearest_training": "numbers.memorisation",
    "precision_recall": "numbers.neighbours",
    "vendi_score": "numbers.vendi",
}

__all__ = [
    "authenticity",
    "cmmd",
    "density_coverage",
    "fid_infinity",
    "frechet_distance",
    "frechet_distance_features",
    "frechet_interval",
    "frechet_per_class",
    "inception_score",
    "kid",
    "mifid",
    "mmd",
    "nearest_training",
    "precision_recall",
    "vendi_score",
]

__getattr__ = on_first_use(__name__, _PLACES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
