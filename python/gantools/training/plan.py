"""What a training would take: sizes counted, memory and time measured on a few real steps. Writes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
import yaml
from torch import Tensor

from gantools.data.batches import Batches
from gantools.models import SYSTEMS
from gantools.training.job import Job
from gantools.training.screen import duration
from gantools.training.state import TrainingState
from gantools.training.step import run_phase

TIMED_STEPS = 5
MIB = 1 << 20


@dataclass(frozen=True)
class Plan:
    """The result of `measure`.

    Attributes:
        parameters: of each network.
        weights_bytes: weights and buffers, gradients, both moments of Adam, and the average.
        activation_bytes: the most that one phase keeps for its backward.
        img_per_s: images trained on a second, on this device.
    """

    job: Job
    parameters: dict[str, int]
    weights_bytes: int
    activation_bytes: int
    img_per_s: float

    @property
    def seconds(self) -> float:
        """Expected time of the whole training."""
        return self.job.total_nimg / self.img_per_s

    def text(self) -> str:
        """For people: the resolved recipe, then the figures."""
        job = self.job
        recipe = yaml.safe_dump(job.recipe.to_dict(), sort_keys=False, width=120)
        rows = {
            "data": f"{job.data.path} ({len(job.data)} images)",
            "device": str(job.device),
            **{f"parameters, {name}": f"{n:,}" for name, n in self.parameters.items()},
            "memory, weights": f"{self.weights_bytes / MIB:.1f} MiB (weights, gradients, Adam, average)",
            "memory, activations": f"{self.activation_bytes / MIB:.1f} MiB at batch {job.recipe.batch}",
            "length": f"{job.total_nimg / 1000:g} kimg ({job.total_nimg / len(job.data):.2f} epochs)",
            "speed": f"{self.img_per_s:.1f} img/s",
            "expected time": duration(self.seconds),
            "run": f"{job.out}/NNNNN-{job.title}/ (not made: dry run)",
        }
        return recipe + "\n" + "\n".join(f"{name + ':':24} {value}" for name, value in rows.items())


def measure(job: Job) -> Plan:
    """Count and measure a job: a few real steps on real images, nothing written, nothing kept."""
    recipe = job.recipe
    state = TrainingState(recipe, job.device)
    phases = SYSTEMS[recipe.model].phases(recipe.loss)
    batches = Batches(
        job.data, recipe.batch, recipe.seed, job.device, flip=recipe.flip, channels_last=recipe.channels_last
    )
    try:
        real = batches.at(0)
        # The first step makes Adam's moments and lets libraries choose their kernels, so it is not timed.
        activations = 0
        for phase in phases:
            saved = SavedBytes(state)
            with torch.autograd.graph.saved_tensors_hooks(saved.pack, _identity):
                run_phase(state, phase, phase.loss, real)
            activations = max(activations, saved.total)
        _wait(job.device)
        start = time.perf_counter()
        for step in range(1, TIMED_STEPS + 1):
            real = batches.at(step * recipe.batch)
            for phase in phases:
                if step % phase.every == 0:
                    run_phase(state, phase, phase.loss, real)
        _wait(job.device)
        seconds = time.perf_counter() - start
    finally:
        batches.close()

    parameters = {name: sum(p.numel() for p in network.parameters()) for name, network in state.networks.items()}
    held = [t for network in state.networks.values() for t in network.state_dict().values()]
    held += [t for o in state.optimizers.values() for s in o.state.values() for t in s.values()]
    held += [p for network in state.networks.values() for p in network.parameters()]  # once more: the gradients
    held += list(state.average.network.state_dict().values()) if state.average is not None else []
    return Plan(job, parameters, sum(_nbytes(t) for t in held), activations, TIMED_STEPS * recipe.batch / seconds)


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
