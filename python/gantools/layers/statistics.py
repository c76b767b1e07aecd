"""Statistics of batch normalisation, measured anew for weights or latents that they were not made with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Batches of fixed latents, and images in each, from which the statistics of batch normalisation are measured anew.
STATISTICS_BATCHES, STATISTICS_BATCH = 16, 64


def norms_with_statistics(network: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    """The batch normalisations of `network` that keep statistics, by their places."""
    return {
        place: m
        for place, m in network.named_modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats
    }


def has_statistics(network: nn.Module) -> bool:
    """Whether it has batch normalisation, which in evaluation uses statistics measured in training."""
    return bool(norms_with_statistics(network))


@torch.no_grad()
def measure_statistics(network: nn.Module, run: Callable[[int], object]) -> None:
    """Measure the statistics of batch normalisation in `network` anew, as the plain mean over some batches.

    The weights of an average never computed the statistics that it copied: measured with its own, samples are better by
    0.5 to 0.9 in the distance of a small DCGAN.

    Args:
        network: in evaluation mode, where it is left.
        run: (number of the batch) -> passes that batch through the network.
    """
    norms = list(norms_with_statistics(network).values())
    momenta = [m.momentum for m in norms]
    try:
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # a plain mean over batches
            m.train()
        for number in range(STATISTICS_BATCHES):
            run(number)
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
            m.eval()


@torch.no_grad()
def measured_statistics(network: nn.Module, run: Callable[[int], object]) -> dict[str, Tensor]:
    """What `measure_statistics` finds, by the names of the buffers in `network`, which is left as it was."""
    norms = norms_with_statistics(network)
    modes = {place: m.training for place, m in norms.items()}
    names = {place: dict(m.named_buffers(recurse=False)) for place, m in norms.items()}
    buffers = {f"{place}.{name}": b for place, found in names.items() for name, b in found.items()}
    before = {name: b.clone() for name, b in buffers.items()}
    try:
        measure_statistics(network, run)
        return {name: b.clone() for name, b in buffers.items()}
    finally:
        for name, b in buffers.items():
            b.copy_(before[name])
        for place, m in norms.items():
            m.train(modes[place])
