"""A moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from gantools.recipes.recipe import EmaConfig
from gantools.schedules import value_at


class Average:
    """Exponential moving average of `network`, held in `self.network` (evaluation mode, no gradients).

    The half-life counts in images, so it does not depend on the batch size, and is at most `ramp` times the images
    shown so far, so that the start is forgotten soon. Buffers are copied; those of batch normalisation belong to the
    weights as trained, not to their average, so `layers.statistics` makes them anew before it is used.
    Source: Karras et al. 2020 (arXiv:2006.06676), `training_loop.py` of stylegan2-ada-pytorch.
    """

    def __init__(self, network: nn.Module, config: EmaConfig) -> None:
        assert config.half_life_kimg is not None
        self.half_life_kimg, self.ramp = config.half_life_kimg, config.ramp
        self.start_nimg = config.start_kimg * 1000.0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    def beta(self, nimg: int, batch: int) -> float:
        """Share of the old average that is kept after a step of `batch` images that ends at `nimg` shown."""
        if nimg <= self.start_nimg:
            return 0.0
        half_life = min(value_at(self.half_life_kimg, nimg) * 1000.0, nimg * self.ramp)
        return float(0.5 ** (batch / max(half_life, 1e-8)))

    @torch.no_grad()
    def update(self, network: nn.Module, nimg: int, batch: int) -> None:
        """Take in the weights of `network` after a step of `batch` images that ends at `nimg` shown."""
        weight = 1.0 - self.beta(nimg, batch)
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), weight)
        ours: list[Tensor] = list(self.network.buffers())
        if ours:
            torch._foreach_copy_(ours, list(network.buffers()))
