from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import blobs, write_prepared

from gantools.training.run import train

OVERRIDES: dict[str, Any] = {
    "network": {"size": 8, "channels": 3, "latent": 6, "width": 4},
    "batch": 8,
    "kimg": 0.048,
    "tick_kimg": 0.048,
    "grid": 9,
    "ema.half_life_kimg": 0.02,
}

CYCLEGAN = {
    "network": {"size": 16, "width": 4, "blocks": 1, "judge_width": 4, "judge_halvings": 1},
    "batch": 2,
    "kimg": 0.004,
    "optim.lr": 0.001,
    "grid": 2,
}


@pytest.fixture(scope="session")
def images_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a tiny CycleGAN, hardly trained: it starts from images."""
    place = tmp_path_factory.mktemp("cyclegan")
    a, b = (write_prepared(place / name, blobs(8, 16, 3, seed)) for seed, name in enumerate("ab"))
    found = train("cyclegan-64", data=a, inputs=b, out=place / "runs", overrides=CYCLEGAN, progress=False, device="cpu")
    assert found is not None
    return found


@pytest.fixture
def make_run(make_set: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """make_run(**overrides): a run of a tiny generator, with averaged weights unless the overrides say otherwise."""

    def make(**overrides: Any) -> Path:
        overrides = {**OVERRIDES, **overrides}
        data = make_set(n=48, size=8)
        run = train("dcgan", data=data, out=tmp_path / "runs", overrides=overrides, progress=False, device="cpu")
        assert run is not None
        return run

    return make


@pytest.fixture
def run(make_run: Callable[..., Path]) -> Path:
    """A run of a tiny generator with averaged weights."""
    return make_run()


@pytest.fixture
def told_run(make_set: Callable[..., Path], tmp_path: Path) -> Path:
    """A run of a tiny generator that was told three classes."""
    data = make_set(n=48, size=8, classes=3, name="told")
    overrides = {**OVERRIDES, "network": {**OVERRIDES["network"], "classes": 3}, "kimg": 0.016}
    run = train("dcgan", data=data, out=tmp_path / "runs", overrides=overrides, progress=False, device="cpu")
    assert run is not None
    return run
