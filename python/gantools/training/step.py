"""One phase of one step: loss and gradients of its rows, brought together, then the optimizers, then `after`."""

from __future__ import annotations

import torch
from torch import Tensor

from gantools.models.system import Batch, Phase, Scalars, Seen
from gantools.training.compiled import Function
from gantools.training.distributed import Processes
from gantools.training.seeds import reseed
from gantools.training.state import TrainingState


def run_phase(
    state: TrainingState,
    phase: Phase,
    compute: Function,
    batch: Batch,
    scalars: Scalars,
    *,
    at: tuple[int, ...],
    accumulate: int = 1,
    processes: Processes | None = None,
) -> dict[str, Tensor]:
    """Update the networks of `phase` once.

    Args:
        state: its networks and optimizers are changed.
        phase: which networks to update, and how.
        compute: its loss and gradients, plain or compiled.
        batch: this process's rows.
        scalars: the stage's scheduled numbers.
        at: (stage, phase, turn): with the seed and the images shown they decide every random number of the phase, not
            the process and not the micro-batch: each draws for the whole batch and takes its own rows.
        accumulate: micro-batches that the rows are cut into.
        processes: those that train together.

    Returns:
        The means that are logged, scalars on the device.
    """
    size = len(batch) // accumulate
    sums: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {}
    for part in range(accumulate):
        reseed(state.device, state.seed, state.nimg, *at)
        rows = batch if accumulate == 1 else batch.part(part * size, (part + 1) * size)
        found = compute(state.networks, rows, scalars)
        used = [g for g in found.gradients if g is not None]
        # Copies of the means and rows: a CUDA graph overwrites what it gives.
        new = [*used, *(v.detach().clone() for v in found.means.values())]
        if not sums:
            # Sums are written into below, and one phase's gradients may be a graph's own memory.
            sums = new if accumulate == 1 else [t.clone() for t in new]
        else:
            torch._foreach_add_(sums, new)
        for name, values in found.rows.items():
            parts.setdefault(name, []).append(values.clone() if accumulate > 1 else values)
    if accumulate > 1:
        torch._foreach_div_(sums, accumulate)
    whole = {name: torch.cat(values) if len(values) > 1 else values[0] for name, values in parts.items()}
    if processes is not None and processes.size > 1:
        sums, whole = processes.average(sums), processes.join(whole)
    means = dict(zip(found.means, sums[len(used) :], strict=True))
    gradients = iter(sums)
    state.step(phase, [None if g is None else next(gradients) for g in found.gradients])
    if phase.after is not None:
        reseed(state.device, state.seed, state.nimg, *at, 1)
        with torch.no_grad():
            phase.after(state.networks, Seen(batch.whole or len(batch), means, whole))
    return {name: value for name, value in means.items() if value.dim() == 0}
