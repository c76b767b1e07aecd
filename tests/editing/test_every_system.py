"""What is done with latents works for every system that starts from latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.test_systems import ROWS, small

from gantools.editing.directions import find
from gantools.editing.distances import Distance, pixel_distance
from gantools.editing.project import search
from gantools.sampling import images
from gantools.sampling.generator import Generator
from gantools.sampling.images import Move

SYSTEMS = [name for name in ROWS if small(name).system.takes == "latents"]


def generator_of(name: str) -> Generator:
    """A generator as it is built: what happens to its latents does not depend on how well it was trained."""
    recipe = small(name)
    torch.manual_seed(0)
    networks = recipe.system.build(recipe.network)
    shown = {key: networks[key].eval().requires_grad_(False) for key in recipe.system.shows}
    config = {"recipe": recipe.to_dict(), "data": {"path": "", "name": "", "fingerprint": ""}}
    return Generator(shown, Path("runs/00000-a/checkpoints/kimg-000000.000"), config)


def paint(generator: Generator, z: Any, move: Move | None = None) -> torch.Tensor:
    labels = torch.zeros(len(z), dtype=torch.int64) if generator.classes else None
    z = z if isinstance(z, torch.Tensor) else torch.from_numpy(z)
    return images.paint(generator.system, generator.networks, z, labels, generator.controls(None), move)


@pytest.mark.parametrize("name", SYSTEMS)
def test_directions_are_found_and_move_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantools.editing.directions.FEATURES", 64)
    monkeypatch.setattr("gantools.editing.directions.STYLES", 256)
    generator = generator_of(name)
    found = find(generator, 2)
    assert {about.kind for about in found.about} == {"sefa", "pca"}
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert (found.scales > 0).all()
    generator.found_directions = found
    z = generator.latents_of(0, 2)
    for about in found.about:
        move = found.move({about.name: 3})
        assert not torch.equal(paint(generator, z), paint(generator, z, move)), about


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_image_is_searched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantools.editing.project.RANDOM", 8)
    generator = generator_of(name)
    target = generator.sample(1, seed=77, batch=8)[0]
    distance = Distance("pixels", pixel_distance, {})
    for where in ("z",) if generator.system.styles is None else ("z", "w", "w+"):
        found = search(generator, target, distance, where=where, steps=3, starts=2)
        assert found.distance <= found.random, where
    z = torch.from_numpy(generator.latents_of(0, 2)).requires_grad_()
    paint(generator, z).sum().backward()
    # Back to every number of every latent.
    assert z.grad is not None and z.grad.isfinite().all() and (z.grad != 0).double().mean() > 0.9
