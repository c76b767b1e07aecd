"""Halving and doubling images with a low-pass filter, and the convolutions that do it.

Source: Karras et al. 2019 (arXiv:1812.04948), section 3.1; the filter and its places as in StyleGAN2
(arXiv:1912.04958).
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.equalised import EqualisedConv2d, leaky


def filter2d(taps: tuple[float, ...]) -> Tensor:
    """The outer product of `taps` with themselves, with sum 1: float32 (k, k)."""
    line = torch.tensor(taps, dtype=torch.float64)
    line = line / line.sum()
    return torch.outer(line, line).float()


class Resample(nn.Module):
    """A symmetric low-pass filter of four taps, at each channel alone; zeros around the image.

    The filter is a constant, so it is in no checkpoint.
    """

    taps: Tensor

    def __init__(self, taps: tuple[float, float, float, float] = (1.0, 3.0, 3.0, 1.0)) -> None:
        super().__init__()
        self.register_buffer("taps", filter2d(taps), persistent=False)

    def _kernel(self, x: Tensor, gain: float) -> Tensor:
        kernel = (self.taps * gain).to(x.dtype)
        return kernel.expand(x.shape[1], 1, *kernel.shape)

    def blur(self, x: Tensor, padding: int, gain: float = 1.0) -> Tensor:
        """Filtered (n, c, h, w) -> (n, c, h + 2 padding - 3, w + 2 padding - 3)."""
        return F.conv2d(x, self._kernel(x, gain), padding=padding, groups=x.shape[1])

    def up(self, x: Tensor) -> Tensor:
        """Doubled (n, c, h, w) -> (n, c, 2h, 2w): zeros between pixels, filtered with gain 4."""
        return F.conv_transpose2d(x, self._kernel(x, 4.0), stride=2, padding=1, groups=x.shape[1])

    def down(self, x: Tensor) -> Tensor:
        """Halved (n, c, h, w) -> (n, c, h / 2, w / 2): filtered, then every second pixel."""
        return F.conv2d(x, self._kernel(x, 1.0), stride=2, padding=1, groups=x.shape[1])

    def conv_up(self, x: Tensor, weight: Tensor) -> Tensor:
        """Doubled convolution of (n, in, h, w) -> (n, out, 2h, 2w): transposed with stride 2, then filtered.

        Args:
            x: float (n, in, h, w).
            weight: float (out, in, 3, 3).
        """
        return self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1, 4.0)

    def conv_down(self, x: Tensor, weight: Tensor) -> Tensor:
        """Halved convolution of (n, in, h, w) -> (n, out, h / 2, w / 2): filtered, then with stride 2.

        Args:
            x: float (n, in, h, w), h and w even.
            weight: float (out, in, 3, 3).
        """
        return F.conv2d(self.blur(x, 2), weight, stride=2)


class Blur(nn.Module):
    """The binomial filter 1, 2, 1 at each channel alone, zeros around the image: (n, c, h, w) -> (n, c, h, w).

    Source: Karras et al. 2019 (arXiv:1812.04948), section 2, after every doubling and before every halving.
    """

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", filter2d((1.0, 2.0, 1.0)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filtered `x`."""
        return F.conv2d(x, self.taps.to(x.dtype).expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


class ResidualDown(nn.Module):
    """Block of StyleGAN2's residual discriminator: float (n, in, h, w) -> (n, out, h / 2, w / 2).

    Two 3 x 3 convolutions, the second one halving, beside a 1 x 1 one without bias; √½ on both, so that their sum has
    the variance of one. Source: Karras et al. 2020 (arXiv:1912.04958), section 4.1.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConv2d(inputs, inputs, 3)
        self.second = EqualisedConv2d(inputs, outputs, 3)
        self.shortcut = EqualisedConv2d(inputs, outputs, 1, bias=False, gain=math.sqrt(0.5))
        self.resample = Resample()

    def forward(self, x: Tensor) -> Tensor:
        """The block of `x`."""
        # A 1 x 1 convolution and the filter commute: the cheaper order is the filter first.
        y = self.shortcut(self.resample.down(x))
        x = leaky(self.first(x))
        x = self.resample.conv_down(x, self.second.weight * self.second.scale)
        bias = cast(Tensor, self.second.bias).to(x.dtype)[:, None, None]
        return cast(Tensor, y + leaky(x + bias, 1.0))
