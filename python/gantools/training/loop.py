"""The training loop: stages, steps, ticks. It names no system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gantools.data.feeds import Feed, open_feed
from gantools.errors import Interrupted
from gantools.training import health
from gantools.training.distributed import Processes
from gantools.training.gallery import Gallery
from gantools.training.job import Job
from gantools.training.precision import decide
from gantools.training.reporter import Reporter
from gantools.training.screen import Screen
from gantools.training.stages import Compute, Work, batch_of, enter
from gantools.training.state import TrainingState
from gantools.training.stop import StopSignal

# Steps between two looks at the losses within a tick: often enough to stop a diverged training soon, seldom enough that
# waiting for the device does not show.
CHECK_STEPS = 100
# Steps between two times that processes on CUDA ask each other whether to stop: each waits for the device.
AGREE_STEPS = 25
MIB = 1 << 20


def fit(job: Job, run: Path, state: TrainingState, screen: Screen, stop: StopSignal, processes: Processes) -> None:
    """Train from where `state` stands to the end of the job.

    Raises:
        health.Diverged: a loss or a weight is not finite any more.
        health.Unhealthy: something goes wrong, and the recipe says to stop.
        Interrupted: Ctrl-C, after the step was finished and a checkpoint written.
    """
    total = job.total_nimg
    feeds = open_feeds(job, processes)
    try:
        while state.ended():
            enter(state, feeds)
        gallery = Gallery(
            state, lambda position, n: batch_of(feeds[state.stage_now.feed], state.stage_now, position, n)
        )
        compute, words = decide(state, feeds, processes, screen.print)
        reporter = Reporter(job, run, state, gallery, screen, _real(job), words) if processes.first else None
        screen.print(_headline(job, run, processes))
        if feeds["train"].resident:
            screen.print(f"the data is in GPU memory ({len(job.data) * _bytes(job.data.shape) / MIB:.0f} MiB)")
        if state.nimg == 0 and reporter is not None:
            reporter.grid()
        try:
            _steps(state, total, feeds, compute, processes, reporter, screen, stop, run)
        finally:
            if reporter is not None:
                reporter.close()
    finally:
        for feed in feeds.values():
            feed.close()


def _steps(
    state: TrainingState,
    total: int,
    feeds: Mapping[str, Feed],
    compute: Compute,
    processes: Processes,
    reporter: Reporter | None,
    screen: Screen,
    stop: StopSignal,
    run: Path,
) -> None:
    work: Work | None = None
    while state.nimg < total:
        while state.ended():
            screen.print(f"stage {enter(state, feeds).name} begins at {state.nimg / 1000:g} kimg")
        if work is None or work.stage is not state.stage_now:
            work = Work(state, feeds, compute, processes, screen.print)
        before = state.nimg
        work.step()
        screen.update(state.nimg)

        last = state.nimg >= total
        tick, stopped = _agreed(state, processes, reporter is not None and reporter.due(before), stop.requested)
        tick = tick or last
        if tick or stopped or state.total_steps % CHECK_STEPS == 1:
            health.check_finite(state.meter.means(), {name: state.networks[name] for name in state.saved})
        if tick:
            over = processes.told(reporter.tick(total) if reporter is not None else None)
            if over is not None and not last:
                screen.print(over)
                return
        if stopped and not last:
            if reporter is not None and not tick:
                reporter.checkpoint()
            processes.wait()
            raise Interrupted(
                f"training stopped at {state.nimg / 1000:g} of {total / 1000:g} kimg; a checkpoint is written.",
                f"Go on with: gantools train --resume {run}",
            )
        if tick:
            state.meter.reset()


def _agreed(state: TrainingState, processes: Processes, tick: bool, stop: bool) -> tuple[bool, bool]:
    """Whether the tick ends and whether to stop, the same in all processes."""
    if processes.size == 1:
        return tick, stop
    if state.device.type == "cuda" and state.total_steps % AGREE_STEPS:
        return False, False
    tick, stop = processes.agree(tick, stop)
    return tick, stop


def open_feeds(job: Job, processes: Processes) -> dict[str, Feed]:
    """The feeds of a training by name."""
    recipe = job.recipe
    sizes = [stage.batch or recipe.batch for stage in recipe.stages()]
    for size in sizes:
        processes.rows(size)  # refuses what cannot be dealt out
    train = open_feed(
        recipe.data.feed,
        job.data,
        inputs=job.inputs,
        seed=recipe.seed,
        device=job.device,
        largest=max(sizes) // processes.size,
        channels_last=recipe.compute.channels_last,
        flip=recipe.data.flip,
        balance=recipe.data.balance,
        crop=recipe.data.crop,
        turn=recipe.data.turn,
        degrade=recipe.data.degrade,
        scale=recipe.image_shape[0] // getattr(recipe.network, "input_shape", recipe.image_shape)[0],
        frames=recipe.data.frames,
    )
    return {"train": train}


def _headline(job: Job, run: Path, processes: Processes) -> str:
    many = f", {processes.size} processes" if processes.size > 1 else ""
    images = f"{job.data.name} ({len(job.data)} images)"
    return f"{run}: {job.recipe.name} on {images}, {job.device}{many}, to {job.total_nimg / 1000:g} kimg"


def _real(job: Job) -> Tensor:
    """Some real images uint8 (n, h, w, c), as many as a grid has, to compare the samples' diversity with."""
    import numpy as np

    n = min(len(job.data), job.recipe.grid)
    return torch.from_numpy(job.data.gather(np.linspace(0, len(job.data) - 1, n).astype(np.int64)))


def _bytes(shape: tuple[int, int, int]) -> int:
    h, w, c = shape
    return h * w * c
