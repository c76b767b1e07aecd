"""Scores from nearest neighbours: precision and recall, density and coverage.

Around each sample lies a ball that reaches to its k-th nearest neighbour in its own set. Precision is the share of
samples in some ball of the reference, recall the share of the reference in some ball of the samples (Kynkaanniemi et
al., arXiv:1904.06991, equations 1 and 2). Density is the mean number of the reference's balls that a sample is in,
divided by k; coverage the share of the reference's balls that hold a sample (Naeem et al., arXiv:2002.09797, equations
4 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from gantools import _native
from gantools.errors import MetricError, unknown_name
from gantools.metrics.numbers.arrays import checked_pair

Convention = Literal["torch-fidelity", "stylegan3", "adm", "prdc"]

#: k where none is given, and whether a sample at exactly the radius is inside, for each tool.
_RULES: dict[str, tuple[int, bool]] = {
    "torch-fidelity": (3, True),
    "stylegan3": (3, True),
    "adm": (3, True),
    "prdc": (5, False),
}


@dataclass(frozen=True)
class Neighbourhood:
    """How samples and reference lie among each other.

    Attributes:
        precision: share of samples in a ball of the reference, 0 to 1.
        recall: share of the reference in a ball of the samples, 0 to 1.
        f_score: their harmonic mean; 0 where both are 0.
        density: balls of the reference that a sample is in, on average, divided by k; can be above 1.
        coverage: share of the reference's balls with a sample in them, 0 to 1.
        k: the neighbour that a radius reaches to.
        convention: whose rule.
        n_samples: samples there were.
        n_reference: likewise of the reference.
    """

    precision: float
    recall: float
    f_score: float
    density: float
    coverage: float
    k: int
    convention: str
    n_samples: int
    n_reference: int


def precision_recall(
    samples: ArrayLike, reference: ArrayLike, *, convention: Convention = "torch-fidelity", k: int | None = None
) -> Neighbourhood:
    """Precision and recall; the other numbers come with them, by the same rule.

    Distances are Euclidean and exact (compared as squares summed in float64, which decides ties as the definition
    does); the half precision of StyleGAN3 and ADM and the cancellation of float32 products in torch-fidelity are not
    repeated, so with those a sample within rounding of a radius can differ.

    Args:
        samples: features (n, d) of generated images. (prdc's own function takes the reference first.)
        reference: features (m, d) of real ones.
        convention: `torch-fidelity`, `stylegan3`, `adm`: k = 3, a sample at exactly the radius is inside; ADM's squared
            distances decide alike. `prdc`: k = 5, it is outside.
        k: None for the convention's.

    Raises:
        MetricError: a side has no more than k samples, or features that are none.
    """
    if convention not in _RULES:
        raise unknown_name("convention", convention, _RULES, error=MetricError)
    default, closed = _RULES[convention]
    k = default if k is None else k
    if k < 1:
        raise MetricError(f"k is {k}.", f"Give k >= 1; {default} is usual.")
    x, y = checked_pair(samples, reference)
    for name, side in (("samples", x), ("reference", y)):
        if len(side) <= k:
            raise MetricError(
                f"{name}: {len(side)} rows, but k={k} nearest neighbours of each need at least {k + 1}.",
                "Give more samples or a smaller k.",
            )
    x_radii, y_radii = _native.neighbour_radii(x, k), _native.neighbour_radii(y, k)
    (in_reference, _), (in_samples, held) = _native.balls(x, x_radii, y, y_radii, closed)
    precision, recall = float((in_reference > 0).mean()), float((in_samples > 0).mean())
    both = precision + recall
    return Neighbourhood(
        precision=precision,
        recall=recall,
        f_score=2 * precision * recall / both if both else 0.0,
        density=float(in_reference.mean()) / k,
        coverage=float((held > 0).mean()),
        k=k,
        convention=convention,
        n_samples=len(x),
        n_reference=len(y),
    )


def density_coverage(samples: ArrayLike, reference: ArrayLike, *, k: int = 5) -> Neighbourhood:
    """Density and coverage as the package prdc computes them; `precision_recall` with its convention."""
    return precision_recall(samples, reference, convention="prdc", k=k)
