"""Convolutions whose weights a style scales, sample by sample.

Source: Karras et al. 2020 (arXiv:1912.04958), section 2.2 and appendix B.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.equalised import EqualisedLinear, leaky
from gantools.layers.precision import wide
from gantools.layers.resample import Resample


def demodulation(weight: Tensor, styles: Tensor, eps: float = 1e-8) -> Tensor:
    """d = 1 / √(Σ over in, k, k of (weight · style)² + eps), at least float32 (n, out): equation 3.

    Args:
        weight: float (out, in, k, k).
        styles: float (n, in).
        eps: what keeps it finite.
    """
    # The squares of weights summed over the kernel first: no copy of the weights for each sample.
    with torch.autocast(weight.device.type, enabled=False):
        total = F.linear(wide(styles).square(), wide(weight).square().sum((2, 3)))
        return (total + eps).rsqrt()


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    demodulate: bool = True,
    resample: Resample | None = None,
    fused: bool = False,
) -> Tensor:
    """Convolution of each sample with weights scaled by its style, with unit variance where demodulated.

    Both forms compute the same: `fused` scales the weights, one convolution in n groups; the other scales what goes in
    and what comes out, `conv(x · s, weight) · d`, which is the faster one in training.

    Args:
        x: float (n, in, h, w).
        weight: float (out, in, k, k), k odd.
        styles: float (n, in).
        demodulate: whether outputs are scaled by `demodulation`.
        resample: the filter with which the image is doubled, k 3; None: it keeps its size.
        fused: which of both forms.

    Returns:
        float (n, out, h, w), or (n, out, 2h, 2w).
    """
    n, inputs, h, w = x.shape
    outputs, _, k, _ = weight.shape
    if not fused:
        x = x * styles.to(x.dtype)[:, :, None, None]
        x = F.conv2d(x, weight, padding=k // 2) if resample is None else resample.conv_up(x, weight)
        return x * demodulation(weight, styles).to(x.dtype)[:, :, None, None] if demodulate else x
    weights = weight * styles[:, None, :, None, None]
    if demodulate:
        weights = weights * demodulation(weight, styles)[:, :, None, None, None]
    x = x.reshape(1, n * inputs, h, w)
    if resample is None:
        x = F.conv2d(x, weights.reshape(n * outputs, inputs, k, k), padding=k // 2, groups=n)
        return x.reshape(n, outputs, h, w)
    weights = weights.transpose(1, 2).reshape(n * inputs, outputs, k, k)
    x = F.conv_transpose2d(x, weights, stride=2, groups=n)
    return resample.blur(x.reshape(n, outputs, *x.shape[2:]), 1, 4.0)


class StyledConv(nn.Module):
    """A layer of StyleGAN2's synthesis: style, convolution, noise, bias, LeakyReLU with gain √2.

    Attributes:
        size: side of its output, which is that of its noise.
        noise: the noise of images that must not change from call to call, float32 (size, size).

    Args:
        inputs, outputs: channels.
        style: length of w.
        size: side of the output.
        up: whether the output has twice the side of the input.
        kernel: side of the kernel.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, style: int, size: int, up: bool = False, kernel: int = 3) -> None:
        super().__init__()
        self.size = size
        # Styles begin near 1: weights as they are.
        self.affine = EqualisedLinear(style, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros(()))
        self.resample = Resample() if up else None
        self.register_buffer("noise", torch.randn(size, size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, fused: bool = False) -> Tensor:
        """The layer.

        Args:
            x: float (n, inputs, h, w).
            w: styles, float (n, style).
            noise: float (n, 1, size, size) or (size, size), or None for none.
            fused: which form of the convolution.
        """
        x = modulated_conv(x, self.weight, self.affine(w), resample=self.resample, fused=fused)
        if noise is not None:
            x = x + (noise * self.strength).to(x.dtype)
        return leaky(x + self.bias.to(x.dtype)[:, None, None])


class ToImage(nn.Module):
    """Features to an image: a 1 x 1 modulated convolution without demodulation, in float32 or more.

    Args:
        inputs: channels of the features.
        outputs: channels of the image.
        style: length of w.
    """

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor, fused: bool = False) -> Tensor:
        """float (n, outputs, h, w) of features `x` (n, inputs, h, w) and styles `w` (n, style)."""
        y = modulated_conv(x, self.weight, self.affine(w) * self.scale, demodulate=False, fused=fused)
        return wide(y) + self.bias[:, None, None]
