"""DiffAugment: colour, translation and cutout, always applied.

Source: Zhao et al. 2020 (arXiv:2006.10738), section 3.2; the policy `color,translation,cutout` of its reference code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gantools.layers.precision import wide

#: Random numbers that `diffaugment` takes for an image.
UNIFORMS = 7


def diffaugment(x: Tensor, uniform: Tensor) -> Tensor:
    """Images with other colours, moved by up to an eighth with black behind, and a square of half their side cut out.

    Args:
        x: float (n, c, h, w) in [-1, 1].
        uniform: numbers in [0, 1), float (n, UNIFORMS).

    Returns:
        float (n, c, h, w), at least float32; twice differentiable with respect to `x`.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = wide(x)
        brightness, saturation, contrast = uniform[:, :3, None, None, None].unbind(1)
        x = x + (brightness - 0.5)
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * (2 * saturation)
        middle = x.mean((1, 2, 3), keepdim=True)
        x = middle + (x - middle) * (contrast + 0.5)
        return cut(shifted(x, uniform[:, 3:5]), uniform[:, 5:7])


def shifted(x: Tensor, uniform: Tensor) -> Tensor:
    """`x` moved by whole pixels, up to an eighth of its side either way, zeros behind it."""
    n, c, h, w = x.shape
    reach_y, reach_x = (int(size / 8 + 0.5) for size in (h, w))
    # A border of zeros of one pixel, on which all that comes from outside lands.
    padded = F.pad(x, (1, 1, 1, 1)).flatten(2)
    rows, columns = (torch.arange(size, device=x.device) for size in (h, w))
    by_y, by_x = (
        (u * (2 * reach + 1)).floor().long() - reach
        for u, reach in zip(uniform.unbind(1), (reach_y, reach_x), strict=True)
    )
    row = (rows + by_y[:, None] + 1).clamp(0, h + 1)
    column = (columns + by_x[:, None] + 1).clamp(0, w + 1)
    at = (row[:, :, None] * (w + 2) + column[:, None, :]).flatten(1)[:, None].expand(n, c, h * w)
    return padded.gather(2, at).reshape(n, c, h, w)


def cut(x: Tensor, uniform: Tensor) -> Tensor:
    """`x` with zeros in a rectangle of half its sides, whose centre is anywhere in it."""
    masks = []
    for size, u in zip(x.shape[2:], uniform.unbind(1), strict=True):
        side = int(size / 2 + 0.5)
        first = (u * (size + 1 - side % 2)).floor() - side // 2
        at = torch.arange(size, device=x.device) - first[:, None]
        masks.append((at >= 0) & (at < side))
    hole = masks[0][:, None, :, None] & masks[1][:, None, None, :]
    return torch.where(hole, torch.zeros_like(x), x)
