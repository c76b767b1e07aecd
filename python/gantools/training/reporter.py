"""What a training leaves behind and says at each tick."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from gantools import _native
from gantools.files import write_whole
from gantools.grid import make_grid
from gantools.runs.events import EventFile
from gantools.runs.folders import RECORD
from gantools.runs.layout import checkpoint_name
from gantools.runs.stats import STATS, append_line, read_lines
from gantools.runs.trackers import Trackers
from gantools.training import health
from gantools.training.evaluate import Evaluator
from gantools.training.gallery import Gallery
from gantools.training.job import Job
from gantools.training.screen import Screen
from gantools.training.state import TrainingState

# Without a length of its own a tick is an epoch, but no shorter and no longer than this.
SHORTEST_S, LONGEST_S = 60.0, 600.0


def write_record(run: Path, job: Job, state: TrainingState) -> None:
    """Write the run's `config.yaml`."""
    text = yaml.safe_dump(state.record(job.record()), sort_keys=False, width=120)
    write_whole(run / RECORD, text.encode())


class Reporter:
    """Writes what a training leaves behind at each tick: a line of stats, a grid of samples, a checkpoint.

    Args:
        job: the training.
        run: its folder.
        state: what is trained.
        gallery: makes its images.
        screen: shows lines.
        real: real images uint8 (n, h, w, c) whose differences those of the samples are compared with.
        device_words: what it runs on and how, for the statistics.
    """

    def __init__(
        self,
        job: Job,
        run: Path,
        state: TrainingState,
        gallery: Gallery,
        screen: Screen,
        real: Tensor,
        words: dict[str, Any],
    ) -> None:
        self.job, self.run, self.state, self.gallery, self.screen = job, run, state, gallery, screen
        self.words = words
        self.real_diversity = health.diversity(real)
        self.monitor = health.Monitor(
            getattr(job.recipe.game, "loss", None),
            hasattr(job.recipe.game, "penalties"),
            health.duplicates(real, self.real_diversity),
        )
        self.evaluator = Evaluator(job, run, gallery)
        self.evaluator.ready()
        lines = read_lines(run / STATS)
        self.monitor.replay(lines)
        self.evaluator.replay(lines)
        self.events = EventFile(run)
        self.trackers = Trackers(job.recipe.track, run, state.record(job.record()), screen.warn)
        # What a training that goes on has changed is recorded with its first checkpoint: before it nothing has.
        self.recorded = job.run is None
        self.warned: set[str] = set()
        self.base_seconds, self.base_nimg = state.seconds, state.nimg
        self.start = self.tick_start = time.perf_counter()
        self.tick_nimg = state.nimg
        self._epoch_over = False

    def close(self) -> None:
        """Close its files."""
        self.events.close()
        self.trackers.close()

    def due(self, before: int) -> bool:
        """Whether the tick ends with this step, which began at `before` images shown."""
        count = len(self.job.data)
        tick = self.job.recipe.tick_nimg(count)
        over = self.state.nimg // tick > before // tick
        if self.job.recipe.tick_kimg is not None:
            return over
        seconds = time.perf_counter() - self.tick_start
        self._epoch_over = self._epoch_over or over
        shortest = SHORTEST_S if self.job.recipe.tick_epochs is None else 0.0
        return (self._epoch_over and seconds >= shortest) or seconds >= LONGEST_S

    def speed(self) -> float:
        """Images a second since the last tick."""
        return (self.state.nimg - self.tick_nimg) / max(1e-9, time.perf_counter() - self.tick_start)

    def tick(self, total: int, checkpoint: bool = True) -> str | None:
        """End a tick; why the training ends with it, or None.

        Raises:
            health.Unhealthy: something goes wrong and `health.action` says to stop.
        """
        state, recipe = self.state, self.job.recipe
        means = state.meter.means()  # waits for the device, so the clock is read after it
        state.seconds = self._seconds()
        line: dict[str, Any] = {
            "nimg": state.nimg,
            "kimg": state.nimg / 1000,
            "epoch": round(state.nimg / len(self.job.data), 4),
            "step": state.total_steps,
            "stage": state.stage_now.name,
            "seconds": round(state.seconds, 3),
            "img_per_s": round(self.speed(), 2),
            **state.rates(),
            **means,
        }
        if "real_score" in means and "fake_score" in means:
            line["discriminator_score"] = (means["real_score"] + means["fake_score"]) / 2
        self.gallery.settle()
        samples = self.grid()
        line["sample_diversity"] = health.diversity(samples) / self.real_diversity if self.real_diversity > 0 else 1.0
        line["sample_duplicates"] = health.duplicates(samples, self.real_diversity)
        line |= self.words | self._memory()
        if self.evaluator.due(state.nimg, state.nimg >= total):
            line |= self.evaluator.measure(state.nimg)
        append_line(self.run / STATS, line)
        numbers = {k: float(v) for k, v in line.items() if _is_number(v)}
        self.events.scalars(state.nimg, numbers)
        self.trackers.log(state.nimg, numbers)
        done = state.nimg - self.base_nimg
        left = (total - state.nimg) * (time.perf_counter() - self.start) / max(1, done)
        self.screen.tick(line, left, self.evaluator.config.metrics)
        signs = self.monitor.look(line)
        state.meter.reset()
        self._save()
        self.evaluator.mark(state.nimg)
        self.tick_start, self.tick_nimg, self._epoch_over = time.perf_counter(), state.nimg, False
        self._tell(signs, recipe.health.action)
        return self.evaluator.over

    def grid(self) -> Tensor:
        """Write the grid of samples from the fixed latents; returns the samples, uint8 (n, h, w, c)."""
        sheet, samples = self.gallery.sheet(self.job.recipe.grid)
        columns = None if len(sheet) == len(samples) else _columns(len(sheet), len(sheet) // len(samples))
        grid = make_grid(sheet, columns)
        folder = self.run / "grids"
        folder.mkdir(exist_ok=True)
        png = _native.encode_png(grid)
        file = folder / f"{checkpoint_name(self.state.nimg)}.png"
        write_whole(file, png)
        self.events.image(self.state.nimg, "grid", png, grid.shape[0], grid.shape[1])
        self.trackers.log(self.state.nimg, {}, file)
        return samples

    def checkpoint(self) -> None:
        """Write a checkpoint between two ticks."""
        self.gallery.settle()
        self.state.seconds = self._seconds()
        self._save()

    def _save(self) -> None:
        self.state.save(self.run, self.job.config())
        if not self.recorded:
            write_record(self.run, self.job, self.state)
            self.recorded = True

    def _seconds(self) -> float:
        return self.base_seconds + time.perf_counter() - self.start

    def _memory(self) -> dict[str, float]:
        if self.state.device.type != "cuda":
            return {}
        return {"peak_memory_mib": round(torch.cuda.max_memory_allocated(self.state.device) / 2**20, 1)}

    def _tell(self, signs: list[health.Sign], action: str) -> None:
        """Show a warning when its condition begins, and a frozen training at every tick; or stop."""
        for sign in signs:
            if action == "stop":
                raise health.Unhealthy(
                    sign.text, f"The run is kept: {self.run}. Go on all the same with health.action=warn."
                )
            if sign.kind not in self.warned or sign.kind == "frozen":
                self.screen.warn(sign.text)
        self.warned = {sign.kind for sign in signs}


def _columns(images: int, group: int) -> int:
    """Columns of a grid of groups of `group` images, about as wide as high."""
    return max(1, round(math.sqrt(images) / group)) * group


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
