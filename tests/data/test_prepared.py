"""Reading a prepared set."""

from __future__ import annotations

import json
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
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


def test_gather_mirrors_the_images_marked(path):
    images = blobs(150, 8, 3)
    s = gantools.open(path)
    index = np.random.default_rng(0).integers(0, 150, 300)
    flip = np.random.default_rng(1).random(300) < 0.5
    expected = images[index]
    expected[flip] = expected[flip][:, :, ::-1]
    np.testing.assert_array_equal(s.gather(index, flip=flip), expected)
    scattered = np.zeros((600, 8, 8, 3), np.uint8)[::2]
    np.testing.assert_array_equal(s.gather(index, out=scattered, flip=list(flip)), expected)
    with pytest.raises(ValueError, match="flip must be of shape"):
        s.gather(index, flip=flip[1:])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n", [5, 2500])  # one thread; several
def test_floats_are_those_of_torch_in_both_layouts(make_set, channels, n):
    images = blobs(150, 8, channels)
    s = gantools.open(make_set(n=150, size=8, channels=channels, name="other"))
    index = np.random.default_rng(0).integers(0, 150, n)
    flip = np.random.default_rng(1).random(n) < 0.5
    pixels = images[index]
    pixels[flip] = pixels[flip][:, :, ::-1]
    expected = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(127.5).sub(1).numpy()
    np.testing.assert_array_equal(s.gather_float(index, flip=flip), expected)
    out = torch.empty((n, channels, 8, 8)).contiguous(memory_format=torch.channels_last)
    view = out.permute(0, 2, 3, 1).numpy()
    assert s.gather_float(index, view, flip, layout="nhwc") is view
    np.testing.assert_array_equal(out.numpy(), expected)
    with pytest.raises(ValueError, match="contiguous float32"):
        s.gather_float(index, out=np.empty((n, 8, channels, 8), np.float32))
    with pytest.raises(ValueError, match="layout is"):
        s.gather_float(index, layout="chwn")


def _sum(s, queue):
    # More than one thread's worth of work, so that a pool inherited from the parent would hang here.
    queue.put(int(s.gather(np.arange(10_000) % len(s)).sum()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_open_set_works_in_another_process(path, method):
    s = gantools.open(path)
    expected = int(s.gather(np.arange(10_000) % 150).sum())
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_sum, args=(s, queue))
    process.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        process.kill()
        process.join()


def test_a_pickled_set_is_its_path(path):
    data = pickle.dumps(gantools.open(path))
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data)[3], blobs(150, 8, 3)[3])


def test_a_set_on_a_read_only_medium_can_be_read(path):
    files = sorted(path.iterdir())
    for file in files:
        file.chmod(0o444)
    path.chmod(0o555)
    try:
        s = gantools.open(path)
        assert s.gather(np.arange(150)).shape == (150, 8, 8, 3)
        assert (len(s.names), len(s.labels)) == (150, 150)
        # Root may write anywhere; so that nothing was written is checked as well.
        assert sorted(path.iterdir()) == files
    finally:
        path.chmod(0o755)


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
