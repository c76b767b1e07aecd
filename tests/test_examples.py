"""The examples of docs/examples: they are trained as they are, and as the page says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gantools.errors import ConfigError
from gantools.recipes.recipe import load_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture
def learn(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benches/learn.py, with the examples where Python looks for modules."""
    monkeypatch.syspath_prepend(str(ROOT / "docs/examples"))
    spec = importlib.util.spec_from_file_location("learn", ROOT / "benches/learn.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_is_short() -> None:
    assert len((ROOT / "docs/examples/mygan/points.py").read_text().splitlines()) < 60


def test_a_system_outside_gantools_learns_a_ring(learn: ModuleType, tmp_path: Path) -> None:
    covered, good, _ = learn.learn("ring", "relativistic + r1 + r2", 0, 100, tmp_path)
    assert covered == 8
    assert good > 0.35


def test_a_module_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.startswith("mygan")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"the module 'mygan.points' cannot be imported") as error:
        load_recipe(ROOT / "docs/examples/points.yaml")
    assert "PYTHONPATH" in str(error.value)


def test_the_measure_counts_heaps_and_good_samples(learn: ModuleType) -> None:
    for kind, count in (("ring", 8), ("grid", 25)):
        middles = learn.heaps(kind)
        assert learn.judge(np.repeat(middles, 40, 0), kind) == (count, 1.0)
        # All in one heap, then all between heaps.
        assert learn.judge(np.repeat(middles[:1], 40, 0), kind) == (1, 1.0)
        assert learn.judge(np.full((40, 2), 0.99), kind) == (0, 0.0)
        half = np.concatenate([middles, middles + 0.15])
        assert learn.judge(half, kind)[1] == 0.5
