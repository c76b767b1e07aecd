"""Two processes as `torchrun` starts them: the same scores, or the same error in both, and no one waits for ever."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

#: Run by both processes in step; each case is one call of `score` and one line.
SCRIPT = """
import json, logging, os, sys, time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from gantools import score
from gantools.errors import GantoolsError
from gantools.metrics.features import processes

folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
processes.SAY = timedelta(seconds=0.2)
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
logging.getLogger("gantools").addHandler(handler)


def case(name, samples, ref=None, **more):
    said.clear()
    try:
        options = {"metrics": "fd", "extractor": "fashion-mnist", "device": "cpu", "cache": False, **more}
        found = score(samples, ref=y if ref is None else ref, **options)
        out = {"value": found.value, "n": found.n_samples}
    except GantoolsError as e:
        out = {"error": type(e).__name__, "message": e.message, "hint": e.hint}
    except ValueError as e:
        out = {"error": "ValueError", "message": str(e), "hint": ""}
    print(json.dumps({"case": name, "waits": any("waits for the other" in text for text in said), **out}), flush=True)


def step(name):
    (folder / f"{name}-{rank}").touch()
    while not (folder / f"{name}-{1 - rank}").exists():
        time.sleep(0.01)


class Broken(torch.utils.data.Dataset):
    def __len__(self):
        return 21

    def __getitem__(self, i):
        if i == 15 and rank == 1:
            raise ValueError("no such picture")
        return x[i]


rng = np.random.default_rng(0)
x, y = (rng.integers(0, 255, (n, 28, 28, 1), dtype=np.uint8) for n in (21, 20))
own = x if rank == 0 else x[::-1].copy()
tensor = torch.from_numpy(x).permute(0, 3, 1, 2)

processes.WAIT = timedelta(seconds=1)
if rank == 0:
    case("first alone, never joined", x)
    case("first alone, by choice", x, distributed=False)
step("one")
processes.WAIT = timedelta(minutes=5)
case("all", x)
step("two")
processes.WAIT = timedelta(seconds=1)
if rank == 0:
    case("first alone, joined before", x)
step("three")
processes.WAIT = timedelta(minutes=5)
case("all again", tensor)
case("a function", lambda n, start: x[start : start + n], n=21)
case("each its own", own)
case("each its own tensor", torch.from_numpy(own))
case("each its own number", x[: 20 + rank])
case("each its own, alone", own, distributed=False)
case("each its own reference", x, ref=own)
case("other metrics", x, metrics="fd" if rank else "kid")
case("the same loader", DataLoader(TensorDataset(tensor), batch_size=4))
sampler = DistributedSampler(TensorDataset(tensor), num_replicas=2, rank=rank)
case("own loaders", DataLoader(TensorDataset(tensor), batch_size=4, sampler=sampler))
case("a loader as reference", x, ref=DataLoader(TensorDataset(tensor), batch_size=4))
case("a loader, each alone", DataLoader(TensorDataset(tensor), batch_size=4), distributed=False)
case("one finds nothing", x if rank == 0 else folder / "nowhere")
case("an item is broken", Broken())
dist.init_process_group("gloo")
case("in a group of the program's", x)
box = torch.ones(1)
dist.all_reduce(box)
assert box.item() == 2
dist.destroy_process_group()
case("all at last", x)
step("done")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """case -> what came of it, for each of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "script.py").write_text(SCRIPT)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, folder / "script.py", folder],
            env={
                **os.environ,
                "RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "GLOO_SOCKET_IFNAME": "lo",
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outs = [process.communicate(timeout=400) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, err) in zip(started, outs, strict=True):
        assert process.returncode == 0, err
    first, second = ({one["case"]: one for one in map(json.loads, out.splitlines())} for out, _ in outs)
    return first, second


@pytest.mark.parametrize("name", ["first alone, never joined", "first alone, joined before"])
def test_who_waits_in_vain_says_so_and_stops(told: Any, name: str) -> None:
    assert told[0][name]["waits"] and told[0][name]["error"] == "ConfigError"
    assert "distributed=False" in told[0][name]["hint"]


@pytest.mark.parametrize("name", ["all", "all again", "a function", "in a group of the program's", "all at last"])
def test_all_get_the_score_of_all_images(told: Any, name: str) -> None:
    alone = told[0]["first alone, by choice"]
    assert alone["n"] == 21
    for rank in range(2):
        assert told[rank][name]["n"] == 21
        assert told[rank][name]["value"] == pytest.approx(alone["value"], rel=1e-4)


@pytest.mark.parametrize("name", ["each its own, alone", "a loader, each alone"])
def test_each_may_score_its_own(told: Any, name: str) -> None:
    for rank in range(2):
        assert told[rank][name]["n"] == 21 and not told[rank][name]["waits"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("each its own", "ConfigError", "do not give the same samples"),
        ("each its own tensor", "ConfigError", "do not give the same samples"),
        ("each its own number", "ConfigError", "do not give the same samples"),
        ("each its own reference", "ConfigError", "do not give the same reference"),
        ("other metrics", "ConfigError", "do not give the same metrics"),
        ("the same loader", "ConfigError", "gives its images once"),
        ("own loaders", "ConfigError", "gives its images once"),
        ("a loader as reference", "ConfigError", "gives its images once"),
        ("one finds nothing", "DataError", "no such file or folder"),
    ],
)
def test_what_cannot_be_is_refused_in_all(told: Any, name: str, error: str, message: str) -> None:
    for rank in range(2):
        assert told[rank][name]["error"] == error and message in told[rank][name]["message"], told[rank][name]
        assert told[rank][name]["hint"]


def test_what_fails_in_one_fails_in_all(told: Any) -> None:
    name = "an item is broken"
    assert told[1][name]["error"] == "ValueError"
    assert told[0][name]["error"] == "MetricError" and "no such picture" in told[0][name]["message"]
