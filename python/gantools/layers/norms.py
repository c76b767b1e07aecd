"""Normalisations that a recipe chooses by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

from gantools.errors import ConfigError

Norm = Literal["instance", "batch", "none"]


def make_norm(name: Norm, width: int) -> nn.Module:
    """The normalisation `name` of maps with `width` channels.

    Instance normalisation has neither weights nor running statistics, so that an image is treated alike in training
    and after it, whatever is beside it in a batch.
    """
    if name == "instance":
        return nn.InstanceNorm2d(width, affine=False, track_running_stats=False)
    if name == "batch":
        return nn.BatchNorm2d(width)
    if name == "none":
        return nn.Identity()
    raise ConfigError(f"norm: expected instance, batch or none, found {name!r}.")


def has_bias(name: Norm) -> bool:
    """Whether a convolution before the normalisation `name` gets a bias: batch normalisation has a shift of its own."""
    return name != "batch"
