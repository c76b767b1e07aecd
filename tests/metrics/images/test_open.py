"""Images from folders, samples, sets, files and arrays; and what is refused rather than half scored."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gantools.data.prepared import PreparedSet
from gantools.errors import DataError
from gantools.metrics.images import open as module
from gantools.metrics.images.open import Array, Prepared, batches, open_source
from gantools.metrics.images.stored import Stored
from gantools.metrics.networks.protocols import Input

Write = Callable[[Path, np.ndarray], Path]


def tf1(size: int) -> list[Input]:
    return [Input("tf1-bilinear", size)]


@pytest.fixture(scope="session")
def rgb(pictures: Callable[..., np.ndarray]) -> np.ndarray:
    return pictures(6, 20)


def tf1_bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """TF1's `resize_bilinear(align_corners=False)`, pixel by pixel: slow and plain. (h, w, c) -> float32."""

    def taps(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.arange(size, dtype=np.float32) * np.float32(n / size)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, n - 1), (at - low).astype(np.float32)

    x = image.astype(np.float32)
    (top, bottom, fy), (left, right, fx) = taps(x.shape[0]), taps(x.shape[1])
    rows = x[:, left] + (x[:, right] - x[:, left]) * fx[None, :, None]
    return rows[top] + (rows[bottom] - rows[top]) * fy[:, None, None]


@pytest.mark.parametrize("size", [28, 299])
def test_every_kind_of_source_gives_the_same_pixels(
    tmp_path: Path, make_set: Callable[..., Path], size: int, write_pngs: Write, rgb: np.ndarray
) -> None:
    np.save(tmp_path / "images.npy", rgb)
    folder = write_pngs(tmp_path / "folder", rgb)
    expected = np.stack([tf1_bilinear(i, size) for i in rgb])
    for source in (open_source(rgb), open_source(tmp_path / "images.npy"), open_source(folder)):
        assert len(source) == 6
        (got,) = source.read(1, 5, tf1(size))
        assert got.dtype == np.float32 and got.shape == (4, size, size, 3)
        np.testing.assert_allclose(got, expected[1:5], atol=1e-4)
    prepared = open_source(make_set(n=70, size=20))
    assert isinstance(prepared, Prepared) and prepared.shape == (20, 20, 3)
    last = prepared.set.gather(np.arange(60, 70))
    np.testing.assert_allclose(
        prepared.read(60, 70, tf1(size))[0], np.stack([tf1_bilinear(i, size) for i in last]), atol=1e-4
    )


def test_grey_becomes_three_equal_channels(
    tmp_path: Path, write_pngs: Write, pictures: Callable[..., np.ndarray]
) -> None:
    grey = pictures(3, 20, 1)
    (a,) = open_source(grey).read(0, 3, tf1(32))
    (b,) = open_source(write_pngs(tmp_path / "g", grey)).read(0, 3, tf1(32))
    assert a.shape == (3, 32, 32, 3) and (a[..., 0] == a[..., 2]).all()
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_folder_is_read_below_too_in_the_order_of_relative_paths(tmp_path: Path, rgb: np.ndarray) -> None:
    for name in ("b/2.png", "a/9.JPG", "c.webp", "b/10.png", "a.bmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rgb[0]).save(tmp_path / name)
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "readme.txt").touch()
    source = open_source(tmp_path)
    assert isinstance(source, Stored)
    assert source.names == ["a.bmp", "a/9.JPG", "b/10.png", "b/2.png", "c.webp"]


def test_a_samples_folder_leaves_out_its_grid_and_manifest(make_samples: Callable[..., Path], rgb: np.ndarray) -> None:
    source = open_source(make_samples(rgb))
    assert isinstance(source, Stored) and source.names == [f"{i:06d}.png" for i in range(6)]


def test_a_samples_folder_of_one_array(make_samples: Callable[..., Path], rgb: np.ndarray) -> None:
    source = open_source(make_samples(rgb, kind="npy"))
    assert isinstance(source, Array) and len(source) == 6


def test_a_grid_in_any_other_folder_is_an_image(tmp_path: Path, write_pngs: Write, rgb: np.ndarray) -> None:
    write_pngs(tmp_path, rgb)
    Image.fromarray(rgb[0]).save(tmp_path / "grid.png")
    assert len(open_source(tmp_path)) == 7


def test_samples_that_were_lost_are_noticed(make_samples: Callable[..., Path], rgb: np.ndarray) -> None:
    folder = make_samples(rgb)
    (folder / "000003.png").unlink()
    with pytest.raises(DataError, match=r"has 5 images, its manifest.json says 6"):
        open_source(folder)


def test_damaged_and_newer_manifests_are_named(make_samples: Callable[..., Path], rgb: np.ndarray) -> None:
    with pytest.raises(DataError, match="samples format 2"):
        open_source(make_samples(rgb, version=2))
    folder = make_samples(rgb)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: damaged"):
        open_source(folder)


def test_a_truncated_png_is_named(tmp_path: Path, write_pngs: Write, rgb: np.ndarray) -> None:
    folder = write_pngs(tmp_path / "f", rgb)
    victim = folder / "000004.png"
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(DataError, match=r"000004\.png"):
        open_source(folder).read(0, 6, tf1(299))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nowhere", "no such file or folder"),
        (lambda p: p, "no image in it"),
        (lambda p: (p / "a.txt").touch() or p / "a.txt", "not a kind of file"),
        (lambda p: (p / "a.npy").write_bytes(b"\x93NUMPY") and p / "a.npy", "not a readable .npy"),
        (lambda p: (p / "a.jp2").touch() or p, r"no image in it"),
    ],
)
def test_places_without_images_are_refused(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(make(tmp_path))


def test_mixed_content_is_refused_rather_than_half_scored(tmp_path: Path, write_pngs: Write, rgb: np.ndarray) -> None:
    write_pngs(tmp_path, rgb)
    np.save(tmp_path / "more.npy", rgb)
    with pytest.raises(DataError, match=r"6 images and 1 files of other kinds \(1 \.npy\)"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 2), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 0, 8, 3), np.uint8),
    ],
)
def test_arrays_of_other_kinds_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        open_source(array)
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=r"x\.npy"):
        open_source(tmp_path / "x.npy")


def test_digests_follow_the_content(
    tmp_path: Path, make_set: Callable[..., Path], write_pngs: Write, rgb: np.ndarray
) -> None:
    a = write_pngs(tmp_path / "a", rgb)
    shutil.copytree(a, tmp_path / "b")
    assert open_source(a).digest(6) == open_source(tmp_path / "b").digest(6)
    assert open_source(a).digest(6) != open_source(a).digest(5)
    (tmp_path / "b/000000.png").rename(tmp_path / "b/000009.png")
    assert open_source(a).digest(6) != open_source(tmp_path / "b").digest(6)
    changed = rgb.copy()
    changed[5, 0, 0, 0] ^= 1
    assert open_source(rgb).digest(6) != open_source(changed).digest(6)
    assert open_source(rgb).digest(5) == open_source(changed).digest(5)
    path = make_set()
    before = open_source(PreparedSet(path)).digest(96)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["fingerprint"] = "0" * 32
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert open_source(path).digest(96) != before


def test_batches_are_all_images_in_order_and_the_last_is_smaller(rgb: np.ndarray) -> None:
    got = [b for (b,) in batches(open_source(rgb), (0, 5), 2, tf1(20))]
    assert [len(b) for b in got] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(got), rgb[:5].astype(np.float32))


def test_the_next_batch_is_read_while_one_is_in_use(monkeypatch: pytest.MonkeyPatch, rgb: np.ndarray) -> None:
    source = open_source(rgb)
    second_read = threading.Event()
    plain = module.Array.read

    def read(self: Array, start: int, stop: int, inputs: list[Input]) -> list[np.ndarray]:
        if start == 2:
            second_read.set()
        return plain(self, start, stop, inputs)

    monkeypatch.setattr(module.Array, "read", read)
    stream = batches(source, (0, 6), 2, tf1(20))
    next(stream)
    assert second_read.wait(10), "the second batch was not begun while the first was in use"
    stream.close()


def test_an_error_in_a_later_batch_comes_out(tmp_path: Path, write_pngs: Write, rgb: np.ndarray) -> None:
    folder = write_pngs(tmp_path / "f", rgb)
    (folder / "000005.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"000005\.png"):
        list(batches(open_source(folder), (0, 6), 2, tf1(20)))
