"""Terms that a player's loss may have beside the adversarial one: of features, of classes, of its weights' history.

Pure functions, computed in float32 at least; each returns a scalar.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from gantools.layers.precision import wide


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """‖E f(x) - E f(G(z))‖²: of the means over each batch, not of samples; real features are a constant.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 3.1.

    Args:
        real: features f of real images, float (n, ...).
        fake: of generated ones, float (m, ...).
    """
    return (wide(real).detach().mean(0) - wide(fake).mean(0)).square().sum()


def pulling_away(codes: Tensor) -> Tensor:
    """1 / (n (n - 1)) Σ_i Σ_{j ≠ i} (S_iᵀ S_j / (‖S_i‖ ‖S_j‖))²: 0 for orthogonal codes, 1 for parallel ones.

    Source: Zhao et al. 2017 (arXiv:1609.03126), section 2.4.

    Args:
        codes: float (n, ...), n at least 2 or the term is 0.
    """
    n = len(codes)
    directions = F.normalize(wide(codes).flatten(1), dim=1)
    squares = (directions @ directions.T).square()
    # Of every code with itself it is left out, not taken for 1: a code of zeros has no direction.
    others = 1.0 - torch.eye(n, dtype=squares.dtype, device=squares.device)
    return (squares * others).sum() / max(1, n * (n - 1))


def classification(logits: Tensor, labels: Tensor) -> Tensor:
    """-E[log P(C = c | x)], the cross-entropy of classes. Source: Odena et al. 2017 (arXiv:1610.09585), equation 3.

    Args:
        logits: float (n, classes).
        labels: int64 (n,).
    """
    return F.cross_entropy(wide(logits), labels)


def recognised(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of samples whose largest logit is that of their class."""
    return (logits.detach().argmax(1) == labels).float().mean()


def historical(weights: Iterable[Tensor], means: Iterable[Tensor]) -> Tensor:
    """‖θ - (1/t) Σ_i θ[i]‖², the square distance of weights from the mean of those of all steps.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 3.3, which names no weight for it.
    """
    squares = [(weight - mean).square().sum() for weight, mean in zip(weights, means, strict=True)]
    return torch.stack(squares).sum()


def margin_ranking(better: Tensor, worse: Tensor, margin: float = 0.5) -> Tensor:
    """E[max(0, m - (R(worse) - R(better)))]: scores R are to rise by the margin m from the better to the worse.

    Source: Zhang et al. 2019 (arXiv:1908.06382), equation 2; its code clamps scores to ±5 first, beyond which nothing
    is learned any more.

    Args:
        better: scores float (n,) of the better images.
        worse: of the worse ones, a row each.
        margin: m.
    """
    return F.relu(margin - (wide(worse) - wide(better))).mean()


def ranked(scores: Tensor) -> Tensor:
    """E[sigmoid(R(G(x)))], what a ranker's scores say of generated images: the smaller, the better.

    Source: Zhang et al. 2019 (arXiv:1908.06382), equation 4; a mean, where its code has a sum over the batch.
    """
    return torch.sigmoid(wide(scores)).mean()
