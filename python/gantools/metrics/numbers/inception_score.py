"""The inception score: how sure a classifier is of each image, and how varied its answers are.

`exp(mean over x of KL(p(y|x) || p(y)))` with p(y) the mean of p(y|x), over each of some splits; their mean and standard
deviation (Salimans et al., arXiv:1606.03498, section 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gantools.errors import MetricError, unknown_name
from gantools.metrics.numbers.arrays import Features, checked

Convention = Literal["torch-fidelity", "original", "adm", "torchmetrics", "dgm"]


@dataclass(frozen=True)
class _Rule:
    shuffle: bool
    bounds: str
    unbiased: bool


#: How each tool splits: whether it shuffles, where it cuts, and whether its deviation has divisor splits - 1.
_RULES: dict[str, _Rule] = {
    "torch-fidelity": _Rule(True, "even", False),
    "original": _Rule(False, "even", False),
    "adm": _Rule(False, "chunks", False),
    "torchmetrics": _Rule(True, "ceil", True),
    "dgm": _Rule(True, "floor", False),
}
#: Images in a split of the ADM evaluator.
ADM_CHUNK = 5000


@dataclass(frozen=True)
class InceptionScore:
    """The inception score.

    Attributes:
        mean: over the splits; between 1 and the number of classes.
        std: over the splits; None where the convention needs two splits for it and there is one.
        splits: how many there were.
        convention: whose rule for splitting.
        n: images that counted (`dgm` drops those that fill no split).
    """

    mean: float
    std: float | None
    splits: int
    convention: str
    n: int


def inception_score(
    logits: ArrayLike,
    *,
    convention: Convention = "torch-fidelity",
    splits: int = 10,
    shuffle: bool | None = None,
    seed: int = 2020,
) -> InceptionScore:
    """The inception score of a classifier's logits; softmax and all sums are in float64.

    Args:
        logits: (n, classes). The original takes Inception's 1008 without their bias.
        convention: `torch-fidelity`: bounds i n // splits, shuffled, deviation with divisor splits. `original`: the
            same in the given order. `adm`: chunks of 5000 in the given order, `splits` not used. `torchmetrics`:
            shuffled, chunks of ceil(n / splits), deviation with divisor splits - 1; its own shuffle has no seed, so
            equality holds for the same order. `dgm`: shuffled, chunks of n // splits, the rest dropped.
        splits: how many.
        shuffle: None for what the convention does.
        seed: of `numpy.random.RandomState`, whose `permutation(n)` shuffles.

    Raises:
        MetricError: fewer images than splits, or logits that are none.
    """
    if convention not in _RULES:
        raise unknown_name("convention", convention, _RULES, error=MetricError)
    rule = _RULES[convention]
    x = checked("logits", logits)
    n = len(x)
    if splits < 1:
        raise MetricError(f"splits is {splits}.", "Give splits >= 1; 10 is usual.")
    check_splits(n, convention, splits)
    if rule.shuffle if shuffle is None else shuffle:
        x = x[np.random.RandomState(seed).permutation(n)]
    bounds = _bounds(rule.bounds, n, splits)
    scores = np.array([_score(x[start:end]) for start, end in bounds])
    std = None if rule.unbiased and len(scores) < 2 else float(scores.std(ddof=int(rule.unbiased)))
    return InceptionScore(float(scores.mean()), std, len(scores), convention, sum(e - s for s, e in bounds))


def check_splits(n: int, convention: str, splits: int) -> None:
    """MetricError: `n` images cannot be cut into as many splits as `convention` makes of them."""
    if _RULES[convention].bounds != "chunks" and n < splits:
        raise MetricError(
            f"{n} images make no {splits} splits.",
            f"Give --is-splits {n} or fewer (in Python is_splits={n}, of inception_score splits={n}), and say so.",
        )


def _bounds(rule: str, n: int, splits: int) -> list[tuple[int, int]]:
    if rule == "even":
        return [(i * n // splits, (i + 1) * n // splits) for i in range(splits)]
    if rule == "floor":
        size = n // splits
        return [(i * size, (i + 1) * size) for i in range(splits)]
    size = ADM_CHUNK if rule == "chunks" else math.ceil(n / splits)
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def _score(logits: Features) -> float:
    """exp of the mean KL divergence of one split."""
    z: NDArray[np.float64] = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    z -= np.log(total)
    q = p.mean(axis=0)
    # A class that no image has any probability of adds nothing; its logarithm would make it NaN.
    log_q = np.log(np.where(q > 0, q, 1.0))
    return float(np.exp((p * (z - log_q)).sum(axis=1).mean()))
