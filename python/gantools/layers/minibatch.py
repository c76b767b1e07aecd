"""Statistics of a batch as features: how a discriminator sees that samples are alike."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.precision import wide


def minibatch_deviation(
    x: Tensor, group: int = 4, features: int = 1, rows: Literal["consecutive", "strided"] = "consecutive"
) -> Tensor:
    """How much the samples of a group differ: mean over c, h, w of √(variance over the group + 1e-8).

    `consecutive` groups are cut from the batch in order, so that micro-batches and processes whose rows are whole
    groups see those of the whole batch; `strided` ones, as published, take every (n / group)-th row. Rows that are
    independent draws have the same distribution in both.

    Args:
        x: float (n, c, h, w).
        group: rows a group; a batch of fewer is one group.
        features: parts of the channels with a statistic each.
        rows: which rows make a group.

    Returns:
        float (n, features, h, w), at least float32: each row has its group's value at every pixel.

    Raises:
        ConfigError: n is above `group` and no multiple of it.

    Source: Karras et al. 2018 (arXiv:1710.10196), section 3; in groups as in its reference code.
    """
    n, c, h, w = x.shape
    group = min(group, n)
    if n % group:
        raise ConfigError(
            f"batch: {n} images in a step or a part of one are no groups of {group} (minibatch deviation).",
            f"Choose a batch whose parts are multiples of {group}, as {n - n % group} or {n - n % group + group}.",
        )
    shape, axis = ((group, n // group), 0) if rows == "strided" else ((n // group, group), 1)
    # Squares of half-precision features overflow.
    y = wide(x).reshape(*shape, features, c // features, h, w)
    y = (y - y.mean(axis, keepdim=True)).square().mean(axis)
    y = (y + 1e-8).sqrt().mean((2, 3, 4))[:, :, None, None]
    y = y.repeat(group, 1, 1, 1) if rows == "strided" else y.repeat_interleave(group, 0)
    return y.expand(n, features, h, w)


class MinibatchDeviation(nn.Module):
    """Appends `minibatch_deviation` to the channels: float (n, c, h, w) -> (n, c + features, h, w)."""

    def __init__(
        self, group: int = 4, features: int = 1, rows: Literal["consecutive", "strided"] = "consecutive"
    ) -> None:
        super().__init__()
        self.group, self.features, self.rows = group, features, rows

    def forward(self, x: Tensor) -> Tensor:
        """`x` with the statistic."""
        y = minibatch_deviation(x, self.group, self.features, self.rows)
        return torch.cat([x, y.to(x.dtype)], 1)


def minibatch_kernels(m: Tensor) -> Tensor:
    """How near each sample is to the others, by each kernel: o(i)_b = Σ_{j ≠ i} exp(-‖M_ib - M_jb‖₁).

    Args:
        m: float (n, kernels, dimensions).

    Returns:
        float (n, kernels), in [0, n - 1].

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 3.2; without the sample itself, as in its reference code.
    """
    # No `cdist`, which has no second derivative in every version of torch.
    m = wide(m)
    apart = (m[:, None] - m[None]).abs().sum(3)
    # A sample is at distance 0 from itself.
    return (-apart).exp().sum(1) - 1.0


class MinibatchDiscrimination(nn.Module):
    """`minibatch_kernels` of a learnt projection of features, and a bias: float (n, features) -> (n, kernels).

    M = x · T, and each column of T has a learnt length that begins at 1; biases begin at -1. Its reference code sets
    lengths and biases by the first batch, which is not done here.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 3.2; openai/improved-gan nn.py.
    """

    couples = True
    """A sample's output depends on the others of the batch."""

    def __init__(self, features: int, kernels: int = 100, dimensions: int = 5) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.05 * torch.randn(features, kernels, dimensions))
        self.log_length = nn.Parameter(torch.zeros(kernels, dimensions))
        self.bias = nn.Parameter(torch.full((kernels,), -1.0))

    def forward(self, x: Tensor) -> Tensor:
        """The kernels of features `x`."""
        columns = self.weight * (self.log_length.exp() / self.weight.norm(dim=0))
        m = x @ columns.flatten(1)
        return minibatch_kernels(m.unflatten(1, columns.shape[1:])) + self.bias
