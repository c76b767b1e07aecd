"""Sets whose images are stored encoded: the same pixels, smaller, decoded at each reading."""

from __future__ import annotations

import multiprocessing
import shutil

import numpy as np
import pytest
from tests.data.test_prepare import jpeg, run, same_tree

import gantools
from gantools.data.inspect import info, verify
from gantools.data.prepare import merge, prep_share
from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path):
    """40 JPEGs of mixed sizes in two classes, one broken."""
    root = tmp_path / "photos"
    for i in range(40):
        place = root / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:03d}.jpg").write_bytes(jpeg(i, (60 + i % 7, 45 + i % 11)))
    (root / "a" / "broken.jpg").write_bytes(jpeg(1)[:500])
    return root


@pytest.fixture
def plain(photos, tmp_path):
    return run(photos, tmp_path, out=tmp_path / "plain")


@pytest.mark.parametrize("encoding", ["png", "original"])
@pytest.mark.parametrize("policy", [{}, {"crop": "pad", "pad_color": "#102030"}, {"channels": 1}, {"crop": "dhariwal"}])
def test_the_pixels_are_those_of_a_plain_set(photos, tmp_path, encoding, policy):
    plain = run(photos, tmp_path, out=tmp_path / "plain", **policy)
    s = run(photos, tmp_path, store="encoded", encoding=encoding, **policy)
    assert (len(s), s.shape, s.names) == (40, plain.shape, plain.names)
    assert not list(s.path.glob("images-*.npy"))
    order = np.random.default_rng(0).permutation(40)
    flip = order % 3 == 0
    np.testing.assert_array_equal(s.gather(order, flip=flip), plain.gather(order, flip=flip))
    for layout in ("nchw", "nhwc"):
        ours = s.gather_float(order, flip=flip, layout=layout)
        np.testing.assert_array_equal(ours, plain.gather_float(order, flip=flip, layout=layout))
    np.testing.assert_array_equal(s[7], plain[7])
    assert verify(s.path) == []
    assert info(s.path)["duplicates"]["images"] == 0


def test_the_default_encoding_loses_nothing_and_jpeg_little(photos, plain, tmp_path):
    s = run(photos, tmp_path, store="encoded", size=40)
    exact = run(photos, tmp_path, out=tmp_path / "exact", size=40)
    assert s.manifest["policy"]["store"] == "png"
    np.testing.assert_array_equal(s.gather(range(40)), exact.gather(range(40)))
    lossy = run(photos, tmp_path, out=tmp_path / "lossy", store="encoded", encoding="jpeg", size=40)
    off = lossy.gather(range(40)).astype(int) - exact.gather(range(40))
    assert 0 < np.abs(off).mean() < 2.5
    assert sum(f.stat().st_size for f in lossy.path.glob("*.blobs")) < 40 * 40 * 40 * 3 / 2


def test_original_bytes_are_the_bytes(photos, tmp_path):
    s = run(photos, tmp_path, store="encoded", encoding="original")
    stored = b"".join(f.read_bytes() for f in sorted(s.path.glob("*.blobs")))
    for name in s.names:
        assert (photos / name).read_bytes() in stored


def test_threads_shares_and_a_second_run_give_the_same_bytes(photos, tmp_path):
    options = {"store": "encoded"}
    whole = run(photos, tmp_path, out=tmp_path / "whole/set", **options)
    assert same_tree(run(photos, tmp_path, out=tmp_path / "one/set", threads=1, **options).path, whole.path)
    for i in (1, 2):
        prep_share(
            "folder", f"{i}/2", source=photos, size=16, shard_size=16, out=tmp_path / "x/set", progress=False, **options
        )
    assert same_tree(merge(tmp_path / "x/set", progress=False).path, whole.path)
    # Nothing to do.
    assert run(photos, tmp_path, out=tmp_path / "whole/set", **options).fingerprint == whole.fingerprint


def test_training_batches_and_exports_read_it(photos, plain, tmp_path):
    s = run(photos, tmp_path, store="encoded", encoding="original")
    ours = [images for images, _, _ in s.loader(16, seed=3, flip=True)]
    theirs = [images for images, _, _ in plain.loader(16, seed=3, flip=True)]
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    for name, data in (("ours.npz", s), ("theirs.npz", plain)):
        gantools.export(data.path, to="npz", out=tmp_path / name)
    assert np.array_equal(np.load(tmp_path / "ours.npz")["arr_0"], np.load(tmp_path / "theirs.npz")["arr_0"])


def _sum(path_and_rows):
    path, rows = path_and_rows
    return int(PreparedSet(path).gather(rows).sum()) if isinstance(path, str) else int(path.gather(rows).sum())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_it_may_be_read_in_other_processes(photos, tmp_path, method):
    s = run(photos, tmp_path, store="encoded")
    expected = int(s.gather(range(40)).sum())  # its threads exist before the fork
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_sum, [(s, list(range(40)))] * 3) == [expected] * 3


def test_damage_is_named(photos, tmp_path):
    s = run(photos, tmp_path, store="encoded")
    shard = sorted(s.path.glob("*.blobs"))[1]
    good = shard.read_bytes()
    for end in (0, 7, 20, len(good) - 1):
        shard.write_bytes(good[:end])
        with pytest.raises(DataError, match=r"images-00001.blobs: the shard is damaged"):
            PreparedSet(s.path)
        assert verify(s.path)
    # A changed byte in the middle of an image is found by verify, and by reading where it breaks the image.
    at = good.index(b"IDAT") + 20
    shard.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
    assert "changed" in verify(s.path)[0]
    with pytest.raises(DataError, match=r"images-00001.blobs: image \d+ of the set is damaged"):
        PreparedSet(s.path).gather(range(40))
    shutil.copy(sorted(s.path.glob("*.blobs"))[0], shard)
    with pytest.raises(DataError, match="image"):
        PreparedSet(s.path).gather(range(len(s)))
    shard.unlink()
    with pytest.raises(DataError, match="missing"):
        PreparedSet(s.path)


def test_a_manifest_that_does_not_fit_is_an_error(photos, tmp_path):
    s = run(photos, tmp_path, store="encoded")
    manifest = (s.path / "manifest.json").read_text()
    for old, new in (
        ('"store": "png"', '"store": "jxl"'),
        ('"store": "png"', '"store": "pixels"'),
        ('"crop": "center"', '"crop": "round"'),
        ('"filter": "lanczos"', '"filter": 3'),
        ('"alpha": "error",', ""),
        ('"width": 16', '"width": 17'),
        ('"width": 16', '"width": -16'),
    ):
        assert old in manifest
        (s.path / "manifest.json").write_text(manifest.replace(old, new, 1))
        with pytest.raises(DataError):
            PreparedSet(s.path)


def test_wrong_options_are_said(photos, tmp_path):
    for wrong, words in (
        ({"store": "encodet"}, "Did you mean 'encoded'"),
        ({"store": "encoded", "encoding": "jpg"}, "Did you mean 'jpeg'"),
        ({"encoding": "png"}, "--store encoded"),
    ):
        with pytest.raises(ConfigError, match=words):
            run(photos, tmp_path, **wrong)
