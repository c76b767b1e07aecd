"""What a training leaves behind and says at each tick."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gantools.grid import write_grid
from gantools.runs.checkpoint import checkpoint_name
from gantools.runs.stats import append_line
from gantools.sampling.generator import generate
from gantools.training import health
from gantools.training.job import Job
from gantools.training.screen import Screen
from gantools.training.state import TrainingState


class Reporter:
    """Writes what a training leaves behind at each tick: a line of stats, a grid of samples, a checkpoint."""

    def __init__(self, job: Job, run: Path, state: TrainingState, screen: Screen, real: Tensor) -> None:
        self.job, self.run, self.state, self.screen = job, run, state, screen
        self.real_diversity = health.diversity(real)
        self.warned: set[str] = set()
        self.base_seconds = state.seconds
        self.start = self.tick_start = time.perf_counter()
        self.tick_nimg = state.nimg

    def speed(self) -> float:
        """Images a second since the last tick."""
        return (self.state.nimg - self.tick_nimg) / max(1e-9, time.perf_counter() - self.tick_start)

    def tick(self, left_nimg: int) -> None:
        """End a tick."""
        state, count = self.state, len(self.job.data)
        means = state.meter.means()  # waits for the device, so the clock is read after it
        state.seconds = self._seconds()
        line: dict[str, Any] = {
            "nimg": state.nimg,
            "kimg": state.nimg / 1000,
            "epoch": round(state.nimg / count, 4),
            "seconds": round(state.seconds, 3),
            "img_per_s": round(self.speed(), 2),
            **means,
        }
        if "real_score" in means and "fake_score" in means:
            line["discriminator_score"] = (means["real_score"] + means["fake_score"]) / 2
        line["sample_diversity"] = self.grid() / self.real_diversity if self.real_diversity > 0 else 1.0
        append_line(self.run / "stats.jsonl", line)
        self.screen.tick(line, left_nimg / max(1e-9, line["img_per_s"]))
        self._warn("discriminator", health.discriminator_wins(means, self.job.recipe.loss))
        if state.nimg >= count:  # before, samples that look alike are no sign of anything
            self._warn("collapse", health.samples_collapsed(line["sample_diversity"]))
        state.meter.reset()
        self.checkpoint()
        self.tick_start, self.tick_nimg = time.perf_counter(), state.nimg

    def grid(self) -> float:
        """Write the grid of samples from the fixed latents; returns how much they differ."""
        recipe = self.job.recipe
        images = torch.cat(list(generate(self.state.sampler, recipe.seed, recipe.grid))).cpu()
        folder = self.run / "grids"
        folder.mkdir(exist_ok=True)
        write_grid(folder / f"{checkpoint_name(self.state.nimg)}.png", images.numpy())
        return health.diversity(images)

    def checkpoint(self) -> None:
        """Write a checkpoint."""
        self.state.seconds = self._seconds()
        self.state.save(self.run, self.job.config())

    def _seconds(self) -> float:
        return self.base_seconds + time.perf_counter() - self.start

    def _warn(self, kind: str, text: str | None) -> None:
        """Show a warning when its condition begins, not at every tick while it lasts."""
        if text is None:
            self.warned.discard(kind)
        elif kind not in self.warned:
            self.warned.add(kind)
            self.screen.warn(text)
