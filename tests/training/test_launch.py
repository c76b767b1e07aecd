"""A training on workers of Ray: the same as in the processes of torchrun; it stops, and its failures are said."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.test_distributed import alone, apart, newest, together

from gantools import cli
from gantools.errors import ConfigError, GantoolsError, Interrupted
from gantools.runs.checkpoint import read_state
from gantools.runs.layout import list_checkpoints
from gantools.runs.stats import read_lines
from gantools.training import launch
from gantools.training.run import train


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    # The GPUs are names alone: nobody looks for them.
    ray.init(num_cpus=2, num_gpus=2, log_to_driver=False, include_dashboard=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.fixture
def on_ray(ray: Any, points: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """on_ray(**options): train the points in two workers."""

    def run(recipe: Path | None = points["recipe"], **options: Any) -> Path:
        first = {"data": points["data"], "out": tmp_path / "ray", "progress": False, "workers": 2, "device": "cpu"}
        found = train(recipe, engine="ray", **{**first, **options})
        assert found is not None
        return found

    return run


def workers() -> list[int]:
    """The processes that train: Ray puts the method's name into their title."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::Worker.train"):
                found.append(int(entry.name))
    return found


def once(ready: Callable[[], Any], act: Callable[[], None]) -> threading.Thread:
    """act(), in a thread, as soon as `ready()`."""

    def watch() -> None:
        deadline = time.monotonic() + 120
        while not ready() and time.monotonic() < deadline:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_two_workers_are_two_processes_of_torchrun(
    on_ray: Callable[..., Path], points: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = on_ray(progress=True)
    said = capsys.readouterr()
    assert said.out == "" and "2 processes" in said.err and "kimg 0.320" in said.err
    process = together(points["recipe"], "--data", points["data"], "--out", tmp_path / "torchrun")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    (theirs,) = (tmp_path / "torchrun").iterdir()
    assert apart(ours, theirs) < 1e-5 and apart(ours, alone(points, tmp_path / "one")) < 1e-5
    assert [line["nimg"] for line in read_lines(ours / "stats.jsonl")] == [80, 160, 240, 320]
    # Workers go on where one process stopped.
    half = alone(points, tmp_path / "half", kimg=0.16)
    assert on_ray(recipe=None, data=None, out=None, resume=half, kimg=0.32) == half
    assert apart(half, ours) < 1e-5


def test_ctrl_c_leaves_one_whole_checkpoint(on_ray: Callable[..., Path], tmp_path: Path) -> None:
    run = tmp_path / "ray" / "00000-points-points"
    thread = once(lambda: list_checkpoints(run), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="a checkpoint is written") as e:
        on_ray(kimg=1e6)
    thread.join()
    assert e.value.exit_code == 130 and f"--resume {run}" in (e.value.hint or "")
    assert not [p for p in (run / "checkpoints").iterdir() if p.name.startswith(".")]
    assert read_state(newest(run))["nimg"] % 16 == 0
    assert not workers()


def test_a_worker_that_dies_ends_the_training(on_ray: Callable[..., Path], tmp_path: Path) -> None:
    run = tmp_path / "ray" / "00000-points-points"

    def kill() -> None:
        os.kill(max(workers()), signal.SIGKILL)

    thread = once(lambda: list_checkpoints(run), kill)
    start = time.monotonic()
    with pytest.raises(GantoolsError, match=r"worker [12] of 2 of the training, on .*, has died") as e:
        on_ray(kimg=1e6)
    thread.join()
    assert time.monotonic() - start < 100
    assert e.value.hint == f"Go on from its last checkpoint: gantools train --resume {run} --engine ray"
    assert list_checkpoints(run)


def test_an_error_in_a_worker_is_said_as_its_own(on_ray: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "ray").write_text("")  # no folder can be made there, which only the first worker tries
    with pytest.raises(OSError, match=str(tmp_path / "ray")):
        on_ray()


def test_no_room_is_said(on_ray: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "ROOM_S", 1.0)
    with pytest.raises(ConfigError, match=r"no room for 4 workers of 1 CPU: .* of 2 CPUs and 2 GPUs are free") as e:
        on_ray(workers=4)
    assert "fewer --workers" in (e.value.hint or "")
    with pytest.raises(ConfigError, match="no room for 2 workers of 2 CPUs"):
        on_ray(overrides={"compute.threads": 2})


@pytest.mark.skipif(torch.cuda.is_available(), reason="would look for the GPUs that Ray is told of")
def test_each_worker_has_a_gpu(on_ray: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    on_ray(workers=None, device=None, kimg=0.016, progress=True)
    assert "2 processes" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="4 workers want a GPU each, and the Ray cluster has 2") as e:
        on_ray(workers=4, device=None)
    assert e.value.hint == "Say --workers 2, or --device cpu."


def test_mistakes_are_said_before_anything_is_started(
    points: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")

    def started(cpus: int) -> Any:
        raise AssertionError("a cluster was asked for")

    monkeypatch.setattr(launch, "connected", started)
    options = {"data": points["data"], "out": tmp_path, "progress": False, "engine": "ray"}
    with pytest.raises(ConfigError, match="15 images cannot be dealt to 2 processes"):
        train(points["recipe"], workers=2, overrides={"batch": 15}, **options)
    with pytest.raises(ConfigError, match="device cuda:1: Ray chooses"):
        train(points["recipe"], device="cuda:1", **options)
    with pytest.raises(ConfigError, match="Did you mean 'ray'"):
        train(points["recipe"], **{**options, "engine": "rai"})
    with pytest.raises(ConfigError, match="unknown key"):
        train(points["recipe"], overrides={"bach": 1}, **options)
    with pytest.raises(SystemExit) as e:
        cli.main(["train", str(points["recipe"]), "--data", str(points["data"]), "--workers", "2"])
    assert e.value.code == 2
    assert "torchrun --nproc-per-node=N -m gantools train" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="starts the processes itself"):
        train(points["recipe"], **options)


def test_environments_are_those_of_torchrun() -> None:
    places = [launch.Place(node, f"10.0.0.{node}", 4000 + i, "1") for i, node in enumerate("aabb")]
    found = launch.environments(places)
    assert {(e["MASTER_ADDR"], e["MASTER_PORT"], e["WORLD_SIZE"], e["LOCAL_WORLD_SIZE"]) for e in found} == {
        ("10.0.0.a", "4000", "4", "2")
    }
    assert [(e["RANK"], e["LOCAL_RANK"]) for e in found] == [("0", "0"), ("1", "1"), ("2", "0"), ("3", "1")]
