"""A moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of `network`, held in `self.network` (evaluation mode, no gradients).

    The half-life counts in images, so it does not depend on the batch size, and is at most `ramp` times the images
    shown so far, so that the start is forgotten soon. Buffers (BatchNorm statistics) are copied.
    Source: Karras et al. 2020 (arXiv:2006.06676), `training_loop.py` of stylegan2-ada-pytorch.
    """

    def __init__(self, network: nn.Module, half_life_kimg: float, ramp: float = 0.05) -> None:
        self.half_life_kimg, self.ramp = half_life_kimg, ramp
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    def beta(self, nimg: int, batch: int) -> float:
        """Share of the old average that is kept after a step of `batch` images that ends at `nimg` shown."""
        half_life = min(self.half_life_kimg * 1000.0, nimg * self.ramp)
        return float(0.5 ** (batch / max(half_life, 1e-8)))

    @torch.no_grad()
    def update(self, network: nn.Module, nimg: int, batch: int) -> None:
        """Take in the weights of `network` after a step of `batch` images that ends at `nimg` shown."""
        weight = 1.0 - self.beta(nimg, batch)
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), weight)
        ours: list[Tensor] = list(self.network.buffers())
        if ours:
            torch._foreach_copy_(ours, list(network.buffers()))
