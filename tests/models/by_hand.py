"""Steps of a system's phases without a training loop: what it promises the loop is tested on its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from gantools.models.system import Batch, Out, Phase, Seen


def gradients(
    networks: Mapping[str, nn.Module], phase: Phase, batch: Batch, seed: int = 0
) -> tuple[Out, dict[str, list[torch.Tensor]]]:
    """What the phase's loss gives, and its gradients for each network that it updates."""
    torch.manual_seed(seed)
    out = phase.loss(networks, batch, {})
    names = [(name, p) for name in phase.updates for p in networks[name].parameters()]
    found = torch.autograd.grad(out.value, [p for _, p in names], allow_unused=True)
    by_name: dict[str, list[torch.Tensor]] = {name: [] for name in phase.updates}
    for (name, p), g in zip(names, found, strict=True):
        by_name[name].append(torch.zeros_like(p) if g is None else g)
    return out, by_name


def step(
    networks: Mapping[str, nn.Module],
    phase: Phase,
    batch: Batch,
    optimizers: Mapping[str, torch.optim.Optimizer],
    seed: int = 0,
) -> Out:
    """One update: loss, gradients, optimizers, `after`."""
    out, found = gradients(networks, phase, batch, seed)
    for name in phase.updates:
        for p, g in zip(networks[name].parameters(), found[name], strict=True):
            p.grad = g
        optimizers[name].step()
    if phase.after is not None:
        torch.manual_seed(seed + 1)
        with torch.no_grad():
            phase.after(networks, Seen(len(batch), out.means, out.rows))
    return out


def adams(networks: Mapping[str, nn.Module], lr: float, betas: tuple[float, float]) -> dict[str, torch.optim.Optimizer]:
    """An Adam for each network with weights."""
    return {
        name: torch.optim.Adam(network.parameters(), lr, betas)
        for name, network in networks.items()
        if any(p.requires_grad for p in network.parameters())
    }


def count(network: nn.Module) -> int:
    """Weights of a network, buffers not counted."""
    return sum(p.numel() for p in network.parameters())
