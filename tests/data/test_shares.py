"""`prep --shards i/n` and `gantools merge`."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.data.test_prepare import same_tree

import gantools
from gantools import _native
from gantools.cli.merge import command as merge_command
from gantools.cli.prep import command as prep_command
from gantools.data import prepare
from gantools.data.prepare import merge, prep_share
from gantools.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path):
    """50 images in two classes and one that is none."""
    for i in range(50):
        folder = tmp_path / "photos" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    (tmp_path / "photos/a/bad.png").write_bytes(b"")
    return tmp_path / "photos"


OPTIONS = {"size": 8, "shard_size": 8, "progress": False}


@pytest.fixture
def whole(photos, tmp_path):
    return gantools.prep("folder", source=photos, out=tmp_path / "whole/set", **OPTIONS).path


def shares(photos, out, n, **options):
    return [prep_share("folder", f"{i}/{n}", source=photos, out=out, **{**OPTIONS, **options}) for i in range(1, n + 1)]


@pytest.mark.parametrize("n", [1, 2, 3, 9])  # 9: more shares than shards
def test_shares_put_together_are_the_set(photos, whole, tmp_path, n):
    out = tmp_path / "there/set"
    made = shares(photos, out, n)
    assert [p.name for p in made] == [f"set.part-{i}-of-{n}" for i in range(1, n + 1)]
    s = merge(out, progress=False)
    assert same_tree(s.path, whole)
    # The shares are still there, and a second merge has nothing to do.
    assert sum(len(list(p.glob("*.npy"))) for p in made) == 7
    assert merge(out, progress=False).fingerprint == s.fingerprint
    assert not out.with_name("set.partial").exists()


def test_shares_of_several_machines_without_the_source(photos, whole, tmp_path):
    made = [prep_share("folder", f"{i}/2", source=photos, out=tmp_path / f"m{i}/set", **OPTIONS) for i in (1, 2)]
    shutil.rmtree(photos)
    assert same_tree(merge(tmp_path / "set", reversed(made), progress=False).path, whole)


def test_annotations_of_celeba_come_along(test_data, tmp_path):
    options = {"source": test_data / "data/celeba", "size": 8, "limit": 60, "shard_size": 16, "progress": False}
    options["where"] = "Smiling=1"
    one = gantools.prep("celeba", out=tmp_path / "one/set", **options)
    for i in (1, 2):
        prep_share("celeba", f"{i}/2", out=tmp_path / "two/set", **options)
    assert same_tree(merge(tmp_path / "two/set", progress=False).path, one.path)


def test_a_stopped_share_or_merge_goes_on(photos, whole, tmp_path, monkeypatch):
    out = tmp_path / "there/set"
    first, second = shares(photos, out, 2)
    (first / "images-00002.json").unlink()
    made = []
    original = _native.prepare_shard
    monkeypatch.setattr(_native, "prepare_shard", lambda *a, **k: made.append(a[3].name) or original(*a, **k))
    shares(photos, out, 2)
    assert made == ["images-00002.npy"]
    with monkeypatch.context() as m:
        m.setattr(prepare, "finish", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            merge(out, progress=False)
    assert not out.exists()
    assert same_tree(merge(out, progress=False).path, whole)
    assert len(list(second.glob("images-*.npy"))) == 3


def test_a_missing_or_damaged_shard_is_named_and_nothing_is_made(photos, whole, tmp_path):
    out = tmp_path / "there/set"
    first, second = shares(photos, out, 2)
    data = bytearray((second / "images-00003.npy").read_bytes())
    data[-1] ^= 1
    (second / "images-00003.npy").write_bytes(data)
    (first / "images-00004.json").unlink()
    with pytest.raises(DataError, match="2 of 7 shards are missing or damaged: 3, 4 "):
        merge(out, progress=False)
    assert not out.exists()
    shares(photos, out, 2)
    assert same_tree(merge(out, progress=False).path, whole)


def test_what_does_not_belong_together_is_refused(photos, whole, tmp_path):
    out = tmp_path / "set"
    first, _ = shares(photos, out, 2)
    other = prep_share("folder", "2/2", source=photos, out=tmp_path / "x/set", **{**OPTIONS, "filter": "box"})
    with pytest.raises(DataError, match=r"shares of different sets \(they differ in policy"):
        merge(out, [first, other], progress=False)
    with pytest.raises(DataError, match="is a share of 'set', not of 'else'"):
        merge(tmp_path / "else", [first], progress=False)
    with pytest.raises(DataError, match="no share of it"):
        merge(tmp_path / "nothing", progress=False)
    with pytest.raises(DataError, match="not a share"):
        merge(out, [photos], progress=False)
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="is something else"):
        merge(out, progress=False)
    with pytest.raises(DataError, match="stopped run of another source"):
        shares(photos, out, 2, filter="box")


def test_a_damaged_listing_is_an_error(photos, tmp_path):
    out = tmp_path / "set"
    (share,) = shares(photos, out, 1)
    (share / "listing/labels.npy").unlink()
    with pytest.raises(DataError, match="listing: missing or damaged"):
        merge(out, progress=False)
    lines = (share / "listing/names.jsonl").read_text().splitlines(keepends=True)
    shares(photos, out, 1)
    (share / "listing/names.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match="one row an image"):
        merge(out, progress=False)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_wrong_share_is_an_error(photos, tmp_path, text):
    with pytest.raises(ConfigError, match="not a share"):
        prep_share("folder", text, source=photos, out=tmp_path / "set", **OPTIONS)


def test_the_commands(photos, whole, tmp_path):
    out = str(tmp_path / "set")
    arguments = ["folder", "--source", str(photos), "--size", "8", "--shard-size", "8", "--out", out]
    for i in (1, 2):
        done = CliRunner().invoke(prep_command, [*arguments, "--shards", f"{i}/2"])
        assert (done.exit_code, done.stdout) == (0, f"{out}.part-{i}-of-2\n"), done.output
    done = CliRunner().invoke(merge_command, [out])
    assert (done.exit_code, done.stdout) == (0, f"{out}\n"), done.output
    assert same_tree(tmp_path / "set", whole)
