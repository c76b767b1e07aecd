"""Layers with an equalised learning rate: weights are drawn from N(0, 1) and scaled when they are used.

So Adam, whose steps do not know how large a weight is, moves every layer by the same share of its weights.

Source: Karras et al. 2018 (arXiv:1710.10196), section 4.1; the rate of its own as in StyleGAN (arXiv:1812.04948).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.precision import wide


class EqualisedLinear(nn.Module):
    """x Wᵀ gain rate / √in + b rate: float (n, in) -> (n, out).

    Args:
        inputs, outputs: channels.
        bias: whether there is one.
        gain: of the weights: √2 keeps the variance before a ReLU (ProGAN); 1 where the activation has the gain.
        rate: what the learning rate is multiplied by, done by the scale of weights and biases.
        bias_init: the value all biases begin with.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        gain: float = 1.0,
        rate: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias_init / rate)) if bias else None
        self.scale, self.rate = gain * rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """The product with `x`."""
        bias = None if self.bias is None else self.bias * self.rate
        return F.linear(x, self.weight * self.scale, bias)


class EqualisedConv2d(nn.Module):
    """Convolution with stride 1 and weights W gain / √(in k²): float (n, in, h, w) -> (n, out, h', w').

    Args:
        inputs, outputs: channels.
        kernel: its side k.
        padding: zeros around the image; None: as many as keep its size, for an odd kernel.
        bias: whether there is one; it begins with 0.
        gain: of the weights, as in `EqualisedLinear`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        padding: int | None = None,
        bias: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = gain / math.sqrt(inputs * kernel**2)
        self.padding = kernel // 2 if padding is None else padding

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of `x`."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


def pixel_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """x / √(mean of x² over channels + eps) at each pixel: float (n, c, ...), computed in float32 or more.

    Source: Karras et al. 2018 (arXiv:1710.10196), section 4.2.
    """
    scale = (wide(x).square().mean(1, keepdim=True) + eps).rsqrt()
    return x * scale.to(x.dtype)


class PixelNorm(nn.Module):
    """`pixel_norm` as a module; of latents float (n, c), it puts them on a sphere of radius √c."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `x`."""
        return pixel_norm(x)


def leaky(x: Tensor, gain: float = math.sqrt(2.0)) -> Tensor:
    """gain max(x, 0.2 x): LeakyReLU with the gain that StyleGAN2's layers have; never in place."""
    return F.leaky_relu(x, 0.2) * gain
