"""Images in `.npy` and `.npz`."""

from __future__ import annotations

import numpy as np
import pytest

import gantools
from gantools.data.sources import array
from gantools.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 6, 6), dtype=np.uint8)


@pytest.mark.parametrize("x", [RGB, GREY, GREY[..., None], np.asfortranarray(RGB)])
@pytest.mark.parametrize("how", ["npy", "npz", "compressed", "version 2"])
def test_pixels_and_labels_are_kept(tmp_path, x, how):
    path = tmp_path / "x.npz"
    labels = np.array([2, 0, 1, 1, 0])
    if how == "npy":
        path = tmp_path / "x.npy"
        np.save(path, x)
    elif how == "version 2":
        path = tmp_path / "x.npy"
        with path.open("wb") as f:
            np.lib.format.write_array(f, x, version=(2, 0))
    else:
        (np.savez if how == "npz" else np.savez_compressed)(path, arr_0=x, arr_1=labels)
    s = gantools.prep("array", source=path, out=tmp_path / "set", progress=False)
    np.testing.assert_array_equal(s.gather(np.arange(5)), x.reshape(5, 6, 6, -1))
    if path.suffix == ".npz":
        assert s.labels.tolist() == labels.tolist()
        assert s.classes == ["0", "1", "2"]
    else:
        assert s.labels is None


def test_other_names_and_class_names(tmp_path):
    np.savez(tmp_path / "x.npz", images=RGB, y=np.array(["b", "a", "b", "a", "a"]))
    source = array.open_source(tmp_path / "x.npz")
    assert (source.classes, source.labels.tolist()) == (["a", "b"], [1, 0, 1, 0, 0])
    np.savez(tmp_path / "x.npz", x=RGB, labels=np.arange(5), classes=np.array(list("vwxyz")))
    assert array.open_source(tmp_path / "x.npz").classes == list("vwxyz")


def test_two_files_of_one_shape_have_two_fingerprints(tmp_path):
    np.save(tmp_path / "a.npy", RGB)
    np.save(tmp_path / "b.npy", RGB[::-1].copy())
    prints = [array.open_source(tmp_path / name).reader.fingerprint() for name in ("a.npy", "b.npy", "a.npy")]
    assert prints[0] == prints[2] != prints[1]


def test_what_is_no_array_of_images_is_an_error(tmp_path):
    path = tmp_path / "x.npy"
    for x, words in (
        (RGB.astype(np.float32), "float32, not uint8"),
        (RGB.transpose(0, 3, 1, 2), r"6 channels"),
        (RGB[0, 0], "holds no images"),
        (RGB[:0], "holds no images"),
        (np.array([{}], dtype=object), "not uint8|not a readable"),
    ):
        np.save(path, x)
        with pytest.raises(DataError, match=words):
            array.open_source(path)
    np.save(path, RGB)
    whole = path.read_bytes()
    for data, words in ((whole[:-1], "cut off"), (whole[:20], "not a readable"), (b"", "not a readable")):
        path.write_bytes(data)
        with pytest.raises(DataError, match=words):
            array.open_source(path)
    np.savez(path.with_suffix(".npz"), arr_0=RGB, arr_1=np.eye(5))
    with pytest.raises(DataError, match="labels are float64"):
        array.open_source(path.with_suffix(".npz"))
    np.savez(path.with_suffix(".npz"), features=RGB)
    with pytest.raises(DataError, match="it has features"):
        array.open_source(path.with_suffix(".npz"))
    with pytest.raises(DataError, match="no such file"):
        array.open_source(tmp_path / "none.npy")
    with pytest.raises(ConfigError, match="no splits"):
        array.open_source(path, "train")
