from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import blobs, write_prepared
from torch import Tensor, nn

from gantools.models.system import System
from gantools.sampling.generator import Generator
from gantools.training.run import train

DCGAN: dict[str, Any] = {
    "network": {"size": 8, "channels": 3, "latent": 6, "width": 4},
    "batch": 8,
    "kimg": 0.048,
    "tick_kimg": 0.048,
    "grid": 4,
    "ema.half_life_kimg": 0.02,
}
STYLEGAN: dict[str, Any] = {
    "network": {"size": 8, "channels": 3, "latent": 6, "style": 5, "mapping_layers": 2, "width": 64, "max_width": 8},
    "batch": 8,
    "kimg": 0.016,
    "tick_kimg": 0.016,
    "grid": 4,
    "ema.half_life_kimg": None,
}


def trained(folder: Path, recipe: str, overrides: dict[str, Any], classes: int = 0) -> Path:
    labels = (torch.arange(48) % classes).numpy() if classes else None
    data = write_prepared(folder / "data", blobs(48, 8, 3), labels)
    run = train(recipe, data=data, out=folder / "runs", overrides=overrides, progress=False, device="cpu")
    assert run is not None
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a tiny DCGAN, hardly trained."""
    return trained(tmp_path_factory.mktemp("dcgan"), "dcgan", DCGAN)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, told three classes."""
    network = {**DCGAN["network"], "classes": 3}
    return trained(tmp_path_factory.mktemp("told"), "dcgan", {**DCGAN, "network": network}, 3)


@pytest.fixture(scope="module")
def styled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a tiny StyleGAN2, hardly trained."""
    return trained(tmp_path_factory.mktemp("stylegan2"), "stylegan2-fashion", STYLEGAN)


class Linear(nn.Module):
    """A generator that is one matrix: latents (n, dim) to images (n, 3, 8, 8)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.latent = weight.shape[1]
        self.layer = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.layer.weight.copy_(weight)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z).view(len(z), 3, 8, 8)


@pytest.fixture
def linear(run: Path) -> Callable[[Tensor], Generator]:
    """linear(weight (192, dim)): a generator whose images are a linear function of its latents."""

    def make(weight: Tensor) -> Generator:
        generator = Generator.load(run, device="cpu")
        system = generator.system
        generator.networks = {"generator": Linear(weight).eval()}
        generator.system = System(system.config, system.game, system.build, system.stages)
        return generator

    return make
