"""The random state of a phase, as a function of where the training stands: so nothing random is ever saved."""

from __future__ import annotations

import torch

MASK = (1 << 64) - 1


def mixed(*at: int) -> int:
    """64 bits of the whole numbers `at`, each of which changes about half of them (a multiply and shift a number)."""
    h = 0x811C9DC5
    for value in at:
        h = ((h ^ (value & MASK)) * 0x9E3779B97F4A7C15) & MASK
        h ^= h >> 32
    return h


def reseed(device: torch.device, *at: int) -> None:
    """Set torch's default generator of `device`, and the CPU's, as a function of `at`.

    The generator's own `manual_seed` takes 1 microsecond, `torch.manual_seed` a hundred. The CPU's takes 32 bits only.
    """
    seed = mixed(*at)
    torch.default_generator.manual_seed(seed & 0xFFFFFFFF)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
