"""Styles: the network that maps latents to them, and layers that they normalise anew (AdaIN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.equalised import EqualisedLinear, leaky, pixel_norm
from gantools.layers.labels import required
from gantools.layers.precision import wide


class MappingNetwork(nn.Module):
    """Latents float (n, latent), or classes int64 (n,), or both -> float (n, style).

    Its learning rate is a hundredth of the others'. Source: Karras et al. 2019 (arXiv:1812.04948), section 2; classes
    as in StyleGAN2-ADA (arXiv:2006.06676).

    Attributes:
        mean: running mean of styles, towards which truncation draws them, float32 (style,).
    """

    mean: Tensor

    def __init__(self, latent: int, classes: int, style: int, layers: int) -> None:
        super().__init__()
        self.classes = classes
        self.embed = EqualisedLinear(classes, style) if classes else None
        widths = [latent + (style if classes else 0)] + [style] * layers
        self.layers = nn.ModuleList(EqualisedLinear(widths[i], style, rate=0.01) for i in range(layers))
        self.register_buffer("mean", torch.zeros(style))

    def forward(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        """Styles."""
        parts = [] if z is None else [pixel_norm(z)]
        if self.embed is not None:
            one_hot = F.one_hot(required(labels), self.classes).to(self.embed.weight.dtype)
            parts.append(pixel_norm(self.embed(one_hot)))
        x = torch.cat(parts, 1)
        for layer in self.layers:
            x = leaky(layer(x))
        return x


def adaptive_instance_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-8) -> Tensor:
    """(x - μ) / √(σ² + eps) · scale + shift, μ and σ of each channel of each sample: float (n, c, h, w).

    Source: Huang and Belongie 2017 (arXiv:1703.06868), equation 8; Karras et al. 2019 (arXiv:1812.04948), equation 1.

    Args:
        x: float (n, c, h, w).
        scale, shift: float (n, c).
        eps: as in StyleGAN's code.
    """
    y = wide(x)
    y = y - y.mean((2, 3), keepdim=True)
    y = y * (y.square().mean((2, 3), keepdim=True) + eps).rsqrt()
    return (y * wide(scale)[:, :, None, None] + wide(shift)[:, :, None, None]).to(x.dtype)


class StyledNorm(nn.Module):
    """What follows every convolution of StyleGAN: noise, bias, LeakyReLU of slope 0.2, AdaIN by the style.

    Float (n, channels, size, size), kept in shape.

    Attributes:
        size: side of its noise.
        noise: the noise of images that must not change from call to call, float32 (size, size).
    """

    noise: Tensor

    def __init__(self, channels: int, style: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.strength = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.affine = EqualisedLinear(style, 2 * channels)
        self.register_buffer("noise", torch.randn(size, size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """The layer.

        Args:
            x: float (n, channels, size, size).
            w: styles, float (n, style).
            noise: float (n, 1, size, size) or (size, size), the same for all channels; None for none.
        """
        if noise is not None:
            x = x + (noise * self.strength[:, None, None]).to(x.dtype)
        x = F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], 0.2)
        scale, shift = self.affine(w).chunk(2, 1)
        # A network begins with scales near 1.
        return adaptive_instance_norm(x, scale + 1, shift)
