"""Scores: images to features to numbers, each with the protocol it was made by.

The scores of plain features (numpy arrays of shape (n, d)) are here under their names and need no torch::

    from gantools import metrics

    metrics.frechet_distance(mu1, sigma1, mu2, sigma2).distance
    metrics.kid(samples, reference).mean
    metrics.precision_recall(samples, reference).recall

Each is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gantools.metrics.extrapolation import fid_infinity
    from gantools.metrics.frechet import frechet_distance, frechet_distance_features, frechet_per_class
    from gantools.metrics.intervals import frechet_interval
    from gantools.metrics.kernels import cmmd, kid, mmd
    from gantools.metrics.logits import inception_score
    from gantools.metrics.memorisation import authenticity, mifid, nearest_training
    from gantools.metrics.neighbours import density_coverage, precision_recall
    from gantools.metrics.vendi import vendi_score

_MODULES = {
    "authenticity": "memorisation",
    "cmmd": "kernels",
    "density_coverage": "neighbours",
    "fid_infinity": "extrapolation",
    "frechet_distance": "frechet",
    "frechet_distance_features": "frechet",
    "frechet_interval": "intervals",
    "frechet_per_class": "frechet",
    "inception_score": "logits",
    "kid": "kernels",
    "mifid": "memorisation",
    "mmd": "kernels",
    "nearest_training": "memorisation",
    "precision_recall": "neighbours",
    "vendi_score": "vendi",
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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
