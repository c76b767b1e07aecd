"""bfloat16 beside float32: losses and gradients of one step of a DCGAN.

Whether whole trainings end at the same Frechet distance is shown by trainings of minutes, not here: a step that is as
near as this is what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import blobs
from torch import Tensor, nn

from gantools.models.system import Batch
from gantools.recipes.recipe import load_recipe
from gantools.runs.layout import list_checkpoints
from gantools.runs.stats import STATS, read_lines
from gantools.training import precision
from gantools.training.compiled import plain
from gantools.training.seeds import reseed
from gantools.training.state import TrainingState

CPU = torch.device("cpu")
# Shares of float32's: of the losses, and of the length of all gradients together. bfloat16 has 8 bits, so every product
# is off by up to 2**-9 of itself; the generator's gradient has come through both networks and their normalisations.
# Measured: 0.0004, 0.022 and 0.083, and about 1.3 times that for every bit fewer.
LOSS = 0.005
GRADIENT = {"discriminator": 0.04, "generator": 0.12}


@contextmanager
def coarse(state: TrainingState, bits: int) -> Iterator[None]:
    """Outputs of convolutions with so many bits instead of bfloat16's 8."""

    def rounded(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        mantissa, exponent = torch.frexp(output.float())
        step = torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)
        return output + (step.to(output.dtype) - output).detach()

    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    hooks = [
        module.register_forward_hook(rounded)
        for network in state.networks.values()
        for module in network.modules()
        if isinstance(module, convolutions)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def apart(bits: int | None = None) -> dict[str, tuple[float, float]]:
    """By phase: how far the loss is apart, and the gradients of all weights together, of float32's length."""
    changes = {"network.width": 8, "network.size": 32, "batch": 32}
    state = TrainingState(load_recipe("dcgan", changes), CPU)
    state.enter()
    images = torch.from_numpy(blobs(32, 32, 3)).permute(0, 3, 1, 2).float() / 127.5 - 1
    found = {}
    for index, phase in enumerate(state.stage_now.phases):
        computed = []
        for bfloat16 in (False, True):
            reseed(CPU, 0, 0, 0, index, 0)
            compute = plain(phase, CPU, bfloat16)
            if bits is not None and bfloat16:
                with coarse(state, bits):
                    computed.append(compute(state.networks, Batch(images), {}))
            else:
                computed.append(compute(state.networks, Batch(images), {}))
        full, half = computed
        assert all(g is None or g.dtype == torch.float32 for g in half.gradients)
        ours, theirs = (torch.cat([g.flatten() for g in c.gradients if g is not None]) for c in (half, full))
        (name,) = (name for name in full.means if name.startswith("loss_"))
        loss = abs(float(half.means[name] - full.means[name])) / abs(float(full.means[name]))
        found[phase.name] = (loss, float((ours - theirs).norm() / theirs.norm()))
    return found


def test_a_step_in_bfloat16_is_near_that_in_float32() -> None:
    found = apart()
    assert set(found) == set(GRADIENT)
    for name, (loss, gradient) in found.items():
        assert 0 < loss < LOSS and 0 < gradient < GRADIENT[name], found


def test_fewer_bits_would_be_seen() -> None:
    assert apart(bits=8) == apart()  # that many are bfloat16's own
    assert all(gradient > 1.5 * GRADIENT[name] for name, (_, gradient) in apart(bits=4).items())


@pytest.mark.parametrize("first", ["float32", "bfloat16"])
def test_a_resumed_training_keeps_what_auto_was_found_to_be(
    go: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whatever would be faster now: the bits are those of a training that was never stopped."""
    other = {"float32": "bfloat16", "bfloat16": "float32"}[first]
    monkeypatch.setattr(precision, "_has_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "_measured", lambda *args: first)
    options = {"precision": "auto", "overrides": {"tick_kimg": 0.048}}
    straight = go(kimg=0.096, **options)
    run: Path = go(kimg=0.048, **options)
    monkeypatch.setattr(precision, "_measured", lambda *args: other)
    go(None, resume=run, kimg=0.096)
    assert [line["precision"] for line in read_lines(run / STATS)] == [first, first]
    ours, theirs = (list_checkpoints(path)[-1] / "generator.safetensors" for path in (run, straight))
    assert ours.read_bytes() == theirs.read_bytes()
