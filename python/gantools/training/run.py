"""A training from the call to a finished run: settings, folder, returns to a good checkpoint, errors with a remedy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch

from gantools.device import out_of_memory
from gantools.errors import CheckpointError
from gantools.recipes.recipe import Recipe
from gantools.runs.checkpoint import newest_whole_checkpoint
from gantools.runs.folders import create_run
from gantools.runs.layout import list_checkpoints
from gantools.runs.stats import STATS, cut_after
from gantools.runs.trackers import check as check_trackers
from gantools.training import health
from gantools.training.distributed import Processes, local_device, processes
from gantools.training.initial import take_weights
from gantools.training.job import Job, resolve
from gantools.training.launch import check as check_engine
from gantools.training.launch import train_on_ray
from gantools.training.loop import fit
from gantools.training.plan import measure
from gantools.training.reporter import write_record
from gantools.training.screen import Screen
from gantools.training.state import TrainingState
from gantools.training.stop import StopSignal


def train(
    recipe: str | Path | None = None,
    *,
    data: str | Path | None = None,
    inputs: str | Path | None = None,
    out: str | Path | None = None,
    kimg: float | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    seed: int | None = None,
    tick_kimg: float | None = None,
    precision: str | None = None,
    metrics: Sequence[str] | None = None,
    stop_when_worse: int | None = None,
    freeze_d: int | None = None,
    track: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    resume: str | Path | bool | None = None,
    init_from: str | Path | None = None,
    device: str | None = None,
    engine: str = "local",
    workers: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> Path | None:
    """Train a GAN by a recipe on a prepared set.

    Under `torchrun`, and on the workers of a Ray cluster, all processes train one GAN together, each a part of every
    batch.

    Args:
        recipe: a name (`dcgan`, ...) or the path of a YAML file; not needed with `resume`.
        data: the prepared set; None: the only one under ./data that fits the recipe. Size and channels of the networks
            follow it.
        inputs: the second set of a training between two domains: what its generator starts from.
        out: the folder of runs; None: `./runs`.
        kimg: length of the training in thousands of real images shown.
        epochs: length of the training in passes over the data.
        batch: images a step.
        seed: of initialisation, order and latents.
        tick_kimg: thousands of images between two stats lines, grids and checkpoints; by default one epoch, but no
            less than a minute and no more than ten.
        precision: "float32", "bfloat16", or "auto": the faster one here.
        metrics: scores measured while it trains, as `gantools score` calls them: ("fd",).
        stop_when_worse: stop once the first of `metrics` was not better than its best for so many measurements.
        freeze_d: the discriminator's first layers whose weights are not trained.
        track: trackers that the numbers and grids go to as well, "wandb" and "trackio".
        overrides: further changes to the recipe: {"optim.lr": 0.001} or ["optim.lr=0.001"].
        resume: a run to go on with, or True: the newest (of `recipe`, where it is given). On the same machine the
            result is that of a training that was never stopped, on the CPU to the bit. A checkpoint of a run begins a
            new run from there.
        init_from: a run or checkpoint whose weights a new run begins with, for fine-tuning.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        engine: "local", this process or those of torchrun; or "ray": workers of a Ray cluster (RAY_ADDRESS), or on
            this machine where there is none.
        workers: of the engine ray; None: one a GPU, without GPUs one a machine.
        dry_run: print what would be done, with sizes and expected time, and write nothing.
        progress: show a line a tick and a progress bar on stderr.

    Returns:
        The run's folder; None for a dry run.

    Raises:
        ConfigError, DataError, CheckpointError: what was asked for is wrong or not there.
        GantoolsError: the training diverged, memory ran out, or a worker died.
        Interrupted: stopped by Ctrl-C after writing a checkpoint.
    """
    options = {name: value for name, value in locals().items() if name not in ("engine", "workers", "dry_run")}
    check_engine(engine, workers, device)
    on_ray = engine == "ray" and not dry_run
    changes: dict[str, Any] = {
        "kimg": kimg,
        "epochs": epochs,
        "batch": batch,
        "seed": seed,
        "tick_kimg": tick_kimg,
        "compute.precision": precision,
        "eval.metrics": None if metrics is None else list(metrics),
        "eval.patience": stop_when_worse,
        "freeze_d": freeze_d,
        "track": None if track is None else list(track),
    }
    job = resolve(
        recipe,
        data=data,
        inputs=inputs,
        out=out,
        changes=changes,
        overrides=overrides,
        resume=resume,
        init_from=init_from,
        # The workers' machines may have GPUs that this one has not.
        device="cpu" if on_ray else local_device(device),
    )
    if on_ray:
        return train_on_ray(train, job, options, workers, device)
    if not dry_run:
        check_trackers(job.recipe.track)
    with _torch_settings(job), _out_of_memory(job.recipe):
        if dry_run:
            print(measure(job).text())
            return None
        with processes(job.device) as group:
            return _trained(job, group, progress)


def _trained(job: Job, group: Processes, progress: bool) -> Path:
    state = _begin(job)
    run = job.run
    if run is None:
        made = create_run(job.out, job.title) if group.first else None
        run = Path(group.told(None if made is None else str(made)) or "")
    screen = Screen(job.total_nimg, start=state.nimg, quiet=not progress or not group.first)
    if state.nimg >= job.total_nimg:
        screen.print(
            f"{run}: finished already, at {state.nimg / 1000:g} kimg. Train it longer with --epochs or --kimg."
        )
        return run
    for note in job.notes:
        screen.print(note)
    for key, before, now in job.changes:
        screen.print(f"changed: {key} {before} -> {now}, from {state.nimg / 1000:g} kimg on")
    if job.start is not None:
        for line in take_weights(state, job.start):
            screen.print(line)
    try:
        if group.first:
            if job.run is not None:
                cut_after(run / STATS, state.nimg)
            else:
                write_record(run, job, state)
        with screen, StopSignal(progress and group.first) as stop:
            _with_returns(job, run, state, screen, stop, group)
    finally:
        if group.first and not list_checkpoints(run):
            shutil.rmtree(run, ignore_errors=True)  # a run without a checkpoint is of no use to anyone
    return run


def _begin(job: Job) -> TrainingState:
    state = TrainingState(job.recipe, job.device)
    if job.checkpoint is not None:
        state.load(job.checkpoint)
    return state


def _with_returns(
    job: Job, run: Path, state: TrainingState, screen: Screen, stop: StopSignal, group: Processes
) -> None:
    """Train; after a number that is not finite go back to the last good checkpoint and draw other random numbers.

    The count of returns begins anew with each new checkpoint, so a training that gets on is never given up.
    """
    used, last = 0, -1
    while True:
        try:
            fit(job, run, state, screen, stop, group)
            return
        except health.Diverged as e:
            good = _last_good(run)
            at = _nimg(good)
            used = used + 1 if at <= last else 1
            last = max(at, last)
            if used > job.recipe.health.retries:
                raise health.Diverged(e.message, _after_divergence(good, run, used - 1)) from None
            screen.warn(
                f"{e.message} Back to {at / 1000:g} kimg with other random numbers "
                f"(try {used} of {job.recipe.health.retries})."
            )
            retries = state.retries + 1
            state = TrainingState(job.recipe, job.device)
            if good is not None:
                state.load(good)
            elif job.start is not None:
                take_weights(state, job.start)
            state.retries = retries
            if group.first:
                cut_after(run / STATS, state.nimg)
            group.wait()


def _last_good(run: Path) -> Path | None:
    try:
        return newest_whole_checkpoint(run)
    except CheckpointError:
        return None


def _nimg(checkpoint: Path | None) -> int:
    return 0 if checkpoint is None else round(float(checkpoint.name.removeprefix("kimg-")) * 1000)


def _after_divergence(good: Path | None, run: Path, tries: int) -> str:
    again = f" after {tries} returns to it with other random numbers" if tries else ""
    if good is None:
        lower = "Try a lower learning rate: --set optim.lr=..."
        return f"It came before the first checkpoint{again}, so nothing is kept. {lower}"
    return (
        f"The last good checkpoint is kept{again}: {good}. Go on from it with a lower learning rate: "
        f"gantools train --resume {run} --set optim.lr=..."
    )


@contextmanager
def _torch_settings(job: Job) -> Iterator[None]:
    """torch's global settings for this training, as they were before when it ends."""
    compute = job.recipe.compute
    matmul, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_float32_matmul_precision(compute.matmul)
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    tf32 = compute.matmul != "highest"
    devices = [job.device] if job.device.type == "cuda" else []
    if devices and job.device.index is not None:
        torch.cuda.set_device(job.device)
    try:
        with (
            torch.random.fork_rng(devices),
            torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=tf32),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.set_num_threads(threads)


def _out_of_memory(recipe: Recipe) -> AbstractContextManager[None]:
    """Says which batch to try when memory runs out."""
    parts = recipe.compute.accumulate * 2
    cut = f", or the same batch in parts: --set compute.accumulate={parts}" if recipe.batch % parts == 0 else ""
    smaller = max(1, recipe.batch // 2)
    return out_of_memory(
        f"out of memory at batch {recipe.batch}.",
        f"Try a smaller one: --batch {smaller}{cut}. gantools train --dry-run says what it takes.",
    )
