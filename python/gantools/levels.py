"""Floating point images to levels 0..255: one rule for files, grids and scores."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

#: What floating point images mean: (0, 1) or (-1, 1).
Values: TypeAlias = tuple[float, float]


def to_uint8(images: Tensor, values: Values = (-1, 1)) -> Tensor:
    """Floating point images as levels: rounded to the nearest, halves upwards, and clamped to [0, 255].

    floor(127.5 x + 128) of values (-1, 1), the inverse of x / 127.5 - 1; floor(255 x + 0.5) of values (0, 1), the
    inverse of x / 255. Computed in float32.

    Args:
        images: floating point, of any shape and on any device; not changed.
        values: what black and white are in it, (-1, 1) or (0, 1).

    Returns:
        uint8 of the same shape, on the same device.
    """
    # A width of 2 (-1..1) has 127.5 levels for 1.
    scale, offset = (255.0, 0.5) if values[0] == 0 else (127.5, 128.0)
    return images.float().mul(scale).add_(offset).clamp_(0.0, 255.0).to(torch.uint8)
