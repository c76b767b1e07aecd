"""Layers that compute what Keras computes, where torch's default differs.

`padding='same'` in Keras gives `ceil(in / stride)` for a convolution and `in * stride` for a transposed one, and puts
the odd pixel of padding after the image. torch's symmetric `padding=` shifts the result by one pixel for kernel 5,
stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

# Keras: BatchNormalization(momentum=0.99, epsilon=1e-3); torch counts momentum from the other end.
BatchNorm1d = partial(nn.BatchNorm1d, eps=1e-3, momentum=0.01)
BatchNorm2d = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of `size`, as Keras pads for `padding='same'`."""
    out = -(-size // stride)
    total = max(0, (out - 1) * stride + kernel - size)
    return total // 2, total - total // 2


class Conv2dSame(nn.Conv2d):
    """Keras `Conv2D(out_channels, kernel, strides=stride, padding='same')`: (n, c, h, w) -> (n, out, ⌈h/s⌉, ⌈w/s⌉)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of `x`."""
        top, bottom = same_padding(x.shape[-2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(x.shape[-1], self.kernel_size[1], self.stride[1])
        if (top, left) == (bottom, right):
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left))
        return F.conv2d(F.pad(x, (left, right, top, bottom)), self.weight, self.bias, self.stride)


class ConvTranspose2dSame(nn.ConvTranspose2d):
    """Keras `Conv2DTranspose(out_channels, kernel, strides=stride, padding='same')`: (n, c, h, w) -> (n, out, hs, ws).

    It is the gradient of `Conv2dSame` with respect to its input. Needs `kernel >= stride`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        if kernel < stride:
            raise ValueError(f"kernel {kernel} is smaller than stride {stride}")
        super().__init__(in_channels, out_channels, kernel, stride, padding=(kernel - stride) // 2, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The transposed convolution of `x`; `output_size` is not supported, 'same' decides it."""
        if output_size is not None:
            raise ValueError("the output size follows from padding='same'")
        h, w = x.shape[-2] * self.stride[0], x.shape[-1] * self.stride[1]
        # torch crops the same number of rows on both sides; what 'same' crops beyond that is at the end.
        return super().forward(x)[..., :h, :w]


def up(
    before: int,
    after: int,
    kernel: int,
    stride: int,
    activation: nn.Module,
    norm: Literal["none", "before", "after"] = "none",
    bias: bool = True,
) -> list[nn.Module]:
    """A step of a generator: `Conv2DTranspose`, and an activation with batch normalisation before or after it."""
    layers: list[nn.Module] = [ConvTranspose2dSame(before, after, kernel, stride, bias)]
    layers += [BatchNorm2d(after)] if norm == "before" else []
    layers += [activation]
    return [*layers, BatchNorm2d(after)] if norm == "after" else layers


def down(
    before: int, after: int, kernel: int, slope: float, dropout: float | None = None, norm: bool = False
) -> list[nn.Module]:
    """A step of a discriminator: `Conv2D` of stride 2, batch normalisation, `LeakyReLU`, `Dropout`."""
    layers: list[nn.Module] = [Conv2dSame(before, after, kernel, 2)]
    layers += [BatchNorm2d(after)] if norm else []
    layers += [nn.LeakyReLU(slope)]
    return layers if dropout is None else [*layers, nn.Dropout(dropout)]


class Generator(nn.Module):
    """Latents float (n, latent) -> images float (n, c, h, w): dense, made a map, then layers in a row.

    Args:
        latent: numbers of a latent.
        dense: latents -> (n, the product of `shape`).
        shape: (c, h, w) of the first map.
        layers: from there to the images.
    """

    def __init__(self, latent: int, dense: nn.Module, shape: tuple[int, int, int], layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.latent, self.shape = latent, shape
        self.dense = dense
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Images of latents `z`."""
        return cast(Tensor, self.layers(self.dense(z).view(-1, *self.shape)))


class Discriminator(nn.Module):
    """Images float (n, c, h, w) -> float (n,): layers in a row, the last of one number an image."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for images `x`."""
        return self.examine(x)[0]

    def examine(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Outputs (n,), and the features before the last layer (n, f)."""
        features = self.layers[:-1](x)
        return cast(Tensor, self.layers[-1](features)).flatten(), features
