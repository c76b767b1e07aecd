"""Archives, tensors, datasets, iterators, functions and runs give the pixels that a plain array of them gives."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset

from gantools import _native
from gantools.errors import ConfigError, DataError
from gantools.metrics.images.live import Call, Items, Run, Stream
from gantools.metrics.images.memory import Tensors, to_levels
from gantools.metrics.images.open import batches, open_source
from gantools.metrics.images.reader import ImageReader
from gantools.metrics.images.stored import Stored
from gantools.metrics.networks.protocols import Input
from gantools.sampling.generator import Generator
from gantools.training.run import train

SIZES = [Input("tf1-bilinear", 24), Input("pillow-bicubic-float", 15, "center")]


@pytest.fixture(scope="session")
def rgb(pictures: Callable[..., np.ndarray]) -> np.ndarray:
    return pictures(11, 20)[:, :17]  # not square


def plain(images: np.ndarray) -> list[np.ndarray]:
    return _native.resize_images(np.ascontiguousarray(images), [(i.resize, i.size, i.crop) for i in SIZES])


def same(source: ImageReader, images: np.ndarray, batch: int = 4) -> None:
    """All images, by the read-ahead and in batches, are those of the array."""
    assert len(source) == len(images)
    got = list(batches(source, (0, len(images)), batch, SIZES))
    for place, expected in enumerate(plain(images)):
        np.testing.assert_array_equal(np.concatenate([found[place] for found in got]), expected)


def write_archive(path: Path, folder: Path) -> Path:
    files = sorted((f for f in folder.rglob("*") if f.is_file()), reverse=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for f in files:
                z.write(f, f.relative_to(folder).as_posix())
    else:
        with tarfile.open(path, "w") as t:
            for f in files:
                t.add(f, f.relative_to(folder).as_posix())
    return path


@pytest.fixture
def class_folder(tmp_path: Path, rgb: np.ndarray, write_pngs: Callable[..., Path]) -> Path:
    write_pngs(tmp_path / "f/dog", rgb[:4])
    write_pngs(tmp_path / "f/cat", rgb[4:])
    (tmp_path / "f/.hidden.png").write_bytes(b"")
    return tmp_path / "f"


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_an_archive_is_its_folder(tmp_path: Path, class_folder: Path, rgb: np.ndarray, suffix: str) -> None:
    source = open_source(write_archive(tmp_path / f"x{suffix}", class_folder))
    folder = open_source(class_folder)
    assert isinstance(source, Stored)
    same(source, np.concatenate([rgb[4:], rgb[:4]]))
    assert source.digest(11) == folder.digest(11) and source.digest(3) == folder.digest(3) != source.digest(4)
    for s in (source, folder):
        assert s.classes == ["cat", "dog"] and s.labels is not None and s.labels.tolist() == [0] * 7 + [1] * 4


def test_folders_that_are_no_classes_give_no_labels(
    tmp_path: Path, rgb: np.ndarray, write_pngs: Callable[..., Path]
) -> None:
    one = open_source(write_pngs(tmp_path / "a/only", rgb[:2]).parent)
    assert one.labels is None and one.classes is None
    for split in ("train", "test"):
        write_pngs(tmp_path / "c" / split, rgb[:2])
        write_pngs(tmp_path / "d" / split / "cat", rgb[:1])
        write_pngs(tmp_path / "d" / split / "dog", rgb[:2])
    assert open_source(tmp_path / "c").labels is None
    assert open_source(tmp_path / "d").classes == ["cat", "dog"]
    write_pngs(tmp_path / "b/x", rgb[:2])
    write_pngs(tmp_path / "b", rgb[:2])
    assert open_source(tmp_path / "b").labels is None


def test_archives_without_images_or_with_other_kinds_are_refused(tmp_path: Path, class_folder: Path) -> None:
    (class_folder / "more.npy").write_bytes(b"x")
    with pytest.raises(DataError, match=r"x\.zip: 11 images and 1 files of other kinds \(1 \.npy\)"):
        open_source(write_archive(tmp_path / "x.zip", class_folder))
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as z:
        z.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match="no image in it"):
        open_source(tmp_path / "y.zip")
    (tmp_path / "z.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"z\.zip: not a readable zip"):
        open_source(tmp_path / "z.zip")
    with tarfile.open(tmp_path / "c.tar.bz2", "w:bz2") as t:
        t.add(class_folder, "f")
    with pytest.raises(DataError, match=r"c\.tar\.bz2: neither a folder nor a \.zip"):
        open_source(tmp_path / "c.tar.bz2")


def test_a_damaged_image_in_an_archive_is_named_with_it(tmp_path: Path, class_folder: Path) -> None:
    (class_folder / "dog/000002.png").write_bytes(b"none")
    source = open_source(write_archive(tmp_path / "x.tar", class_folder))
    with pytest.raises(DataError, match=r"x\.tar: dog/000002\.png"):
        source.read(0, 11, SIZES)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_samples_of_guided_diffusion(tmp_path: Path, rgb: np.ndarray, save: Any) -> None:
    save(tmp_path / "samples.npz", rgb, np.arange(11) % 3)
    source = open_source(tmp_path / "samples.npz")
    assert isinstance(source, Stored) and source.shape == (17, 20, 3)
    same(source, rgb)
    assert source.labels is not None and source.labels.tolist() == [i % 3 for i in range(11)]
    assert source.classes == ["0", "1", "2"]
    assert source.digest(11) == open_source(rgb).digest(11) and source.digest(4) == open_source(rgb[:4]).digest(4)


def test_an_uncompressed_npz_is_not_loaded(tmp_path: Path) -> None:
    images = np.zeros((2000, 128, 128, 3), np.uint8)  # 94 MiB
    np.savez(tmp_path / "big.npz", images)
    code = (
        "import sys, resource; from gantools.metrics.images.open import open_source;"
        "from gantools.metrics.networks.protocols import Input;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "s = open_source(sys.argv[1]); s.read(1990, 2000, [Input('tf1-bilinear', 8)]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path / "big.npz"], capture_output=True, text=True, check=True)
    assert int(ran.stdout) * 1024 < images.nbytes / 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"arr_0": np.zeros((3, 8, 8, 3), np.float32)}, "the images are float32"),
        ({"arr_0": np.zeros((3, 8, 8, 4), np.uint8)}, "4 channels; scoring knows 1 and 3"),
        ({"mu": np.zeros(3)}, "no images in it; it has mu"),
        ({"arr_0": np.zeros((3, 5, 8, 8), np.uint8)}, "8 channels|holds no images"),
        ({"arr_0": np.array([{}], object)}, "objects, which are not loaded"),
        ({"arr_0": np.zeros((3, 8, 8, 3), np.uint8), "arr_1": np.array([{}], object)}, "objects, which are not loaded"),
        ({"arr_0": np.zeros((3, 8, 8, 3), np.uint8), "arr_1": np.zeros(2, int)}, "labels are"),
    ],
)
def test_other_npz_files_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_source(tmp_path / "x.npz")


def test_a_npz_that_is_cut_off_is_noticed_at_once(tmp_path: Path, rgb: np.ndarray) -> None:
    np.savez(tmp_path / "x.npz", rgb)
    raw = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(raw[:-2000])
    with pytest.raises(DataError, match=r"x\.npz"):
        open_source(tmp_path / "x.npz")


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_of_both_layouts(rgb: np.ndarray, channels: int) -> None:
    images = np.ascontiguousarray(rgb[..., :channels])
    x = torch.from_numpy(images)
    for tensor in (x, x.permute(0, 3, 1, 2), x.permute(0, 3, 1, 2).contiguous()):
        source = open_source(tensor)
        assert isinstance(source, Tensors) and source.shape == images.shape[1:]
        same(source, images)
        assert source.digest(11) == open_source(images).digest(11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_of_a_named_range_come_back_to_their_levels(rgb: np.ndarray, dtype: torch.dtype) -> None:
    x = torch.from_numpy(rgb).to(dtype)
    same(open_source(x / 255, values=(0, 1)), rgb)
    same(open_source((x / 127.5 - 1).permute(0, 3, 1, 2), values=(-1, 1)), rgb)
    same(open_source((x / 255).numpy(), values=(0, 1)), rgb)
    with pytest.raises(DataError, match="does not say which value is white"):
        open_source(x / 255)
    with pytest.raises(ConfigError, match=r"\(0, 1\) or \(-1, 1\)"):
        open_source(x, values=(0, 255))


def test_halves_are_rounded_upwards_and_outside_is_clipped() -> None:
    k = torch.arange(256, dtype=torch.float64)
    # A level and a half is as far from one as from the next; a little to either side it is nearer to one.
    at = torch.cat([k / 255, (k + 0.5 + 2**-14) / 255, (k + 0.5 - 2**-14) / 255]).reshape(1, 1, 16, 48)
    expected = torch.cat([k, (k + 1).clamp(max=255), k])
    got = to_levels(at, (0, 1), "x").reshape(-1)
    assert got.tolist() == expected.tolist()
    assert to_levels(at * 2 - 1, (-1, 1), "x").reshape(-1).tolist() == expected.tolist()
    assert to_levels(torch.full((1, 1, 4, 4), 0.5), (0, 1), "x").max() == 128  # 127.5 exactly
    edge = torch.tensor([-0.4, 1.4]).reshape(1, 1, 1, 2).expand(1, 1, 4, 2)
    assert to_levels(edge, (0, 1), "x").reshape(-1)[:2].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("x", "values", "message"),
    [
        (torch.full((2, 3, 8, 8), float("nan")), (0, 1), "image 0 has values that are not finite"),
        (torch.ones(2, 3, 8, 8).index_fill(0, torch.tensor([1]), float("inf")), (0, 1), "image 1 has values"),
        (torch.full((2, 3, 8, 8), 200.0), (0, 1), r"values from 200 to 200 are not those of images in \[0, 1\]"),
        (-torch.ones(2, 3, 8, 8), (0, 1), "values from -1 to -1"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), None, r"uint8 or floating point, not int64 \(2, 3, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), None, "one image with channels or 3 grey ones"),
        (torch.zeros(8, 8, dtype=torch.uint8), None, r"must be \(n, c, h, w\)"),
        (torch.zeros(2, 4, 8, 8, dtype=torch.uint8), None, "neither 1 nor 3 channels"),
        (torch.zeros(2, 3, 8, 3, dtype=torch.uint8), None, "could be either"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), None, "has no images"),
    ],
)
def test_tensors_that_are_no_images_are_refused(x: torch.Tensor, values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(x, values=values)


class Pairs(torch.utils.data.Dataset[Any]):
    """Items made by a function of (image, number)."""

    def __init__(self, images: np.ndarray, make: Callable[[np.ndarray, int], Any]) -> None:
        self.images, self.make = images, make

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Any:
        return self.make(self.images[i], i)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, i: torch.from_numpy(x).permute(2, 0, 1),
        lambda x, i: (x, i % 2),
        lambda x, i: Image.fromarray(x),
        lambda x, i: (Image.fromarray(x), torch.tensor(i % 2)),
        lambda x, i: {"image": x, "label": i % 2},
    ],
)
def test_datasets_of_every_kind_of_item(rgb: np.ndarray, make: Any) -> None:
    data = Pairs(rgb, make)
    source = open_source(data)
    assert isinstance(source, Items)
    same(source, rgb)
    assert source.digest(11) == open_source(Pairs(rgb, lambda x, i: x)).digest(11) != source.digest(10)
    labelled = isinstance(data[0], tuple | dict)
    assert (source.labels is not None) == labelled
    if labelled:
        assert source.labels.tolist() == [i % 2 for i in range(11)] and source.classes == ["0", "1"]


def test_a_torchvision_dataset_has_its_classes(class_folder: Path, rgb: np.ndarray) -> None:
    source = open_source(torchvision.datasets.ImageFolder(str(class_folder)))
    same(source, np.concatenate([rgb[4:], rgb[:4]]))
    assert source.classes == ["cat", "dog"] and source.labels.tolist() == [0] * 7 + [1] * 4


def test_dataset_items_of_many_sizes(pictures: Callable[..., np.ndarray]) -> None:
    images = [pictures(1, 10 + i)[0] for i in range(5)]
    got = open_source(images).read(0, 5, SIZES)
    for i, image in enumerate(images):
        for place, expected in enumerate(plain(image[None])):
            np.testing.assert_array_equal(got[place][i], expected[0])


def test_wrong_items_are_said_when_the_dataset_is_opened(rgb: np.ndarray) -> None:
    with pytest.raises(DataError, match="item 0: a str is no image"):
        open_source(Pairs(rgb, lambda x, i: "path"))
    with pytest.raises(DataError, match="item 0: float32"):
        open_source(Pairs(rgb, lambda x, i: x.astype(np.float32)))
    with pytest.raises(DataError, match="an image is"):
        open_source([rgb, rgb])
    with pytest.raises(DataError, match="has no images"):
        open_source([])


def test_a_loader_with_workers(rgb: np.ndarray) -> None:
    loader = DataLoader(Pairs(rgb, lambda x, i: (torch.from_numpy(x), i)), batch_size=3, num_workers=2)
    source = open_source(loader)
    assert isinstance(source, Stream)
    same(source, rgb)
    assert len(open_source(DataLoader(Pairs(rgb, lambda x, i: x), batch_size=3, drop_last=True))) == 9


class Endless(IterableDataset[Any]):
    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __iter__(self) -> Iterator[Any]:
        yield from ((Image.fromarray(x), 0) for x in self.images)


def test_iterators_come_in_order_whatever_their_batches(rgb: np.ndarray) -> None:
    def parts() -> Iterator[Any]:
        yield rgb[:5]
        yield torch.from_numpy(rgb[5:6]).permute(0, 3, 1, 2)
        yield (rgb[6:10], "label")
        yield {"image": rgb[10:]}

    for batch in (1, 3, 4, 11):
        same(open_source(parts(), n=11), rgb, batch)
        same(open_source(Endless(rgb), n=11), rgb, batch)
    with pytest.raises(DataError, match="does not say how many"):
        open_source(parts())
    source = open_source(parts(), n=12)
    assert not source.lasting
    with pytest.raises(DataError, match="ended after 11 images, 12 were asked for"):
        list(batches(source, (0, 12), 4, SIZES))
    source = open_source(parts(), n=11)
    source.read(0, 3, SIZES)
    with pytest.raises(DataError, match="image 0 was asked for, the next is 3"):
        source.read(0, 3, SIZES)
    with pytest.raises(DataError, match="gives its images once"):
        source.digest(3)
    with pytest.raises(DataError, match="a str is no batch"):
        open_source(iter(["x"]), n=1).read(0, 1, SIZES)


def test_a_function_makes_any_images(rgb: np.ndarray) -> None:
    asked: list[tuple[int, int]] = []

    def make(n: int, start: int) -> torch.Tensor:
        asked.append((n, start))
        assert not torch.is_grad_enabled()
        return torch.from_numpy(rgb[start : start + n])

    source = open_source(make, n=11)
    assert isinstance(source, Call) and source.label == "function make"
    same(source, rgb)
    assert asked == [(4, 0), (4, 4), (3, 8)]
    source.read(2, 4, SIZES)
    with pytest.raises(DataError, match="gave 11 images where 12 were asked for"):
        open_source(make, n=12).read(0, 12, SIZES)
    with pytest.raises(DataError, match="does not say how many"):
        open_source(make)
    with pytest.raises(DataError, match="nothing says"):
        source.digest(2)
    with pytest.raises(DataError, match="a network is no source"):
        open_source(torch.nn.Identity(), n=2)
    with pytest.raises(DataError, match="a int is no source"):
        open_source(3)


def test_an_error_of_the_program_comes_out_as_it_is(rgb: np.ndarray) -> None:
    def broken(n: int, start: int) -> Any:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(batches(open_source(broken, n=4), (0, 4), 2, SIZES))


@pytest.fixture
def run(make_set: Callable[..., Path], tmp_path: Path) -> Path:
    network = {"size": 8, "channels": 3, "latent": 6, "width": 4}
    overrides = {"network": network, "batch": 8, "kimg": 0.016, "grid": 4}
    return train(
        "dcgan",
        data=make_set(n=16, size=8),
        out=tmp_path / "runs",
        overrides=overrides,
        progress=False,
        device="cpu",
    )


def test_a_run_gives_the_images_that_sampling_writes(run: Path) -> None:
    expected = Generator.load(run, device="cpu").sample(150, seed=3)
    for place in (run, run.parent, next((run / "checkpoints").iterdir())):
        source = open_source(place, n=150, seed=3, device="cpu")
        assert isinstance(source, Run) and source.shape == (8, 8, 3)
        same(source, expected, batch=40)
        np.testing.assert_array_equal(source.levels(120, 131), expected[120:131])
        assert source.trained_on is not None and source.trained_on["name"] == "blobs"
    same(open_source(Generator.load(run, device="cpu"), n=150, seed=3), expected)
    other = open_source(run, n=150, seed=4, device="cpu")
    assert source.digest(150) != other.digest(150) and source.digest(150) != source.digest(149)
    assert source.digest(150) == open_source(run, n=150, seed=3, device="cpu").digest(150)
    with pytest.raises(DataError, match="does not say how many"):
        open_source(run)


def test_too_few_images_are_said(tmp_path: Path, rgb: np.ndarray) -> None:
    with pytest.raises(DataError, match="has 11 images, 12 were asked for"):
        open_source(rgb, n=12)
    with pytest.raises(ConfigError, match="at least 1"):
        open_source(rgb, n=0)
    assert len(open_source(rgb, n=2)) == 11


def test_pickles_are_never_run(tmp_path: Path) -> None:
    """A .npz whose array is a pickle that would write a file."""
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([Bomb()], object), allow_pickle=True)
    for name in ("x.npz", "y.npz"):
        with zipfile.ZipFile(tmp_path / name, "w") as z:
            z.writestr("arr_0.npy", stream.getvalue())
        with pytest.raises(DataError):
            open_source(tmp_path / name)
    (tmp_path / "x.npy").write_bytes(stream.getvalue())
    with pytest.raises(DataError):
        open_source(tmp_path / "x.npy")
    assert not marker.exists()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("stored", [False, True], ids=["array", "npy"])
def test_arrays_of_levels_in_every_layout(tmp_path: Path, rgb: np.ndarray, channels: int, stored: bool) -> None:
    images = np.ascontiguousarray(rgb[..., :channels])
    layouts = [images, images.transpose(0, 3, 1, 2), np.ascontiguousarray(images.transpose(0, 3, 1, 2))]
    layouts += [np.asfortranarray(images)] + [images[..., 0]] * (channels == 1)
    for i, given in enumerate(layouts):
        if stored:
            np.save(tmp_path / f"{i}.npy", given)
        source = open_source(tmp_path / f"{i}.npy" if stored else given)
        assert source.shape == images.shape[1:] and source.digest(11) == open_source(images).digest(11)
        same(source, images)


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda x: x[0], "one image with channels or", "x[None]"),
        (lambda x: x[:3, ..., 0], "one image with channels or 3 grey ones", "x[:, None]"),
        (lambda x: np.repeat(x, 2, 3)[..., :5], r"neither 1 nor 3 channels", ""),
        (lambda x: x.astype(np.int64), "images must be uint8, not int64", "x.astype(np.uint8)"),
        (lambda x: (x > 99).astype(np.int32), "images must be uint8, not int32", "255 * x"),
        (lambda x: x > 99, "images must be uint8, not bool", "255 * x"),
        (lambda x: x.astype(np.int16) - 128, "images must be uint8, not int16", "from -128 to"),
        (lambda x: x.astype(np.float32), "does not say which value is white", "np.round(x).clip"),
        (lambda x: x / 255, "does not say which value is white", "np.round(x * 255)"),
        (
            lambda x: (x / 127.5 - 1).astype(np.float16),
            "does not say which value is white",
            "np.round((x + 1) * 127.5)",
        ),
        (lambda x: x.astype(str), "images must be uint8, not <U", "levels 0..255"),
    ],
)
@pytest.mark.parametrize("stored", [False, True], ids=["array", "npy"])
def test_the_hint_of_an_array_keeps_its_pixels(
    tmp_path: Path, rgb: np.ndarray, make: Any, message: str, hint: str, stored: bool
) -> None:
    x = make(rgb)
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(DataError, match=message) as e:
        open_source(tmp_path / "x.npy" if stored else x)
    assert hint in str(e.value.hint)
    if "np.round" in hint:
        assert ("values=" in str(e.value.hint)) == (not stored and "clip" not in hint)
        rule = re.search(r"np\.round.*np\.uint8\)", str(e.value.hint))
        assert rule is not None
        found = eval(rule[0], {"np": np, "x": np.asarray(x, np.float64)})
        assert np.abs(found.astype(int) - rgb).max() <= (1 if x.dtype == np.float16 else 0)


@pytest.mark.parametrize("form", ["array", "tensor", "dataset", "rows", "iterator", "function", "endless"])
def test_floats_of_the_other_range_are_refused_in_every_form(rgb: np.ndarray, form: str) -> None:
    """(0, 1) given as (-1, 1) would come out pale, without a value out of range."""

    class Floats(IterableDataset[Any]):
        def __init__(self, x: torch.Tensor) -> None:
            self.x = x

        def __iter__(self) -> Iterator[Any]:
            yield from (self.x[i % 11] for i in range(40))

    def source(x: torch.Tensor, values: Any) -> ImageReader:
        forms: dict[str, Callable[[], Any]] = {
            "array": lambda: x.numpy(),
            "tensor": lambda: x,
            "dataset": lambda: list(x),
            "rows": lambda: [{"pixels": one, "label": 0} for one in x],
            "iterator": lambda: iter(x.split(4)),
            "function": lambda: lambda n, start: x[start : start + n],
            "endless": lambda: Floats(x),
        }
        return open_source(forms[form](), 40 if form == "endless" else 11, values=values)

    x = torch.from_numpy(rgb).permute(0, 3, 1, 2) / 255
    n = 40 if form == "endless" else 11
    with pytest.raises(DataError, match="no value is below 0") as e:
        list(batches(source(x, (-1, 1)), (0, n), 4, SIZES))
    assert "values=(0, 1)" in str(e.value.hint)
    with pytest.raises(DataError, match="are not those of images in"):
        list(batches(source(x * 2 - 1, (0, 1)), (0, n), 4, SIZES))
    for right, values in ((x, (0, 1)), (x * 2 - 1, (-1, 1))):
        assert sum(len(found[0]) for found in batches(source(right, values), (0, n), 4, SIZES)) == n


@pytest.mark.parametrize("key", ["img", "jpg", "png", "x", "pixels", 0, "image", "pixel_values"])
@pytest.mark.parametrize("kind", ["tensor", "array", "pil"])
def test_rows_with_any_key(rgb: np.ndarray, key: Any, kind: str) -> None:
    make = {"tensor": lambda x: torch.from_numpy(x).permute(2, 0, 1), "array": lambda x: x, "pil": Image.fromarray}[
        kind
    ]
    rows = [{"id": f"{i}", "box": np.zeros(4), key: make(x), "label": i % 2, "none": None} for i, x in enumerate(rgb)]
    source = open_source(rows)
    same(source, rgb)
    assert source.labels is not None and source.labels.tolist() == [i % 2 for i in range(11)]
    if kind != "pil":
        fewer: Any = [{key: row[key], "label": row["label"]} for row in rows]
        same(open_source(DataLoader(fewer, batch_size=4)), rgb)


def test_rows_without_an_image_or_with_several_name_their_keys(rgb: np.ndarray) -> None:
    with pytest.raises(DataError, match="item 0: a row with no image; it has 'path', 'label'"):
        open_source([{"path": "a.png", "label": 1}])
    with pytest.raises(DataError, match=r"several values that can be its image \('a', 'b'\); it has 'a', 'b', 'c'"):
        open_source([{"a": rgb[0], "b": Image.fromarray(rgb[0]), "c": 1}])
    assert open_source([{"mask": rgb[0, ..., 0], "image": rgb[0]}]).read(0, 1, SIZES)[0].shape == (1, 24, 24, 3)
    with pytest.raises(DataError, match="no keys"):
        open_source([{}])
    with pytest.raises(DataError, match="iterator: a row with no image; it has 'y'"):
        open_source(iter([{"y": 3}]), n=1).read(0, 1, SIZES)
