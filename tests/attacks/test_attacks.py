"""Hostile files: each ends as a reject or as an image of the right shape, in bounded time and memory."""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gantools import _native
from gantools.data.prepared import PreparedSet
from gantools.errors import DataError

spec = importlib.util.spec_from_file_location("make", Path(__file__).with_name("make.py"))
assert spec is not None
assert spec.loader is not None
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("attacks") / "files"
    assert len(make.build(folder)) >= 200
    return folder


def prep(*arguments: object) -> tuple[subprocess.CompletedProcess[str], float, int]:
    """The process, its seconds and the most memory it had, in MiB."""
    code = (
        "import resource, sys; from gantools.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    command = [sys.executable, "-c", code, "prep", "folder", *map(str, arguments)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    peak = int(done.stdout.rsplit("peak", 1)[1])
    return done, time.monotonic() - began, peak


@pytest.mark.parametrize("options", [(), ("--fast", "--alpha", "drop", "--crop", "pad", "--orientation", "ignore")])
def test_prep_of_all_of_them_ends_well(hostile, tmp_path, options):
    out = tmp_path / "set"
    done, seconds, peak = prep("--source", hostile, "--size", 16, "--out", out, "--threads", 2, *options)
    assert done.returncode == 0, done.stderr
    assert "panicked" not in done.stderr
    assert "Traceback" not in done.stderr
    assert seconds < 120
    assert peak < 2048
    s = PreparedSet(out)
    names = {p.name for p in hostile.iterdir()}
    rejects = {r["name"]: r["reason"] for r in map(json.loads, (out / "rejects.jsonl").read_text().splitlines())}
    assert set(s.names) | set(rejects) == names
    assert not set(s.names) & set(rejects)
    assert s.shape == (16, 16, 3)
    for name in s.names:
        assert not name.startswith("cut-"), f"{name} ends early, but is taken for an image"
    assert not [name for name, reason in rejects.items() if "please report" in reason]
    # What only looks strange is an image.
    for name in ("really-a-png.jpg", "exif-of-ones.jpg", "two-jpegs.jpg", "bomb-in-ztxt.png", "size-3000.gif"):
        assert name in s.names, rejects.get(name)
    for name in rejects:
        if name.startswith("size-") and name.split("-")[1].startswith(("65", "2")):
            assert "too large" in rejects[name] or "damaged" in rejects[name], (name, rejects[name])


def test_decode_of_each_of_them_ends_well(hostile, capfd):
    images = 0
    for path in sorted(hostile.iterdir()):
        began = time.process_time()
        try:
            image = _native.decode(path.read_bytes(), alpha="drop")
        except DataError as error:
            assert str(error), path.name
        else:
            images += 1
            assert image.dtype == np.uint8
            assert image.ndim == 3
            assert image.shape[2] == 3
            assert image.size > 0
            assert not path.name.startswith("cut-"), path.name
        assert time.process_time() - began < 20, path.name
    assert images > 20  # flips often leave an image
    assert capfd.readouterr().err == ""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20  # KiB


def prepared(folder, names, out) -> list[np.ndarray | str]:
    """For each file its pixels or why there are none, all made by one thread, in this order."""
    policy = _native.PixelPolicy(width=16, height=16, channels=3, alpha="drop")
    source = _native.Source.files(folder, names)
    _, _, rejects, *_ = _native.prepare_shard(source, np.arange(len(names), dtype=np.int64), policy, out, 1)
    reasons, images = {at: reason for at, _, reason in rejects}, iter(np.load(out))
    return [reasons[i] if i in reasons else next(images) for i in range(len(names))]


def test_what_becomes_of_a_file_does_not_depend_on_those_before_it(hostile, tmp_path):
    """A decoder is kept from file to file; no file, good or bad, must leave anything behind."""
    names = sorted(p.name for p in hostile.iterdir())
    alone = {name: prepared(hostile, [name], tmp_path / "x.npy")[0] for name in names}
    assert 50 < sum(isinstance(result, str) for result in alone.values()) < len(names) - 50
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    # Most of all a file with tables of its own before each.
    between = [name for one in names for name in ("other-huffman-tables.jpg", one)]
    for order in (names, names[::-1], shuffled, between):
        for name, result in zip(order, prepared(hostile, order, tmp_path / "x.npy"), strict=True):
            np.testing.assert_array_equal(result, alone[name], err_msg=name)


def test_an_archive_of_hostile_names_stays_inside_and_its_good_images_are_read(tmp_path):
    names = make.archive(tmp_path / "x.zip")
    (tmp_path / "deep/er").mkdir(parents=True)
    out = tmp_path / "deep/er/set"
    done, _, peak = prep("--source", tmp_path / "x.zip", "--size", 16, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "panicked" not in done.stderr
    assert peak < 2048
    rejects = {r["name"]: r["reason"] for r in map(json.loads, (out / "rejects.jsonl").read_text().splitlines())}
    s = PreparedSet(out)
    assert set(rejects) == {"a/nested.zip.jpg", "a/deflated-bomb.png", "a/lies.jpg"}
    assert len(s) + len(rejects) <= len(names)
    assert "a/good.jpg" in s.names
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert all(f == "x.zip" or f.startswith("deep/er/set/") for f in files), files
    assert not Path("/absolute/outside.jpg").exists()
    assert not Path("/tmp/outside.jpg").exists()
