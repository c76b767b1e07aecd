"""Layers that grow from 4x4 pixels, one doubling at a time: what ProGAN has, and StyleGAN took over.

Source: Karras et al. 2018 (arXiv:1710.10196), section 2 and table 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.equalised import EqualisedConv2d, EqualisedLinear
from gantools.layers.minibatch import MinibatchDeviation
from gantools.layers.resample import Blur
from gantools.layers.residual import convolve_then_halve, double_then_convolve, doubled

#: Of the weights before a LeakyReLU.
GAIN = math.sqrt(2)


class DoublingConv2d(EqualisedConv2d):
    """Every pixel as 2x2, then the convolution: (n, c, h, w) -> (n, outputs, 2h, 2w)."""

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of doubled `x`."""
        return double_then_convolve(x, self.weight * self.scale, self.bias)


class HalvingConv2d(EqualisedConv2d):
    """The convolution, then the mean of every 2x2 pixels: (n, c, h, w) -> (n, outputs, h/2, w/2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Half the convolution of `x`."""
        return convolve_then_halve(x, self.weight * self.scale, self.bias)


def doubling_layers(widths: Sequence[int], bias: bool = True) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Of each doubling from `widths[i]` to `widths[i + 1]` channels: the convolution that doubles, and a 3x3 one."""
    ups = nn.ModuleList(DoublingConv2d(before, after, 3, bias=bias, gain=GAIN) for before, after in pairwise(widths))
    return ups, nn.ModuleList(EqualisedConv2d(after, after, 3, bias=bias, gain=GAIN) for after in widths[1:])


class GrowingDiscriminator(nn.Module):
    """Images float (n, channels, s, s) of a level, s = 4 · 2^level -> float (n,); the more, the more real.

    Args:
        channels: of the images.
        widths: channels of each level, from 4x4 on.
        group: rows of the minibatch deviation.
        blur: a binomial filter before each halving, as StyleGAN has it.
    """

    def __init__(self, channels: int, widths: list[int], group: int, blur: bool = False) -> None:
        super().__init__()
        self.from_rgb = nn.ModuleList(EqualisedConv2d(channels, width, 1, gain=GAIN) for width in widths)
        self.convs = nn.ModuleList(EqualisedConv2d(width, width, 3, gain=GAIN) for width in widths[1:])
        self.downs = nn.ModuleList(HalvingConv2d(before, after, 3, gain=GAIN) for after, before in pairwise(widths))
        self.blur = Blur() if blur else nn.Identity()
        self.deviation = MinibatchDeviation(group)
        self.last = EqualisedConv2d(widths[0] + 1, widths[0], 3, gain=GAIN)
        self.dense = EqualisedLinear(widths[0] * 16, widths[0], gain=GAIN)
        self.out = EqualisedLinear(widths[0], 1)

    def forward(self, x: Tensor, level: int, alpha: Tensor) -> Tensor:
        """Outputs for images of `level`, whose first halving is mixed in by `alpha` in [0, 1]."""
        y = slope(self.from_rgb[level](x))
        for i in reversed(range(level)):
            y = slope(self.downs[i](self.blur(slope(self.convs[i](y)))))
            if i == level - 1:
                y = torch.lerp(slope(self.from_rgb[i](F.avg_pool2d(x, 2))), y, alpha.to(y.dtype))
        y = slope(self.last(self.deviation(y)))
        out: Tensor = self.out(slope(self.dense(y.flatten(1))))
        return out.flatten()


def slope(x: Tensor) -> Tensor:
    """max(x, 0.2 x), without the gain, which is in the weights."""
    return F.leaky_relu(x, 0.2)


def shrunk(images: Tensor, level: int, alpha: Tensor) -> Tensor:
    """Images float (n, c, h, h) at a level, as blurred as the generator's: (n, c, s, s), s = 4 · 2^level.

    While a level fades in, an image is mixed with itself at half the resolution, by the same `alpha`: else the
    discriminator would tell real images by their sharpness.
    """
    images = F.adaptive_avg_pool2d(images, 4 << level)
    return torch.lerp(doubled(F.avg_pool2d(images, 2)), images, alpha.to(images.dtype)) if level else images


def enlarged(images: Tensor, size: int) -> Tensor:
    """Images (n, c, s, s) of a level at the last level's size, every pixel repeated: (n, c, size, size)."""
    times = size // images.shape[-1]
    return images.repeat_interleave(times, 2).repeat_interleave(times, 3)
