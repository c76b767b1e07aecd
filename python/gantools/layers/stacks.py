"""The two stacks of DCGAN: convolutions that halve an image to a small map, transposed ones that double it back.

Source: Radford et al. 2016 (arXiv:1511.06434), section 3; kernels of 4 without biases as in pytorch/examples dcgan.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn


def halving(channels: int, widths: list[int]) -> list[nn.Module]:
    """Images float (n, channels, s, s) -> features float (n, widths[-1], s / 2^k, s / 2^k), k the number of widths."""
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
    return layers


def doubling(
    latent: int, widths: list[int], channels: int, base: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d
) -> list[nn.Module]:
    """Latents float (n, latent, 1, 1) -> images float (n, channels, s, s) in [-1, 1], s = base · 2^k for k widths.

    Args:
        latent: channels of what it starts from.
        widths: channels of its maps, from the smallest map on.
        channels: of the images.
        base: side of the smallest map.
        norm: (channels) -> the normalisation after each convolution but the last.
    """
    # No biases: the normalisation's own shift replaces them, and the reference implementation has none at the output.
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], base, 1, 0, bias=False)]
    layers += [norm(widths[0]), nn.ReLU(inplace=True)]
    for before, after in pairwise(widths):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), norm(after), nn.ReLU(inplace=True)]
    return [*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False), nn.Tanh()]
