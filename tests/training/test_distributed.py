"""Trainings in several processes, and trainings that are killed: on the example of a system outside gantools."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import assert_same, blobs, write_prepared

from gantools.errors import ConfigError
from gantools.runs.checkpoint import read_state
from gantools.runs.layout import list_checkpoints
from gantools.runs.stats import read_lines
from gantools.training.distributed import Processes
from gantools.training.run import train


def alone(points: dict[str, Any], out: Path, **options: Any) -> Path:
    run = train(points["recipe"], data=points["data"], out=out, device="cpu", progress=False, **options)
    assert run is not None
    return run


def together(*arguments: str | Path, count: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={count}", "--standalone"]
    command += ["-m", "gantools", "train", "--device", "cpu", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def newest(run: Path) -> Path:
    return list_checkpoints(run)[-1]


def apart(run: Path, other: Path) -> float:
    """The largest difference of a weight, over the largest weight of its tensor."""
    worst = 0.0
    for file in newest(run).glob("*.safetensors"):
        ours, theirs = load_file(file), load_file(newest(other) / file.name)
        assert ours.keys() == theirs.keys()
        for key, a in ours.items():
            worst = max(worst, float((a - theirs[key]).abs().max() / theirs[key].abs().max().clamp(min=1e-3)))
    return worst


def test_two_processes_are_one_training(points: dict[str, Any], tmp_path: Path) -> None:
    one = alone(points, tmp_path / "one")
    process = together(points["recipe"], "--data", points["data"], "--out", tmp_path / "two")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    (two,) = (tmp_path / "two").iterdir()
    assert out.strip().splitlines().count(str(two)) == 1 and "2 processes" in err
    assert [line["nimg"] for line in read_lines(two / "stats.jsonl")] == [80, 160, 240, 320]
    assert apart(two, one) < 1e-5
    for name in ("loss_d", "loss_g"):
        ours, theirs = ([line[name] for line in read_lines(run / "stats.jsonl")] for run in (two, one))
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    # Two go on where one stopped, and one where two did.
    half = alone(points, tmp_path / "half", kimg=0.16)
    process = together("--resume", half, "--kimg", "0.24")
    assert process.wait(timeout=200) == 0, process.communicate()[1]
    train(resume=half, kimg=0.32, device="cpu", progress=False)
    assert read_state(newest(half))["nimg"] == 320 and apart(half, one) < 1e-5


def test_two_processes_train_convolutions_as_one(tmp_path: Path) -> None:
    """Their weights lie channels last, and gradients that are averaged in the order of rows; pools get all rows."""
    sets = {name: write_prepared(tmp_path / name, blobs(16, 16, 3, i)) for i, name in enumerate(("data", "inputs"))}
    network = {"size": 16, "width": 4, "blocks": 1, "judge_width": 4, "judge_halvings": 2, "pool": 5}
    changes = {f"network.{key}": value for key, value in network.items()}
    # Steepest descent, which makes no more of a rounding than it is.
    changes |= {"optim.kind": "sgd", "optim.lr": 0.0001, "compute.channels_last": True, "batch": 4, "kimg": 0.016}
    one = train("cyclegan-64", **sets, out=tmp_path / "one", overrides=changes, device="cpu", progress=False)
    assert one is not None
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    process = together(
        "cyclegan-64", "--data", sets["data"], "--inputs", sets["inputs"], "--out", tmp_path / "two", *words
    )
    assert process.wait(timeout=200) == 0, process.communicate()[1]
    (two,) = (tmp_path / "two").iterdir()
    assert apart(two, one) < 1e-4


def test_a_batch_that_cannot_be_dealt_out() -> None:
    assert Processes(1, 4).rows(32) == (8, 16)
    with pytest.raises(ConfigError, match="10 images cannot be dealt to 4 processes") as e:
        Processes(0, 4).rows(10)
    assert "--batch 12" in (e.value.hint or "")


def test_an_error_in_one_process_ends_all(points: dict[str, Any], tmp_path: Path) -> None:
    start = time.monotonic()
    process = together(points["recipe"], "--data", points["data"], "--out", tmp_path / "runs", "--batch", "15")
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0 and "15 images cannot be dealt to 2 processes" in err
    assert time.monotonic() - start < 60


def test_ctrl_c_leaves_one_whole_checkpoint(points: dict[str, Any], tmp_path: Path) -> None:
    process = together(points["recipe"], "--data", points["data"], "--out", tmp_path / "runs", "--kimg", "1e6")
    run = tmp_path / "runs" / "00000-points-points"
    deadline = time.monotonic() + 120
    while not list_checkpoints(run) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0 and "a checkpoint is written" in err
    assert not [p for p in (run / "checkpoints").iterdir() if p.name.startswith(".")]
    state = read_state(newest(run))
    assert state["nimg"] % 16 == 0
    assert train(resume=run, kimg=state["nimg"] / 1000 + 0.016, device="cpu", progress=False) == run


# Forks from a process that has not computed anything, because threads of torch do not survive a fork.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import gantools.training.run
from gantools.runs.layout import list_checkpoints

recipe, data, out, kills = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
draw = random.Random(0)
for kill in range(kills + 1):
    child = os.fork()
    if child == 0:
        runs = [p for p in out.iterdir() if list_checkpoints(p)] if out.is_dir() else []
        what = {"resume": runs[-1]} if runs else {"recipe": recipe, "data": data, "out": out}
        gantools.training.run.train(**what, device="cpu", progress=False, kimg=KIMG)
        os._exit(0)
    if kill < kills:
        time.sleep(draw.uniform(0.05, 0.5))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    else:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_twenty_kills_change_nothing(points: dict[str, Any], tmp_path: Path) -> None:
    kimg = 3.2
    straight = alone(points, tmp_path / "straight", kimg=kimg)
    script = KILLED.replace("KIMG", str(kimg))
    command = [sys.executable, "-c", script, str(points["recipe"]), str(points["data"]), str(tmp_path / "runs"), "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    killed = max((tmp_path / "runs").iterdir())
    assert newest(killed).name == newest(straight).name
    for file in newest(straight).glob("*.safetensors"):
        assert_same(load_file(newest(killed) / file.name), load_file(file))
    assert not [p for p in (killed / "checkpoints").iterdir() if p.name.startswith(".")]
    nimg = [line["nimg"] for line in read_lines(killed / "stats.jsonl")]
    assert nimg == sorted(set(nimg))  # no tick twice


def test_random_numbers_do_not_depend_on_the_process() -> None:
    from gantools.models.system import Batch
    from gantools.training.seeds import reseed

    def drawn(rows: torch.Tensor | None, n: int) -> list[torch.Tensor]:
        reseed(torch.device("cpu"), 7, 128, 0, 1)
        batch = Batch(torch.zeros(n, 1, 1, 2), rows=rows, whole=8)
        return [batch.normal(3), batch.uniform(1, 1), batch.integers(10)]

    whole = drawn(None, 8)
    parts = [drawn(torch.arange(0, 4), 4), drawn(torch.arange(4, 8), 4)]
    for one, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(one, torch.cat([first, second]))
    reseed(torch.device("cpu"), 7, 128, 0, 2)
    assert not torch.equal(torch.randn(8, 3), whole[0])
