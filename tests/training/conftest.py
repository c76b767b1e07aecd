"""Trainings that take seconds: of a small DCGAN on blobs, and of the example of a system outside gantools."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.conftest import write_prepared

from gantools.training.run import train

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
# A penalty on gradients, more critic than generator steps and an average: nothing that couples the rows of a batch.
CHANGES = {
    "batch": 16,
    "kimg": 0.32,
    "tick_kimg": 0.08,
    "grid": 4,
    "game": {"loss": {"name": "wasserstein"}, "penalties": {"gradient": 10}, "critic_steps": 3},
    "ema": {"half_life_kimg": 0.1},
}


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a training on points, also for processes that are started: data, recipe, where."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rng = np.random.default_rng(0)
    images = rng.integers(64, 192, (200, 2, 2, 1), np.uint8)
    recipe = yaml.safe_load((EXAMPLES / "points.yaml").read_text())
    for key in ("epochs", "kimg"):
        recipe.pop(key, None)
    recipe.update(CHANGES)
    (tmp_path / "points.yaml").write_text(yaml.safe_dump(recipe))
    return {"data": write_prepared(tmp_path / "data" / "points", images), "recipe": tmp_path / "points.yaml"}


@pytest.fixture
def go(tiny: Path, make_set: Callable[..., Path], tmp_path: Path) -> Callable[..., Path | None]:
    """go(**options): train the tiny recipe quietly on 48 images into tmp_path/runs."""
    data = make_set(n=48, size=8)

    def run(recipe: str | Path | None = tiny, **options: Any) -> Path | None:
        return train(recipe, **{"data": data, "out": tmp_path / "runs", "progress": False, "device": "cpu", **options})

    return run
