"""What a training would take: sizes counted, memory and time measured on a few real steps. Writes nothing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch
import yaml
from torch import Tensor

from gantools.device import free_memory
from gantools.models.system import Batch, Networks, Scalars, build_networks
from gantools.recipes.recipe import Recipe
from gantools.runs.layout import checkpoint_nimg
from gantools.training.compiled import Computed, Function
from gantools.training.distributed import Processes
from gantools.training.job import Job
from gantools.training.loop import open_feeds
from gantools.training.screen import duration
from gantools.training.stages import Compute, Work
from gantools.training.state import TrainingState

TIMED_STEPS, MOST_STEPS = 5, 20
MIB = 1 << 20


@dataclass(frozen=True)
class Plan:
    """The result of `measure`.

    Attributes:
        parameters: of each network.
        weights_bytes: weights and buffers, gradients, both moments of Adam, and the average.
        activation_bytes: the most that one phase keeps for its backward.
        seconds: expected time of what is left of the training, on this device.
        free_bytes: where the weights alone do not fit in the device's memory, what is free of it: then nothing was
            measured, and activations and time are not known.
    """

    job: Job
    parameters: dict[str, int]
    weights_bytes: int
    activation_bytes: int = 0
    seconds: float = 0.0
    free_bytes: int | None = None

    @property
    def img_per_s(self) -> float:
        """Images trained on a second, on this device, over all stages."""
        return (self.job.total_nimg - self.done) / max(1e-9, self.seconds)

    @property
    def done(self) -> int:
        """Images shown already, of a training that goes on."""
        return checkpoint_nimg(self.job.checkpoint) if self.job.checkpoint is not None else 0

    def text(self) -> str:
        """For people: the resolved recipe, then the figures."""
        job = self.job
        recipe = yaml.safe_dump(job.recipe.to_dict(), sort_keys=False, width=120)
        rows = {
            "data": f"{job.data.path} ({len(job.data)} images)",
            "device": str(job.device),
            **{f"parameters, {name}": f"{n:,}" for name, n in self.parameters.items()},
            "memory, weights": f"{self.weights_bytes / MIB:.1f} MiB (weights, gradients, Adam, average)",
            "length": f"{job.total_nimg / 1000:g} kimg ({job.total_nimg / len(job.data):.2f} epochs)",
            **self._measured(),
            "run": f"{job.out}/NNNNN-{job.title}/ (not made: dry run)",
        }
        return recipe + "\n" + "\n".join(f"{name + ':':24} {value}" for name, value in rows.items())

    def _measured(self) -> dict[str, str]:
        """The rows that need a few steps of the training."""
        if self.free_bytes is not None:
            words = f"more than the {self.free_bytes / MIB:.0f} MiB that are free on {self.job.device}"
            return {"activations and time": f"not measured: the weights take {words}"}
        return {
            "memory, activations": f"{self.activation_bytes / MIB:.1f} MiB at batch {self.job.recipe.batch}",
            "speed": f"{self.img_per_s:.1f} img/s",
            "expected time": duration(self.seconds),
        }


def counted(recipe: Recipe) -> tuple[dict[str, int], int]:
    """(parameters by network, bytes that a training holds of them), by shapes alone: no memory is taken.

    The bytes are weights and buffers, gradients, what the optimizers remember, and the average. A step's gradients are
    kept until the next one has made its own, so those of the largest phase count twice.
    """
    with torch.device("meta"):
        own = build_networks(recipe.system, recipe.network, recipe.game)
        frozen = recipe.system.frozen(recipe.network, recipe.game, False)
    sizes = {name: sum(_nbytes(p) for p in network.parameters()) for name, network in own.items()}
    held = [_nbytes(t) for network in (*own.values(), *frozen.values()) for t in network.state_dict().values()]
    updates = [phase.updates for stage in recipe.stages() for phase in stage.phases]
    held.append(max(sum(sizes[name] for name in names) for names in updates))
    for name in {name for names in updates for name in names}:
        optimizer = recipe.optim.of(name)
        moments = {"adam": 2, "rmsprop": 1, "sgd": 0}[optimizer.kind]
        moments += optimizer.kind != "adam" and optimizer.momentum > 0
        held.append(sizes[name] * (1 + moments))
    if recipe.ema.half_life_kimg is not None:
        held += [_nbytes(t) for name in recipe.system.averaged for t in own[name].state_dict().values()]
    networks = {**own, **frozen}
    return {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}, sum(held)


def measure(job: Job) -> Plan:
    """Count and measure a job: a few real steps of each stage on real images, nothing written, nothing kept.

    Where not even the weights fit in the device's memory, they are only counted.
    """
    parameters, weights = counted(job.recipe)
    free = free_memory(job.device)
    if free is not None and weights > free:
        return Plan(job, parameters, weights, free_bytes=free)
    state = TrainingState(job.recipe, job.device, pretrained=False)
    # Steps that are not evenly spaced are measured as often as they come on the whole.
    state.stages = tuple(replace(s, phases=tuple(replace(p, when=None) for p in s.phases)) for s in state.stages)
    alone = Processes()
    feeds = open_feeds(job, alone)
    activations, seconds, begin = 0, 0.0, 0
    done = checkpoint_nimg(job.checkpoint) if job.checkpoint is not None else 0
    try:
        compute = Compute(bfloat16=job.recipe.compute.precision == "bfloat16")
        for stage in state.stages:
            state.enter()
            end = job.total_nimg if stage is state.stages[-1] else min(job.total_nimg, begin + (stage.nimg or 0))
            if end > max(begin, done):
                work = Work(state, feeds, compute, alone, lambda line: None)
                activations = max(activations, _saved_by_a_step(state, work))
                # Each phase must come as often as it does in a training.
                steps = min(max(TIMED_STEPS, math.lcm(*(phase.every for phase in stage.phases))), MOST_STEPS)
                _wait(job.device)
                start = time.perf_counter()
                for _ in range(steps):
                    work.step()
                _wait(job.device)
                seconds += (time.perf_counter() - start) / (steps * work.whole) * (end - max(begin, done))
            begin = max(begin, end)
    finally:
        for feed in feeds.values():
            feed.close()

    return Plan(job, parameters, weights, activations, seconds)


def _saved_by_a_step(state: TrainingState, work: Work) -> int:
    """The most bytes that one phase keeps for its backward. Also makes Adam's moments, before steps are timed."""
    plain_functions, largest = work.functions, 0

    def counted(function: Function) -> Function:
        def run(networks: Networks, batch: Batch, scalars: Scalars) -> Computed:
            nonlocal largest
            saved = SavedBytes(state)
            with torch.autograd.graph.saved_tensors_hooks(saved.pack, _identity):
                found = function(networks, batch, scalars)
            largest = max(largest, saved.total)
            return found

        return run

    work.functions = [counted(function) for function in plain_functions]
    for _ in range(max(phase.every for phase in work.stage.phases)):
        work.step()
    work.functions = plain_functions
    return largest


class SavedBytes:
    """Counts the bytes that autograd keeps for the backward, each storage once and the weights not."""

    def __init__(self, state: TrainingState) -> None:
        self.seen = {p.untyped_storage().data_ptr() for net in state.networks.values() for p in net.parameters()}
        self.kept: list[Tensor] = []  # so that no storage is freed and its address counted as seen
        self.total = 0

    def pack(self, tensor: Tensor) -> Tensor:
        """The hook: sees each tensor that is kept."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.seen:
            self.seen.add(storage.data_ptr())
            self.total += storage.nbytes()
            self.kept.append(tensor)
        return tensor


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def _nbytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
