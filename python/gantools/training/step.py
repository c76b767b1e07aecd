"""One phase of one step: freeze the others, loss, backward, optimizer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gantools.models.system import Networks, Phase
from gantools.training.state import TrainingState

PhaseLoss = Callable[[Networks, Tensor], tuple[Tensor, dict[str, Tensor]]]


def compiled(loss: PhaseLoss) -> PhaseLoss:
    """A phase's loss through `torch.compile`; the backward is compiled with it."""
    return torch.compile(loss)


def run_phase(state: TrainingState, phase: Phase, loss: PhaseLoss, real: Tensor) -> dict[str, Tensor]:
    """Update the networks of `phase` once.

    Args:
        state: its networks and optimizers are changed.
        phase: which networks to update; all others are frozen, which also saves computing their gradients.
        loss: `phase.loss`, or a compiled form of it.
        real: float32 (n, c, h, w) in [-1, 1].

    Returns:
        The phase's scalars to log, on the device.
    """
    for name, network in state.networks.items():
        network.requires_grad_(name in phase.updates)
    with torch.autocast(state.device.type, torch.bfloat16, enabled=state.recipe.precision == "bfloat16"):
        value, logged = loss(state.networks, real)
    value.backward()  # type: ignore[no-untyped-call]
    for name in phase.updates:
        state.optimizers[name].step()
        state.optimizers[name].zero_grad(set_to_none=True)
    return logged
