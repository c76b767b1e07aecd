"""Means of what a training step gives, kept on the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Meter:
    """Means of scalars over a tick. Adding costs the device two small kernels and never makes it wait."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}  # by phase
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, phase: str, values: dict[str, Tensor]) -> None:
        """Add one step's scalar tensors; a phase always gives the same names."""
        row = torch.stack([v.float() for v in values.values()])
        if phase in self._sums:
            self._sums[phase] += row
            self._counts[phase] += 1
        else:
            self._names[phase], self._sums[phase], self._counts[phase] = list(values), row, 1

    def means(self) -> dict[str, float]:
        """The means since the last `reset`; waits for the device."""
        found: dict[str, float] = {}
        for phase, sums in self._sums.items():
            found.update(zip(self._names[phase], (sums / self._counts[phase]).tolist(), strict=True))
        return found

    def reset(self) -> None:
        """Start a new tick."""
        self._names, self._sums, self._counts = {}, {}, {}

    def state_dict(self) -> dict[str, Any]:
        """All there is, for a checkpoint in the middle of a tick."""
        return {"names": self._names, "sums": {k: v.cpu() for k, v in self._sums.items()}, "counts": self._counts}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """The inverse of `state_dict`."""
        self._names, self._counts = state["names"], state["counts"]
        self._sums = {k: v.to(device) for k, v in state["sums"].items()}
