"""What every system must do; a new one adds a row to `ROWS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import assert_same
from torch import nn

from gantools.grid import make_grid
from gantools.models import SYSTEMS
from gantools.models.system import System
from gantools.recipes.recipe import Recipe, load_recipe
from gantools.runs.checkpoint import list_checkpoints, read_state
from gantools.training.run import train
from gantools.training.state import TrainingState
from gantools.training.step import run_phase

BATCH = 8
STEPS = 2


@dataclass(frozen=True)
class Row:
    """A system's facts.

    Attributes:
        parameters: of each layer that has any, in order, by network, at the system's own settings.
        maps: shapes (c, h, w) of what its convolutions give, in order, by network, at the system's own settings.
        recipe: the recipe it is trained by here.
        network: settings that make it small enough to be trained here in moments.
        golden: every loss of the first two steps, in the order of the phases, from `synthetic` images at seed 0.
    """

    parameters: Mapping[str, list[int]]
    maps: Mapping[str, list[tuple[int, int, int]]]
    recipe: str
    golden: list[float]
    network: Mapping[str, Any] = field(default_factory=dict)


ROWS = {
    "dcgan": Row(
        # kernel 4x4, no bias; BatchNorm has a weight and a bias a channel, and is not on D's first and last.
        parameters={
            # 128 -> 512 -> 256 -> 128 -> 64 -> 3
            "generator": [1048576, 1024, 2097152, 512, 524288, 256, 131072, 128, 3072],
            # 3 -> 64 -> 128 -> 256 -> 512 -> 1
            "discriminator": [3072, 131072, 256, 524288, 512, 2097152, 1024, 8192],
        },
        maps={
            "generator": [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)],
            "discriminator": [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1, 1, 1)],
        },
        recipe="dcgan",
        network={"size": 16, "latent": 16, "width": 32},
        golden=[1.506137, 0.894723, 1.385626, 0.923016],
    ),
    "dcgan-fashion": Row(
        # dense 100 -> 7x7x128; 5x5 with bias: 128 -> 256 -> 128 -> 64 -> 1; BatchNorm weight and bias a channel.
        parameters={
            "generator": [633472, 256, 819456, 512, 819328, 256, 204864, 128, 1601],
            "discriminator": [1664, 204928, 819456, 4097],
        },
        maps={
            "generator": [(256, 14, 14), (128, 28, 28), (64, 28, 28), (1, 28, 28)],
            "discriminator": [(64, 14, 14), (128, 7, 7), (256, 4, 4)],
        },
        recipe="dcgan-fashion",
        golden=[1.394083, 0.693659, 1.361998, 0.696874],
    ),
}

systems = pytest.mark.parametrize("name", SYSTEMS)


def small(name: str) -> Recipe:
    """The system's recipe, made small."""
    row = ROWS[name]
    return load_recipe(row.recipe, {"network": dict(row.network), "batch": BATCH, "grid": 5, "kimg": 0.032})


def start(name: str) -> tuple[System, TrainingState]:
    """The system and its networks at seed 0."""
    torch.manual_seed(0)
    return SYSTEMS[name], TrainingState(small(name), torch.device("cpu"))


def synthetic(state: TrainingState, step: int) -> torch.Tensor:
    """Waves, float (BATCH, c, h, w) in [-1, 1]: the same on every machine."""
    h, w, c = state.recipe.image_shape
    n, k, y, x = torch.meshgrid(*(torch.arange(s) for s in (BATCH, c, h, w)), indexing="ij")
    return torch.sin(0.7 * (n + 1) + 0.4 * (k + 1) * y + 0.3 * x + step)


@pytest.fixture(scope="module")
def two_steps() -> Callable[[str], tuple[TrainingState, list[float]]]:
    """two_steps(name): the system's state after two steps, and the loss of each phase in them."""
    made: dict[str, tuple[TrainingState, list[float]]] = {}

    def run(name: str) -> tuple[TrainingState, list[float]]:
        if name not in made:
            system, state = start(name)
            losses = []
            for step in range(STEPS):
                for phase in system.phases(state.recipe.loss):
                    logged = run_phase(state, phase, phase.loss, synthetic(state, step))
                    losses += [float(value) for key, value in logged.items() if key.startswith("loss")]
            made[name] = state, losses
        return made[name]

    return run


def test_every_system_has_a_row() -> None:
    assert list(ROWS) == list(SYSTEMS)


@systems
def test_parameters_of_each_layer(name: str) -> None:
    networks = SYSTEMS[name].build(SYSTEMS[name].config())
    found = {
        key: [n for m in network.modules() if (n := sum(p.numel() for p in m.parameters(recurse=False)))]
        for key, network in networks.items()
    }
    assert found == ROWS[name].parameters


@systems
def test_shapes_from_latents_to_logits(name: str) -> None:
    config = SYSTEMS[name].config()
    networks = SYSTEMS[name].build(config)
    found: dict[str, list[tuple[int, ...]]] = {key: [] for key in networks}
    for key, network in networks.items():
        for m in network.modules():
            if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
                m.register_forward_hook(lambda _m, _i, out, key=key: found[key].append(tuple(out.shape[1:])))
    images = networks["generator"](torch.randn(2, config.latent))
    assert networks["discriminator"](images).shape == (2,)
    assert found == ROWS[name].maps
    h, w, c = config.image_shape
    assert images.shape == (2, c, h, w)
    assert images.abs().max() <= 1


@systems
def test_two_steps_are_finite_and_the_known_ones(name: str, two_steps: Any) -> None:
    state, losses = two_steps(name)
    for network in state.networks.values():
        assert all(t.isfinite().all() for t in network.state_dict().values())
    # Threads and the CPU's instructions move the second step by up to 2e-4; other networks or losses by far more.
    assert losses == pytest.approx(ROWS[name].golden, abs=5e-4)


@systems
def test_a_phase_changes_the_networks_it_updates_and_no_other(name: str) -> None:
    system, state = start(name)
    touched: set[str] = set()
    for phase in system.phases(state.recipe.loss):
        before = {k: [p.detach().clone() for p in n.parameters()] for k, n in state.networks.items()}
        run_phase(state, phase, phase.loss, synthetic(state, 0))
        for key, network in state.networks.items():
            changed = [not torch.equal(a, b) for a, b in zip(before[key], network.parameters(), strict=True)]
            assert all(changed) == any(changed) == (key in phase.updates), (phase.name, key)
            assert all(p.grad is None for p in network.parameters())
            # The frozen networks' gradients are not even computed.
            assert all(p.requires_grad == (key in phase.updates) for p in network.parameters())
        touched |= set(phase.updates)
    assert touched == set(state.networks)


@systems
def test_a_resumed_training_is_one_that_never_stopped_and_its_grid_has_the_right_shape(
    name: str, make_set: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = small(name)
    h, w, c = recipe.image_shape
    assert h == w
    row = ROWS[name]
    options: dict[str, Any] = {
        "data": make_set(n=16, size=h, channels=c),
        "out": tmp_path / "runs",
        "overrides": {"network": dict(row.network), "batch": BATCH, "grid": 5, "ema.half_life_kimg": 0.01},
        "device": "cpu",
        "progress": False,
    }
    straight = train(row.recipe, kimg=0.032, **options)
    stopped = train(row.recipe, kimg=0.016, **options)
    assert straight is not None and stopped is not None
    train(resume=stopped, kimg=0.032, out=tmp_path / "runs", device="cpu", progress=False)
    ours, theirs = list_checkpoints(stopped)[-1], list_checkpoints(straight)[-1]
    assert ours.name == theirs.name == "kimg-000000.032"
    weights = sorted(p.name for p in theirs.glob("*.safetensors"))
    assert {f"{key}.safetensors" for key in (*start(name)[1].networks, "generator_ema")} == set(weights)
    for file in weights:
        assert (ours / file).read_bytes() == (theirs / file).read_bytes(), file
    assert_same({**read_state(ours), "seconds": 0}, {**read_state(theirs), "seconds": 0})
    grid = np.asarray(Image.open(straight / "grids" / f"{theirs.name}.png"))
    assert grid.reshape(*grid.shape[:2], -1).shape == make_grid(np.zeros((5, h, w, c), np.uint8)).shape
