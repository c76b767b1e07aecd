"""Trackers, by modules that record what they are called with: their packages need accounts and servers."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from gantools.errors import ConfigError
from gantools.recipes.recipe import Recipe
from gantools.runs.stats import read_lines
from gantools.runs.trackers import TRACKERS, Trackers, check


class Fake(types.ModuleType):
    """A module with the part of the interface that wandb and trackio share."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.begun: list[dict[str, Any]] = []
        self.rows: list[tuple[int, dict[str, Any], dict[str, Any]]] = []
        self.finished = 0
        self.fails = ""

    def init(self, **options: Any) -> Fake:
        print("a line of its own")
        self._fail("init")
        self.begun.append(options)
        return self

    def log(self, values: dict[str, Any], step: int, **options: Any) -> None:
        self._fail("log")
        self.rows.append((step, values, options))

    def finish(self) -> None:
        self._fail("finish")
        self.finished += 1

    def Image(self, path: str) -> tuple[str, int]:
        return ("image", len(Path(path).read_bytes()))

    def _fail(self, where: str) -> None:
        if self.fails == where:
            raise RuntimeError(f"{where} does not work.\nA long story.")


@pytest.fixture(params=sorted(TRACKERS))
def fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Fake:
    module = Fake(request.param)
    monkeypatch.setitem(sys.modules, request.param, module)
    for kind in TRACKERS.values():
        monkeypatch.delenv(kind.variable, raising=False)
    return module


def test_recipes_know_all_trackers() -> None:
    (names, _) = get_args(get_type_hints(Recipe)["track"])
    assert sorted(get_args(names)) == sorted(TRACKERS)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in TRACKERS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "wandb" / "run-1").mkdir(parents=True)  # as wandb leaves it: no package
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ConfigError, match="track: wandb is not installed") as e:
        check(["wandb"])
    assert e.value.hint == "pip install 'gantools[wandb]', or --set track=[]"
    (tmp_path / "trackio.py").write_text("")
    check(["trackio"])


def test_a_training_is_tracked_and_goes_on_in_the_same_run(
    fake: Fake, go: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = go(kimg=0.048, track=[fake.__name__])
    assert capsys.readouterr().out == ""
    (begun,) = fake.begun
    assert begun["project"] == "gantools" and begun["resume"] == "allow" and run.name in begun["name"]
    assert begun["config"]["recipe"]["optim"]["lr"] == 0.001 and begun["config"]["data"]["name"] == "blobs"
    known = json.loads((run / "trackers.json").read_text())[fake.__name__]
    assert known["id"] in (begun["id"] if fake.__name__ == "wandb" else begun["name"])
    assert fake.finished == 1
    go(recipe=None, data=None, resume=run, kimg=0.096)
    again = fake.begun[1]
    assert {k: v for k, v in again.items() if k != "config"} == {k: v for k, v in begun.items() if k != "config"}
    assert [step for step, *_ in fake.rows] == [0, 48, 48, 96, 96]
    grids = [values["grid"] for _, values, _ in fake.rows if "grid" in values]
    assert grids == [("image", len(p.read_bytes())) for p in sorted((run / "grids").iterdir())]
    numbers = [(step, values) for step, values, _ in fake.rows if "loss_d" in values]
    for (step, values), line in zip(numbers, read_lines(run / "stats.jsonl"), strict=True):
        assert step == line["nimg"] and values["loss_d"] == line["loss_d"] and values["kimg"] == line["kimg"]
        assert all(isinstance(value, float) for value in values.values())
    if fake.__name__ == "wandb":  # the numbers of a step close it
        assert [options["commit"] for *_, options in fake.rows] == [False, False, True, False, True]
    # Another run is another one there, also where it has the same name.
    other = go(kimg=0.048, track=[fake.__name__], out=tmp_path / "other")
    assert other.name == run.name
    keys = ("id",) if fake.__name__ == "wandb" else ("name",)
    assert all(fake.begun[2][key] != begun[key] for key in keys)


def test_without_being_asked_nothing_is_tracked(fake: Fake, go: Any) -> None:
    run = go()
    assert fake.begun == [] and not (run / "trackers.json").exists()


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_a_tracker_that_fails_is_one_warning(
    fake: Fake, go: Any, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fails = where
    run = go(track=[fake.__name__])
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert warnings == [
        f"warning: {fake.__name__} does not track this run any more: {where} does not work. "
        f"Its numbers and grids are in {run}."
    ]
    assert [line["nimg"] for line in read_lines(run / "stats.jsonl")] == [48, 96]


def test_the_project_of_the_environment(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACKERS[fake.__name__].variable, "faces")
    Trackers([fake.__name__], tmp_path, {}, print).close()
    monkeypatch.setenv(TRACKERS[fake.__name__].variable, "others")
    Trackers([fake.__name__], tmp_path, {}, print).close()
    assert [options["project"] for options in fake.begun] == ["faces", "faces"]


def test_a_key_of_recipes(go: Any) -> None:
    with pytest.raises(ConfigError, match=r"track\[0\]: expected one of trackio, wandb, found 'wand'") as e:
        go(track=["wand"])
    assert e.value.hint == "Did you mean 'wandb'?"
    if all(name not in sys.modules for name in TRACKERS):
        with pytest.raises(ConfigError, match="trackio is not installed"):
            go(track=["trackio"])
