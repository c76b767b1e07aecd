"""An optimizer a network, its rate scheduled, corrected for regularisers that are computed seldom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from gantools.models.system import Stage
from gantools.recipes.recipe import OptimConfig
from gantools.schedules import value_at


def lazy_share(stages: Iterable[Stage], network: str) -> float:
    """c = 1 / (1 + Σ 1/k) over the lazy phases of `network`, one in k steps each: k / (k + 1) for a single one.

    Such a network takes 1/c as many steps as it would with the regulariser in its loss, so its rate is multiplied by c
    and its betas raised to it. Source: Karras et al. 2020 (arXiv:1912.04958), appendix B.
    """
    seldom = {
        (phase.name, phase.every)
        for stage in stages
        for phase in stage.phases
        if phase.lazy and network in phase.updates
    }
    return 1.0 / (1.0 + sum(1.0 / every for _, every in seldom))


class Optimizer:
    """The optimizer of one network.

    Attributes:
        inner: torch's.
        parameters: what it changes: those of the network that are not frozen.
    """

    def __init__(self, network: nn.Module, config: OptimConfig, share: float, device: torch.device) -> None:
        self.config, self.share, self.device = config, share, device
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.inner = self._make()

    def _make(self) -> torch.optim.Optimizer:
        o = self.config
        # Its tensors are few and small on a CPU and many kernels on a GPU: fused is the faster form on both.
        if o.kind == "adam":
            return torch.optim.Adam(self.parameters, self.rate(0), self.betas(0), o.eps, o.weight_decay, fused=True)
        if o.kind == "rmsprop":
            alpha = self.betas(0)[1]
            return torch.optim.RMSprop(self.parameters, self.rate(0), alpha, o.eps, o.weight_decay, o.momentum)
        return torch.optim.SGD(self.parameters, self.rate(0), o.momentum, weight_decay=o.weight_decay, fused=True)

    def renew(self) -> None:
        """Forget what it knows of the gradients so far."""
        self.inner = self._make()

    def rate(self, nimg: int) -> float:
        """The learning rate once `nimg` real images have been shown, without the correction for lazy phases."""
        return value_at(self.config.lr, nimg)

    def betas(self, nimg: int) -> tuple[float, float]:
        """Adam's two once `nimg` real images have been shown, corrected for lazy phases."""
        first, second = self.config.betas
        return first**self.share, value_at(second, nimg) ** self.share

    def step(self, gradients: Sequence[torch.Tensor | None], nimg: int) -> None:
        """Change the weights by `gradients`, one a parameter; a parameter without one stays as it is."""
        for group in self.inner.param_groups:
            group["lr"] = self.rate(nimg) * self.share
            if "betas" in group:
                group["betas"] = self.betas(nimg)
            elif "alpha" in group:
                group["alpha"] = self.betas(nimg)[1]
        # They are kept until the next step: freeing and allocating them costs page faults.
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            # Fused optimizers go by the order in memory: a gradient of another layout would change other weights.
            if gradient is not None and gradient.stride() != parameter.stride():
                gradient = torch.empty_like(parameter, dtype=gradient.dtype).copy_(gradient)
            parameter.grad = gradient
        self.inner.step()
