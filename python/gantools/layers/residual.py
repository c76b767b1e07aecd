"""Residual blocks that change the resolution, as the GANs from WGAN-GP to BigGAN have them.

A 3x3 convolution with a resampling beside it is computed as one 4x4 convolution of stride 2, whose weights are sums of
the 3x3 one's: the same function, with 16 products where there were 36. A 1x1 convolution and a resampling may change
places, so that a shortcut's convolution is always done at the lower resolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.norm import Norm, make_norm, normalised

Resample = Literal["up", "down"] | None


def widened(weight: Tensor) -> Tensor:
    """A kernel (o, i, k, k) as that of (o, i, k + 1, k + 1) which is the sum of its four shifts by 0 or 1 pixel."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]


def convolve_then_halve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 3x3 convolution with zeros around, and the mean of every 2x2 pixels: (n, i, h, w) -> (n, o, h/2, w/2)."""
    return F.conv2d(x, widened(weight) / 4, bias, stride=2, padding=1)


def double_then_convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Every pixel as 2x2, and a 3x3 convolution with zeros around: (n, i, h, w) -> (n, o, 2h, 2w)."""
    turned = widened(weight).flip(2, 3).transpose(0, 1)
    return F.conv_transpose2d(x, turned, bias, stride=2, padding=1)


def doubled(x: Tensor) -> Tensor:
    """Every pixel as 2x2: (n, c, h, w) -> (n, c, 2h, 2w)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Convolution(nn.Conv2d):
    """A convolution of kernel 1 or 3 with zeros around, initialised as the residual GANs do: Xavier-uniform, biases 0.

    Args:
        gain: of the initialisation: √2 within a residual block, 1 in shortcuts and elsewhere.
        resample: the resolution is doubled before, or halved after it.
    """

    def __init__(
        self, before: int, after: int, kernel: int = 3, gain: float = 1.0, bias: bool = True, resample: Resample = None
    ) -> None:
        super().__init__(before, after, kernel, padding=kernel // 2, bias=bias)
        self.resample: Resample = resample
        nn.init.xavier_uniform_(self.weight, gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of `x`."""
        if self.resample is None:
            return super().forward(x)
        if self.kernel_size == (1, 1):
            return doubled(super().forward(x)) if self.resample == "up" else super().forward(F.avg_pool2d(x, 2))
        resampled = double_then_convolve if self.resample == "up" else convolve_then_halve
        return resampled(x, self.weight, self.bias)


class ResidualBlock(nn.Module):
    """shortcut(x) + conv(act(norm(conv(act(norm(x)))))), with the resolution doubled, halved or kept.

    Features float (n, before, h, w) -> (n, after, H, W). The activation is ReLU, never in place: that would change what
    the shortcut sees. The shortcut is x itself where resolution and channels stay, else a 1x1 convolution.

    Source: Gulrajani et al. 2017 (arXiv:1704.00028), appendix F, and its reference code; He et al. 2016
    (arXiv:1603.05027) for the order within.

    Args:
        norm: which normalisation, or a function of the channels that makes one.
        classes: of a class-conditional batch normalisation; 0: it knows none.
        first: no normalisation and activation before the first convolution, for a block that sees the image itself.
        hidden: channels between the two convolutions; None: `after` where the resolution is doubled and in a first
            block, else `before`.
        bias: the first convolution has a bias before a normalisation, too, which takes it off again.
    """

    def __init__(
        self,
        before: int,
        after: int,
        resample: Resample = None,
        norm: Norm | Callable[[int], nn.Module] = "none",
        classes: int = 0,
        first: bool = False,
        hidden: int | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.first = first
        if hidden is None:
            hidden = after if resample == "up" or first else before
        gain, biased = math.sqrt(2), bias or norm == "none"
        up, down = ("up" if resample == "up" else None), ("down" if resample == "down" else None)

        def make(channels: int) -> nn.Module:
            return make_norm(norm, channels, classes) if isinstance(norm, str) else norm(channels)

        self.norm1 = nn.Identity() if first else make(before)
        self.conv1 = Convolution(before, hidden, gain=gain, bias=biased, resample=up)  # type: ignore[arg-type]
        self.norm2 = make(hidden)
        self.conv2 = Convolution(hidden, after, gain=gain, resample=down)  # type: ignore[arg-type]
        straight = resample is None and before == after
        self.shortcut = nn.Identity() if straight else Convolution(before, after, 1, resample=resample)

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """The block of `x`, whose classes, or what else its normalisations are told, are `told`."""
        h = x if self.first else F.relu(normalised(self.norm1, x, told))
        h = self.conv1(h)
        h = self.conv2(F.relu(normalised(self.norm2, h, told)))
        out: Tensor = self.shortcut(x) + h
        return out
