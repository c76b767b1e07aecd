"""The training loop, from beginning to end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from gantools.data.batches import Batches
from gantools.errors import GantoolsError, Interrupted
from gantools.files import write_whole
from gantools.models import SYSTEMS
from gantools.recipes.recipe import Recipe
from gantools.runs.checkpoint import list_checkpoints
from gantools.runs.folders import create_run
from gantools.runs.stats import cut_after
from gantools.training import health
from gantools.training.job import Job, resolve
from gantools.training.plan import measure
from gantools.training.reporter import Reporter
from gantools.training.screen import Screen
from gantools.training.state import TrainingState
from gantools.training.step import compiled, run_phase
from gantools.training.stop import StopSignal

# Steps between two looks at the losses within a tick: often enough to stop a diverged training soon, seldom enough that
# waiting for the device does not show.
CHECK_STEPS = 100


def train(
    recipe: str | Path | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    kimg: float | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    seed: int | None = None,
    tick_kimg: float | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    resume: str | Path | bool | None = None,
    device: str | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> Path | None:
    """Train a GAN by a recipe on a prepared set.

    Args:
        recipe: a name (`dcgan`, ...) or the path of a YAML file; not needed with `resume`.
        data: the prepared set; None: the only one under ./data that fits the recipe.
        out: the folder of runs; None: `./runs`.
        kimg: length of the training in thousands of real images shown.
        epochs: length of the training in passes over the data.
        batch: images a step.
        seed: of initialisation, order and latents.
        tick_kimg: thousands of images between two stats lines, grids and checkpoints; by default one epoch.
        overrides: further changes to the recipe: {"optim.lr": 0.001} or ["optim.lr=0.001"].
        resume: a run to go on with, or True: the newest. On the same machine the result is that of a training that was
            never stopped, on the CPU to the bit.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        dry_run: print what would be done, with sizes and expected time, and write nothing.
        progress: show a line a tick and a progress bar on stderr.

    Returns:
        The run's folder; None for a dry run.

    Raises:
        ConfigError, DataError, CheckpointError: what was asked for is wrong or not there.
        GantoolsError: the training diverged, or memory ran out.
        Interrupted: stopped by Ctrl-C after writing a checkpoint.
    """
    changes = {"kimg": kimg, "epochs": epochs, "batch": batch, "seed": seed, "tick_kimg": tick_kimg}
    job = resolve(recipe, data=data, out=out, changes=changes, overrides=overrides, resume=resume, device=device)
    with _torch_settings(job), _out_of_memory(job.recipe):
        if dry_run:
            print(measure(job).text())
            return None
        state = TrainingState(job.recipe, job.device)
        if job.checkpoint is None:
            run = create_run(job.out, job.title)
        else:
            run = job.checkpoint.parent.parent
            state.load(job.checkpoint)
            cut_after(run / "stats.jsonl", state.nimg)
        screen = Screen(job.total_nimg, start=state.nimg, quiet=not progress)
        if state.nimg >= job.total_nimg:
            screen.print(
                f"{run}: finished already, at {state.nimg / 1000:g} kimg. Train it longer with --epochs or --kimg."
            )
            return run
        try:
            write_whole(run / "config.yaml", yaml.safe_dump(job.record(), sort_keys=False, width=120).encode())
            with screen, StopSignal() as stop:
                _fit(job, run, state, screen, stop)
        except health.Diverged as e:
            raise health.Diverged(e.message, _after_divergence(run)) from None
        finally:
            if not list_checkpoints(run):
                shutil.rmtree(run, ignore_errors=True)  # a run without a checkpoint is of no use to anyone
    return run


def _fit(job: Job, run: Path, state: TrainingState, screen: Screen, stop: StopSignal) -> None:
    """Train from where `state` stands to the end."""
    recipe, count = job.recipe, len(job.data)
    total, tick = job.total_nimg, recipe.tick_nimg(count)
    phases = SYSTEMS[recipe.model].phases(recipe.loss)
    losses = {phase.name: compiled(phase.loss) if recipe.compile else phase.loss for phase in phases}
    batches = Batches(
        job.data, recipe.batch, recipe.seed, job.device, flip=recipe.flip, channels_last=recipe.channels_last
    )
    reporter = Reporter(job, run, state, screen, real=_uint8_images(batches, recipe))
    screen.print(f"{run}: {recipe.name} on {job.data.name} ({count} images), {job.device}, to {total / 1000:g} kimg")
    if batches.resident:
        screen.print(f"the data is in GPU memory ({len(job.data) * _bytes(job.data.shape) / 2**20:.0f} MiB)")

    if state.nimg == 0:
        reporter.grid()
    try:
        while state.nimg < total:
            step, before = state.nimg // recipe.batch, state.nimg
            real = batches.at(state.nimg)
            for phase in phases:
                if step % phase.every == 0:
                    state.meter.add(phase.name, run_phase(state, phase, losses[phase.name], real))
            state.nimg += recipe.batch
            if state.average is not None:
                state.average.update(state.networks["generator"], state.nimg, recipe.batch)
            screen.update(state.nimg)

            tick_over = state.nimg // tick > before // tick or state.nimg >= total
            if tick_over or stop.requested or step % CHECK_STEPS == 0:
                health.check_finite(state.meter.means(), state.networks)
            if tick_over:
                reporter.tick(left_nimg=total - state.nimg)
            if stop.requested and state.nimg < total:
                reporter.checkpoint()
                raise Interrupted(
                    f"training stopped at {state.nimg / 1000:g} of {total / 1000:g} kimg; a checkpoint is written.",
                    f"Go on with: gantools train --resume {run}",
                )
    finally:
        batches.close()


def _uint8_images(batches: Batches, recipe: Recipe) -> Tensor:
    """Some real images uint8 (n, h, w, c), as many as a grid has, to compare the samples' diversity with."""
    return torch.from_numpy(batches.data.gather(batches.order.take(0, recipe.grid)[0]))


def _bytes(shape: tuple[int, int, int]) -> int:
    h, w, c = shape
    return h * w * c


def _after_divergence(run: Path) -> str:
    kept = list_checkpoints(run)
    advice = "Try a lower learning rate (--set optim.lr=...) or another --seed"
    if not kept:
        return f"It happened before the first checkpoint, so nothing is kept. {advice}."
    return (
        f"The last good checkpoint is kept: {kept[-1]}. {advice}, in a new run; "
        f"or repeat from there with: gantools train --resume {run}"
    )


@contextmanager
def _torch_settings(job: Job) -> Iterator[None]:
    """torch's global settings for this training, as they were before when it ends."""
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(job.recipe.matmul)
    tf32 = job.recipe.matmul != "highest"
    devices = [job.device] if job.device.type == "cuda" else []
    try:
        with (
            torch.random.fork_rng(devices),
            torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=tf32),
        ):
            torch.manual_seed(job.recipe.seed)
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)


@contextmanager
def _out_of_memory(recipe: Recipe) -> Iterator[None]:
    """Say what to do when memory runs out, on the GPU or on the CPU."""
    try:
        yield
    except (MemoryError, RuntimeError) as e:
        # torch has no class of its own for the CPU's allocator running out.
        cpu = "not enough memory" in str(e) or "can't allocate memory" in str(e)
        if not isinstance(e, MemoryError | torch.OutOfMemoryError) and not cpu:
            raise
        smaller = max(1, recipe.batch // 2)
        raise GantoolsError(f"out of memory at batch {recipe.batch}.", f"Try a smaller one: --batch {smaller}") from e
