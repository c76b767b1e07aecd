"""Losses of images against images, without a discriminator: of pixels, of features, of smoothness.

Images are float (n, c, h, w) in [-1, 1]; every loss is a mean over rows, computed in float32, a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

#: Weights of red, green and blue in luma. Source: ITU-R BT.601.
LUMA = (0.299, 0.587, 0.114)


def l1(x: Tensor, y: Tensor) -> Tensor:
    """E|x - y|, the mean absolute difference."""
    return (x.float() - y.float()).abs().mean()


def l2(x: Tensor, y: Tensor) -> Tensor:
    """E(x - y)², the mean squared difference."""
    return (x.float() - y.float()).square().mean()


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """E √((x - y)² + ε²), an L1 that is smooth at 0. Source: Lai et al. 2017 (arXiv:1704.03915), section 3.2."""
    return ((x.float() - y.float()).square() + eps * eps).sqrt().mean()


#: Differences of pixels or features, by the names they have in a recipe.
DIFFERENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": l1, "l2": l2, "charbonnier": charbonnier}


def total_variation(x: Tensor) -> Tensor:
    """E|x[i+1, j] - x[i, j]| + E|x[i, j+1] - x[i, j]|, anisotropic.

    Source: Rudin, Osher and Fatemi 1992; the anisotropic form of Johnson et al. 2016 (arXiv:1603.08155), as a mean.
    """
    x = x.float()
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()


def luma(x: Tensor) -> Tensor:
    """float32 (n, h, w): weighted red, green and blue where there are three channels, else the mean of all channels."""
    x = x.float()
    if x.shape[1] != 3:
        return x.mean(1)
    red, green, blue = x.unbind(1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def luma_correlation(x: Tensor, y: Tensor, eps: float = 1e-8) -> Tensor:
    """Mean over rows of Pearson's correlation between the lumas of two images, in [-1, 1]; 0 where one is flat.

    A translator between photographs that gives a negative one has inverted light and dark: an early mistake that the
    losses of a cycle do not show and that training does not undo.
    """
    a, b = luma(x).flatten(1), luma(y).flatten(1)
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return ((a * b).mean(1) / (a.square().mean(1) * b.square().mean(1) + eps).sqrt()).mean()


def perceptual(
    features: Callable[[Tensor], Mapping[str, Tensor]],
    weights: Mapping[str, float],
    x: Tensor,
    y: Tensor,
    difference: Callable[[Tensor, Tensor], Tensor] = l1,
) -> Tensor:
    """Σ w · d(φ(x), φ(y)) over layers of a frozen network φ; no gradient is taken with respect to `y`.

    Source: Johnson et al. 2016 (arXiv:1603.08155), equation 2; Ledig et al. 2017 (arXiv:1609.04802), equation 5.

    Args:
        features: images -> features by layer.
        weights: of the layers that count.
        x: generated images.
        y: what they should be.
        difference: of features.
    """
    with torch.no_grad():
        wanted = features(y.detach())
    found = features(x)
    terms = [weight * difference(found[layer], wanted[layer]) for layer, weight in weights.items()]
    return torch.stack(terms).sum()
