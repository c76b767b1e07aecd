"""Numbers of a training run: averaged on the device during a tick, one JSON line a tick in `stats.jsonl`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gantools.files import write_whole


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


def append_line(path: Path, values: dict[str, Any]) -> None:
    """Append one JSON object as a line; it is on disk when this returns."""
    with path.open("a", encoding="utf-8") as f:
        f.write(json.dumps(values) + "\n")
        f.flush()
        os.fsync(f.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a stats file; a last line that was cut off by a crash is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def cut_after(path: Path, nimg: int) -> None:
    """Remove the lines of ticks later than `nimg`: a training that resumes there will write them again."""
    kept = [line for line in read_lines(path) if line["nimg"] <= nimg]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
