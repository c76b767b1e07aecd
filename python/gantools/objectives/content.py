"""Losses of images against images, without a discriminator: of pixels, of features, of smoothness.

Images are float (n, c, h, w) in [-1, 1]; every loss is a mean over rows, computed in float32, a scalar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

#: Unsharp masking: side and deviation of its Gaussian (OpenCV's for that side), weight, threshold in levels of 255.
SHARPEN_SIDE, SHARPEN_DEVIATION, SHARPEN_WEIGHT, SHARPEN_LEVELS = 51, 8.0, 0.5, 10.0
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


def sharpened(x: Tensor) -> Tensor:
    """Unsharp masking of images, float (n, c, h, w) in [-1, 1], where it changes more than 10 levels of 255.

    With B the image blurred by a Gaussian of side 51 and deviation 8, R = I - B, M the mask |R| > 10 levels blurred
    likewise, and S = I + R / 2 within the range: M S + (1 - M) I. Borders are reflected. Source: Wang et al. 2021
    (arXiv:2107.10833), section 3.4, and its code (`USMSharp`: radius 50, which becomes 51, sigma 0, weight 0.5).

    Returns:
        float32, x's shape.
    """
    # In float32 also under autocast: the threshold is ten levels.
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        residual = x - _blurred(x)
        mask = _blurred((residual.abs() > SHARPEN_LEVELS / 127.5).float())
        sharp = (x + SHARPEN_WEIGHT * residual).clamp(-1, 1)
        return mask * sharp + (1 - mask) * x


def _blurred(x: Tensor) -> Tensor:
    """By the Gaussian of unsharp masking along both axes, borders reflected however small it is."""
    half = SHARPEN_SIDE // 2
    weights = [math.exp(-0.5 * (i / SHARPEN_DEVIATION) ** 2) for i in range(-half, half + 1)]
    total = sum(weights)
    line = torch.tensor([w / total for w in weights], dtype=x.dtype, device=x.device)
    c, h, w = x.shape[1:]
    x = x.index_select(2, _reflected(h, half, x.device)).index_select(3, _reflected(w, half, x.device))
    x = F.conv2d(x, line.view(1, 1, -1, 1).expand(c, 1, -1, 1), groups=c)
    return F.conv2d(x, line.view(1, 1, 1, -1).expand(c, 1, 1, -1), groups=c)


def _reflected(n: int, half: int, device: torch.device) -> Tensor:
    """Indices of `n` pixels and `half` more on each side, mirrored, the outermost not repeated: int64 (n + 2 half,)."""
    at = torch.arange(-half, n + half, device=device)
    if n == 1:
        return torch.zeros_like(at)
    at = at.remainder(2 * (n - 1))
    return torch.minimum(at, 2 * (n - 1) - at)
