"""Residual blocks with grouped convolutions and no normalisation, kept in bounds by how they are initialised.

Source: Huang et al. 2024 (arXiv:2501.05441), section 3.2, and its code (R3GAN/Networks.py).
"""

from __future__ import annotations

import math
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: What a LeakyReLU of slope 0.2 must be given to keep the mean square: √(2 / (1 + 0.2²)).
GAIN = math.sqrt(2 / 1.04)

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def fan_scaled(layer: Layer, gain: float = 1.0) -> Layer:
    """`layer` with weights N(0, gain² / fan in); fan in counts the inputs of one group."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    return layer


def convolution(inputs: int, outputs: int, kernel: int = 1, groups: int = 1, gain: float = 1.0) -> nn.Conv2d:
    """A convolution without bias that keeps the size of the image, initialised by `fan_scaled`."""
    return fan_scaled(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False), gain)


class BiasedLeaky(nn.Module):
    """LeakyReLU of slope 0.2 of x + b, b a number a channel that begins with 0: float (n, c, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The activation of `x`."""
        return F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], 0.2)


class GroupedBlock(nn.Module):
    """x + conv1x1(act(grouped conv3x3(act(conv1x1(x))))): float (n, channels, h, w), its size kept.

    The last convolution begins with 0, so that a new network is its skeleton; the gains of the others are smaller the
    more blocks the network has: √(2 / 1.04) · blocks^(-1/4), by Fixup's rule (Zhang et al. 2019, arXiv:1901.09321) for
    three layers.

    Args:
        channels: of x.
        expansion: times as many between the 1x1 convolutions.
        group: channels of a group.
        blocks: in the whole network.
    """

    def __init__(self, channels: int, expansion: int, group: int, blocks: int) -> None:
        super().__init__()
        inner, gain = channels * expansion, cast(float, GAIN * blocks**-0.25)
        self.widen = convolution(channels, inner, gain=gain)
        self.first = BiasedLeaky(inner)
        self.conv = convolution(inner, inner, 3, inner // group, gain)
        self.second = BiasedLeaky(inner)
        self.narrow = convolution(inner, channels, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """The block of `x`."""
        y = self.conv(self.first(self.widen(x)))
        return cast(Tensor, x + self.narrow(self.second(y)))
