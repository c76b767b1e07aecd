"""A new run from the weights of another: what fits is taken, and what does not is said."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gantools.errors import CheckpointError
from gantools.runs.checkpoint import read_config, read_tensors
from gantools.training.state import TrainingState


def take_weights(state: TrainingState, checkpoint: Path) -> list[str]:
    """Load what fits of the networks of `checkpoint` into those of `state`; lines that say what was taken.

    A network is found by its name, a tensor by its name and shape. What has buffers alone remembers something of its
    own training, as pools of images or the strength of an augmentation, and stays new. Averages start from the averages
    there, or from the weights where there are none. Optimizers and counters stay new.

    Raises:
        CheckpointError: nothing fits.
    """
    files = read_config(checkpoint)["files"]
    lines, taken = [], 0
    for name in state.saved:
        network = state.networks[name]
        wanted = network.state_dict()
        if not wanted:
            continue
        if name in state.files:
            lines.append(f"{name}: of this training's own file")
            continue
        if next(network.parameters(), None) is None:
            # Pools of images, running means, the strength of an augmentation: of that training's data.
            lines.append(f"{name}: what a training remembers, begins anew")
            continue
        if f"{name}.safetensors" not in files:
            lines.append(f"{name}: not in {checkpoint.name}, begins anew")
            continue
        found = read_tensors(checkpoint, name)
        fitting = {k: v for k, v in found.items() if k in wanted and wanted[k].shape == v.shape}
        _load(network, fitting)
        taken += len(fitting)
        lines.append(_line(name, wanted, found, fitting))
        if name in state.averages:
            average = f"{name}_ema" if f"{name}_ema.safetensors" in files else name
            _load(state.averages[name].network, network.state_dict())
            averaged = read_tensors(checkpoint, average)
            _load(state.averages[name].network, {k: averaged[k] for k in fitting if k in averaged})
    if taken == 0:
        raise CheckpointError(
            f"{checkpoint}: none of its weights fits this recipe.",
            f"It has {', '.join(n.removesuffix('.safetensors') for n in files if n.endswith('.safetensors'))}; "
            f"the recipe has {', '.join(state.saved)}.",
        )
    return [f"weights from {checkpoint}:", *lines]


@torch.no_grad()
def _load(network: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    network.load_state_dict(tensors, strict=False)


def _line(name: str, wanted: dict[str, Tensor], found: dict[str, Tensor], fitting: dict[str, Tensor]) -> str:
    left = [k for k in wanted if k not in fitting]
    if not left:
        return f"{name}: all {len(wanted)} tensors taken"
    first = left[0]
    shape = tuple(wanted[first].shape)
    why = f"is {tuple(found[first].shape)} there and {shape} here" if first in found else "is not there"
    return f"{name}: {len(fitting)} of {len(wanted)} tensors taken; {first} {why}{' ...' if len(left) > 1 else ''}"
