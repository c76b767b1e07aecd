"""Normalisations of feature maps, told the classes where a network knows some."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from gantools.layers.precision import wide

Norm = Literal["none", "batch", "layer", "group", "instance"]
"""none; of each channel over a batch; of each sample over all channels; over 16 or fewer; over each channel alone."""


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation with a scale and a shift a class: features float (n, c, h, w), labels int64 (n,).

    Scales begin at 1, shifts at 0. Source: Dumoulin et al. 2017 (arXiv:1610.07629), section 2.2; de Vries et al. 2017
    (arXiv:1707.00683).
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """`x` normalised, scaled and shifted as its classes have it."""
        scale, shift = self.scale[labels], self.shift[labels]
        return cast(Tensor, self.norm(x)) * scale[:, :, None, None] + shift[:, :, None, None]


class LoneBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that treats each image as a batch of one once training is over: float (n, c, h, w).

    In training it takes the statistics of the batch. In evaluation each image has its own, so that its result does not
    depend on its neighbours and is that of training with batches of one; with `running` those of the training, as
    usual. Source: Isola et al. 2017 (arXiv:1611.07004), section 3.4.
    """

    def __init__(self, channels: int, running: bool = False) -> None:
        super().__init__(channels, track_running_stats=running)

    def forward(self, x: Tensor) -> Tensor:
        """`x` normalised, scaled and shifted."""
        if self.training or self.track_running_stats:
            return super().forward(x)
        return nn.functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class VirtualBatchNorm2d(nn.Module):
    """Each sample by the statistics of a reference batch and of itself: features float (r + n, c, h, w), same shape.

    The first r rows are the reference batch's, normalised by its own mean and variance of each channel. Those of a
    further sample are the statistics of the r reference samples and this one together, each weighing 1 / (r + 1): no
    sample depends on another that is not in the reference. Gradients flow through the statistics. Nothing is counted,
    so that training and evaluation are alike.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 3.5.
    """

    def __init__(self, channels: int, reference: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.reference, self.eps = reference, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`x` normalised, scaled and shifted."""
        y, r = wide(x), self.reference
        mean = y[:r].mean((0, 2, 3), keepdim=True)
        variance = (y[:r] - mean).square().mean((0, 2, 3), keepdim=True)
        own_mean = y[r:].mean((2, 3), keepdim=True)
        own_variance = (y[r:] - own_mean).square().mean((2, 3), keepdim=True)
        share, apart = 1 / (r + 1), own_mean - mean
        # Mean and variance of two groups together: none is a small difference of large numbers.
        both_mean = mean + share * apart
        both_variance = (1 - share) * variance + share * own_variance + share * (1 - share) * apart.square()
        mean = torch.cat((mean.expand(r, -1, -1, -1), both_mean))
        variance = torch.cat((variance.expand(r, -1, -1, -1), both_variance))
        y = (y - mean) * (variance + self.eps).rsqrt()
        return (y * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class EmbeddedBatchNorm2d(nn.Module):
    """Batch normalisation told a vector: features float (n, c, h, w), vectors float (n, length).

    The scale is 1 + A e and the shift B e of a vector e, A and B without biases.
    Source: Brock et al. 2019 (arXiv:1809.11096), appendix B, and its reference code.
    """

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Linear(length, channels, bias=False)
        self.shift = nn.Linear(length, channels, bias=False)

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        """`x` normalised, scaled and shifted as its vectors have it."""
        scale: Tensor = 1 + self.scale(vectors)
        shift: Tensor = self.shift(vectors)
        return cast(Tensor, self.norm(x)) * scale[:, :, None, None] + shift[:, :, None, None]


def make_norm(kind: Norm, channels: int, classes: int = 0) -> nn.Module:
    """The normalisation `kind` of `channels` channels; of a class, where there are `classes` and it is that of a batch.

    `layer` has one mean and deviation a sample and a scale and a shift a channel, as the critic of Gulrajani et al.
    2017 (arXiv:1704.00028); it does not couple the samples of a batch, nor does `group`. `instance` has neither weights
    nor running statistics, so that an image is treated alike in training and after it.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return ConditionalBatchNorm2d(channels, classes) if classes else nn.BatchNorm2d(channels)
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=False, track_running_stats=False)
    return nn.GroupNorm(max(1, channels // 16), channels)


def normalised(norm: nn.Module, x: Tensor, told: Tensor | None) -> Tensor:
    """`norm` of `x`; it is told the classes, or the vectors, where its scale is one of them."""
    out: Tensor = norm(x, told) if isinstance(norm, ConditionalBatchNorm2d | EmbeddedBatchNorm2d) else norm(x)
    return out
