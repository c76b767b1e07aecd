"""Attention of a feature map to itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import ConfigError
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


class AttendedBlocks(nn.ModuleList):
    """A generator's blocks in a row, after one of which the maps may attend to themselves.

    Args:
        blocks: each called with the features and what it is told.
    """

    def forward(self, x: Tensor, told: Iterable[Tensor | None], attention: SelfAttention | None, side: int) -> Tensor:
        """Features after all blocks.

        Args:
            x: float (n, c, h, w), what the first block sees.
            told: of each block, what it is told besides.
            attention: of the maps behind a block whose side is `side`; None: there is none.
            side: of these maps.
        """
        for block, given in zip(self, told, strict=True):
            x = block(x, given)
            if attention is not None and x.shape[-1] == side:
                x = attention(x)
        return x


def attention_at(side: int, sides: Sequence[int], widths: Sequence[int]) -> SelfAttention | None:
    """The attention of the maps of this side, or None where that is 0.

    Args:
        side: one of `sides`, or 0.
        sides: of a network's maps.
        widths: channels of each.
    """
    return SelfAttention(widths[sides.index(side)]) if side else None


def check_attention(side: int, size: int, most: int) -> None:
    """Refuse a `network.attention` at which not both networks of a GAN for images of `size` pixels have maps.

    Args:
        side: of the maps that are to attend to themselves; 0: none.
        size: of the images.
        most: halvings of the resolution at which both networks have maps.

    Raises:
        ConfigError: there are no such maps in both.
    """
    sides = [size >> i for i in range(1, most + 1) if (size >> i) % 2 == 0]
    if side == 0 or side in sides:
        return
    known = ", ".join(map(str, sides)) or "none"
    raise ConfigError(
        f"network.attention: {side} is no side of maps in both networks; of images of {size} pixels there are {known}.",
        "Set network.attention=0 for none.",
    )
