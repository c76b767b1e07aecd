"""Reading a prepared set."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.conftest import blobs

import gantools
from gantools.data.prepared import is_prepared
from gantools.errors import DataError


@pytest.fixture
def path(make_set):
    return make_set(n=150, size=8, channels=3, classes=7)


def test_open_gives_images_labels_and_names(path):
    images = blobs(150, 8, 3)
    s = gantools.open(path)
    assert (len(s), s.shape, s.name) == (150, (8, 8, 3), "blobs")
    np.testing.assert_array_equal(s[70], images[70])
    np.testing.assert_array_equal(s[-1], images[-1])
    np.testing.assert_array_equal(s.labels, np.arange(150) % 7)
    assert s.classes == [str(i) for i in range(7)]
    assert s.names[149] == "000149.png"
    with pytest.raises(IndexError):
        s[150]


def test_gather_takes_any_order_across_shards_and_writes_into_a_buffer(path):
    images = blobs(150, 8, 3)
    s = gantools.open(path)
    index = np.random.default_rng(0).integers(0, 150, 400)
    np.testing.assert_array_equal(s.gather(index), images[index])
    out = np.zeros((400, 8, 8, 3), np.uint8)
    assert s.gather(index, out=out) is out
    np.testing.assert_array_equal(out, images[index])
    assert s.gather([]).shape == (0, 8, 8, 3)
    for wrong in ([150], [-1], [[0]]):
        with pytest.raises(IndexError):
            s.gather(wrong)
    with pytest.raises(ValueError, match="out must be uint8"):
        s.gather([0], out=np.zeros((2, 8, 8, 3), np.uint8))


def test_batches_drop_nothing(path):
    batches = list(gantools.open(path).batches(64))
    assert [len(b) for b in batches] == [64, 64, 22]
    np.testing.assert_array_equal(np.concatenate(batches), blobs(150, 8, 3))


def test_a_shard_is_plain_numpy(path):
    assert np.load(path / "images-00000.npy", mmap_mode="r").shape == (64, 8, 8, 3)


def test_what_is_no_prepared_set_is_an_error_that_says_what_to_type(tmp_path, path):
    (tmp_path / "other").mkdir()
    (tmp_path / "json").mkdir()
    (tmp_path / "json/manifest.json").write_text('{"format": "else"}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/manifest.json").write_text("{")
    for name, words in (
        ("nowhere", "no such folder"),
        ("other", "not a prepared"),
        ("json", "kind"),
        ("broken", "damaged"),
    ):
        assert not is_prepared(tmp_path / name)
        with pytest.raises(DataError, match=words):
            gantools.open(tmp_path / name)


def edit(path, **changes):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def test_damage_is_found_when_opening(path):
    edit(path, version=99)
    with pytest.raises(DataError, match="format 99"):
        gantools.open(path)
    edit(path, version=1, count=149)
    with pytest.raises(DataError, match="says 149 images"):
        gantools.open(path)
    edit(path, count=150, shape=[8, 8, 1])
    with pytest.raises(DataError, match="the manifest says"):
        gantools.open(path)


def test_a_truncated_or_missing_shard_is_an_error_not_a_crash(path):
    shard = path / "images-00001.npy"
    data = shard.read_bytes()
    for end in (len(data) - 1, 200, 128, 20, 0):
        shard.write_bytes(data[:end])
        with pytest.raises(DataError, match=r"images-00001.npy: the shard is damaged"):
            gantools.open(path)
    shard.unlink()
    with pytest.raises(DataError, match="missing"):
        gantools.open(path)


def test_a_pickle_in_place_of_labels_is_not_loaded(path):
    np.save(path / "labels.npy", np.array([{"a": 1}] * 150, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"labels\.npy"):
        _ = gantools.open(path).labels
