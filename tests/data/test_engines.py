"""Shards as Ray tasks: the same bytes, also when a worker is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.test_prepare import jpeg, run, same_tree

import gantools
from gantools.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(60):
        (root / f"{i:03d}.jpg").write_bytes(jpeg(i, (30 + i % 7, 25 + i % 11)))
    (root / "bad.jpg").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="error")
    yield ray
    ray.shutdown()


def test_unknown_engines_and_lost_workers_are_said(photos, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'ray'"):
        run(photos, tmp_path, engine="rey")
    with pytest.raises(ConfigError, match="--threads"):
        run(photos, tmp_path, workers=2)


def test_ray_makes_the_same_set(ray, photos, tmp_path, monkeypatch):
    whole = run(photos, tmp_path, out=tmp_path / "whole/set")
    # A path that only this process's folder makes sense of.
    monkeypatch.chdir(tmp_path)
    s = gantools.prep(
        "folder", source="photos", size=16, shard_size=16, out="ray/set", progress=False, engine="ray", workers=2
    )
    assert same_tree(s.path, whole.path)
    assert s.manifest["source"]["rejected"] == 1


def test_ray_goes_on_after_a_stopped_run(ray, photos, tmp_path):
    whole = run(photos, tmp_path, out=tmp_path / "whole/set")
    out = tmp_path / "again/set"
    s = run(photos, tmp_path, out=out, engine="ray")
    partial = out.with_name("set.partial")
    s.path.rename(partial)
    (partial / "manifest.json").unlink()
    (partial / "images-00002.npy").unlink()
    assert same_tree(run(photos, tmp_path, out=out, engine="ray", overwrite=True).path, whole.path)


def test_an_unreadable_image_is_an_error_with_strict(ray, photos, tmp_path):
    with pytest.raises(DataError, match=r"bad.jpg: not an image"):
        run(photos, tmp_path, engine="ray", strict=True)


def test_a_worker_with_another_source_is_an_error(ray, photos, tmp_path):
    code = """
import sys, gantools, gantools.errors
from gantools.data import engines
digest = engines.digest
engines.digest = lambda plan: "x" + digest(plan)  # what this process sees is something else
try:
    gantools.prep("folder", source=sys.argv[1], size=8, out=sys.argv[2], engine="ray", workers=1, progress=False)
except gantools.errors.DataError as e:
    print(e)
"""
    command = [sys.executable, "-c", code, str(photos), str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "sees another source" in done.stdout, done.stderr


def _workers() -> list[int]:
    """Processes that are at work on a shard: Ray puts the task's name into their title."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            if title.startswith(b"ray::gantools shard"):
                found.append(int(entry.name))
    return found


def test_a_killed_worker_changes_nothing(ray, tmp_path):
    root = tmp_path / "large"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (700, 700, 3), dtype=np.uint8)).save(root / f"{i}.jpg", quality=95)
    for i in range(8, 160):
        os.link(root / f"{i % 8}.jpg", root / f"{i}.jpg")
    options = {"size": 64, "shard_size": 20}
    whole = run(root, tmp_path, out=tmp_path / "whole/set", **options)
    out = tmp_path / "killed/set"
    code = (
        "import sys, gantools\n"
        "gantools.prep('folder', source=sys.argv[1], size=64, shard_size=20, out=sys.argv[2], engine='ray', workers=2,"
        " progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(root), str(out)])
    partial = out.with_name("set.partial")
    killed = 0
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        # In the middle: a shard is done and others are not.
        if not killed and len(list(partial.glob("images-*.json"))) >= 1 and (workers := _workers()):
            os.kill(workers[0], signal.SIGKILL)
            killed += 1
        time.sleep(0.01)
    assert process.wait(timeout=10) == 0
    assert killed == 1
    assert same_tree(out, whole.path)
