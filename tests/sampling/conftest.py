from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gantools.training.run import train

OVERRIDES: dict[str, Any] = {
    "network": {"size": 8, "channels": 3, "latent": 6, "width": 4},
    "batch": 8,
    "kimg": 0.048,
    "tick_kimg": 0.048,
    "grid": 9,
    "ema.half_life_kimg": 0.02,
}


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
