"""Attention of a feature map to itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.precision import wide


class SelfAttention(nn.Module):
    """x + γ o(softmax(θ(x)ᵀ φ(x)) g(x)): float (n, c, h, w) -> the same shape; h and w even.

    θ, φ, g and o are 1x1 convolutions without bias, c -> c/8, c/8, c/2 and back to c; φ and g are halved by their
    maximum over 2x2 pixels, so a pixel looks at h w / 4 places; γ begins at 0, so that the layer begins as nothing.

    Source: Zhang et al. 2019 (arXiv:1805.08318), section 3, with the channels and the pooling of its reference code,
    `non_local.py`, which BigGAN kept. The products are plain ones, because the fused attention of torch has no second
    derivative on every device, and penalties on gradients need one.

    Args:
        channels: c.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, narrow, 1, bias=False)
        self.key = nn.Conv2d(channels, narrow, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """`x` with what it attends to."""
        queries = self.query(x).flatten(2).transpose(1, 2)
        keys = F.max_pool2d(self.key(x), 2).flatten(2)
        values = F.max_pool2d(self.value(x), 2).flatten(2)
        shares = wide(queries @ keys).softmax(2).to(values.dtype)
        seen = (values @ shares.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
        added: Tensor = self.gain.to(x.dtype) * self.out(seen)
        return x + added


def check_side(name: str, side: int, size: int, most: int) -> str | None:
    """Why maps of this side cannot attend in both networks of a GAN for images of `size` pixels; None: they can.

    Args:
        name: of the setting.
        side: 0: no attention.
        size: of the images.
        most: halvings of the resolution at which both networks have maps.
    """
    sides = [size >> i for i in range(1, most + 1) if (size >> i) % 2 == 0]
    if side == 0 or side in sides:
        return None
    known = ", ".join(map(str, sides)) or "none"
    return f"{name}: {side} is no side of maps in both networks; of images of {size} pixels there are {known}."
