"""Images to score, from wherever they lie or come: `open_source`.

On disk: a folder of image files, a samples folder, a prepared set, a zip or tar archive of image files, a `.npy` or
`.npz` file, a run of `gantools train`. In memory: an array or a tensor. From a program: a torch Dataset or DataLoader,
an iterator of batches, a function. Decoding and resizing are done in Rust.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset

from gantools.data.enlarged import generated_note
from gantools.data.prepared import MANIFEST, PreparedSet, is_prepared
from gantools.data.sources.base import IMAGE_SUFFIXES
from gantools.errors import ConfigError, DataError
from gantools.metrics.images.live import Call, Items, Run, Stream, one_by_one
from gantools.metrics.images.memory import Tensors, Values, levels_array
from gantools.metrics.images.reader import ImageReader as ImageReader
from gantools.metrics.images.reader import LevelReader
from gantools.metrics.images.reader import batches as batches
from gantools.metrics.images.stored import Stored, open_stored
from gantools.runs.folders import is_run
from gantools.sampling.generator import Generator
from gantools.sampling.write import ARRAY, GRID, LATENTS, samples_manifest

#: Files of which each holds many images.
FILE_SUFFIXES = (".npz", ".parquet", ".mdb", ".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")

#: All that `open_source` takes.
Images: TypeAlias = (
    str
    | Path
    | NDArray[Any]
    | torch.Tensor
    | PreparedSet
    | Generator
    | ImageReader
    | Dataset[Any]
    | Iterable[Any]
    | Callable[[int, int], Any]
)


class Array(LevelReader):
    """uint8 (n, h, w, c) or (n, c, h, w) with c 1 or 3, or grey (n, h, w), in memory or mapped from a file."""

    def __init__(self, images: NDArray[Any], label: str = "array", stored: bool = False) -> None:
        images = levels_array(images, label, stored=stored)
        if len(images) == 0:
            raise DataError(f"{label}: has no images.")
        self.label = label
        self.images = images
        self.shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))

    def __len__(self) -> int:
        return len(self.images)

    def levels(self, start: int, stop: int) -> NDArray[np.uint8]:
        """As `LevelReader.levels`."""
        images: NDArray[np.uint8] = self.images[start:stop]
        return images


class Prepared(LevelReader):
    """A prepared set."""

    def __init__(self, images: PreparedSet) -> None:
        if len(images) == 0:
            raise DataError(f"{images.path}: has no images.")
        if images.shape[2] not in (1, 3):
            raise DataError(f"{images.path}: images have {images.shape[2]} channels; scoring knows 1 and 3.")
        self.label = str(images.path)
        self.set = images
        self.shape = images.shape
        note = generated_note(images)
        self.notes = () if note is None else (note,)
        entry = images.manifest.get("inputs")
        kept = ("operation", "scale", "direction", "kernel")
        self.inputs = None if entry is None else {key: entry[key] for key in kept if key in entry}

    def __len__(self) -> int:
        return len(self.set)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """As the set has them."""
        return self.set.labels

    @property
    def classes(self) -> list[str] | None:
        """As the set has them."""
        return self.set.classes

    @property
    def names(self) -> list[str] | None:
        """As the set has them; None where they are only numbers."""
        names = self.set.names
        return None if names == [f"{i:06d}" for i in range(len(names))] else names

    def levels(self, start: int, stop: int) -> NDArray[np.uint8]:
        """As `LevelReader.levels`."""
        return self.set.gather(np.arange(start, stop))

    def digest(self, n: int) -> str:
        """Of the set's fingerprint, which is one of its pixels."""
        return hashlib.sha256(f"prepared {self.set.fingerprint} {self.shape} {n}\n".encode()).hexdigest()


def open_source(
    images: Images,
    n: int | None = None,
    seed: int = 0,
    *,
    values: Values | None = None,
    device: str | None = None,
) -> ImageReader:
    """The images that `images` stands for.

    Args:
        images: a path: a folder of image files (and its sub-folders), a samples folder, a prepared set, a run or a
            checkpoint, a `.zip` or `.tar` of image files, a `.npy`, a `.npz` with images `arr_0` (and labels `arr_1`).
            Or a `PreparedSet`; a `Generator`; numpy as a torch tensor; a torch tensor uint8 or float, (n, c, h, w) or
            (n, h, w, c), c 1 or 3; a torch Dataset whose items are images or (image, label), an image being a PIL
            image, a tensor (c, h, w) or an array (h, w, c); a DataLoader or any iterable of such batches, or of tuples
            whose first is one; a function f(n, start) -> batch that makes images start..start+n-1. A `ImageReader` is
            given back as it is.
        n: how many images are wanted. A run, a function and an iterator have no end of their own and need it; of any
            other it is the least that must be there.
        seed: of the images of a run.
        values: what floating point images mean, `(0, 1)` or `(-1, 1)`: they are rounded to the nearest of the levels
            0..255, halves upwards, floor(255 x + 0.5) or floor(127.5 x + 128), and clipped. Integers are levels and
            need none.
        device: where a run's generator computes; None: CUDA where there is any.

    Raises:
        DataError: no such place, no images in it, files among them that are no images, fewer than `n`, or pixels of a
            dtype, shape or range that is not named above.
        CheckpointError: a run without a usable checkpoint.
        ConfigError: `values` is neither of the two.
    """
    if n is not None and n < 1:
        raise ConfigError(f"n must be at least 1, not {n}.")
    if values is not None and tuple(values) not in ((0, 1), (-1, 1)):
        raise ConfigError(f"values are (0, 1) or (-1, 1), not {values}.")
    source = _open(images, n, seed, values, device)
    if n is not None and len(source) < n:
        raise DataError(f"{source.label}: has {len(source):,} images, {n:,} were asked for.")
    return source


def _open(images: Any, n: int | None, seed: int, values: Values | None, device: str | None) -> ImageReader:
    if isinstance(images, ImageReader):
        return images
    if isinstance(images, PreparedSet):
        return Prepared(images)
    if isinstance(images, Generator):
        return Run(images, _endless(n, "a generator"), seed)
    if isinstance(images, torch.Tensor):
        return Tensors(images, values)
    if isinstance(images, np.ndarray):
        return Tensors(images, values) if images.dtype.kind == "f" and values is not None else Array(images)
    if isinstance(images, str | Path):
        return _open_path(Path(images), n, seed, device)
    if isinstance(images, torch.nn.Module):
        raise DataError(
            "a network is no source of images: nothing says what it takes.",
            "Give a function f(n, start) that makes images start..start+n-1 with it.",
        )
    if isinstance(images, DataLoader):
        known = None if isinstance(images.dataset, IterableDataset) else _images_of(images)
        return Stream(iter(images), _endless(n if n is not None else known, "a DataLoader of an endless set"), values)
    if isinstance(images, IterableDataset):
        return Stream(one_by_one(images, values, "dataset"), _endless(n, "an iterable Dataset"), label="dataset")
    if isinstance(images, Dataset) or (hasattr(images, "__getitem__") and hasattr(images, "__len__")):
        return Items(images, values)
    if isinstance(images, Iterable):
        return Stream(iter(images), _endless(n, "an iterator"), values)
    if callable(images):
        return Call(images, _endless(n, "a function"), values)
    raise DataError(
        f"a {type(images).__name__} is no source of images.",
        "Give a path, an array, a tensor, a torch Dataset, an iterator of batches or a function f(n, start).",
    )


def _images_of(loader: DataLoader[Any]) -> int | None:
    total = len(loader.dataset)  # type: ignore[arg-type]
    if loader.batch_size is None or not loader.drop_last:
        return total
    return total - total % loader.batch_size


class CountNeeded(DataError):
    """Images that do not end, and nothing says how many of them are wanted."""


def _endless(n: int | None, what: str) -> int:
    if n is None:
        raise CountNeeded(f"{what} does not say how many images to take.", "Say it with: -n 10000; in Python n=10000.")
    return n


def _open_path(path: Path, n: int | None, seed: int, device: str | None) -> ImageReader:
    if path.is_dir():
        if is_prepared(path):
            return Prepared(PreparedSet(path))
        if is_run(path):
            return Run(Generator.load(path, device=device), _endless(n, f"{path}: a run"), seed)
        manifest = samples_manifest(path)
        return open_stored(path) if manifest is None else _open_samples(path, manifest)
    if path.is_file():
        return _open_file(path)
    if "*" in path.name:
        return open_stored(path)
    raise DataError(
        f"{path}: no such file or folder.", "Give a folder of images, or make samples with: gantools sample"
    )


def _open_samples(path: Path, manifest: dict[str, Any]) -> ImageReader:
    source: ImageReader = (
        _open_file(path / ARRAY)
        if manifest.get("format_images") == "npy"
        else open_stored(path, without=frozenset({GRID, LATENTS}))
    )
    if len(source) != manifest.get("count"):
        raise DataError(
            f"{path}: has {len(source):,} images, its {MANIFEST} says {manifest.get('count')}.",
            "Samples were added, removed or only partly written; make them again with: gantools sample",
        )
    data = manifest.get("data")
    source.trained_on = data if isinstance(data, dict) else None
    return source


def _open_file(path: Path) -> ImageReader:
    name = path.name.lower()
    if not name.endswith(".npy"):
        if name.endswith(FILE_SUFFIXES):
            return open_stored(path)
        if name.endswith(IMAGE_SUFFIXES):
            return Stored.of_files(path.parent, [path.name], str(path))
        raise DataError(
            f"{path}: not a kind of file that holds images.",
            "Give an image, a folder, a .zip or .tar, a prepared set, or a .npy, .npz, .parquet or .mdb file.",
        )
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (ValueError, EOFError, OSError) as e:
        raise DataError(f"{path}: not a readable .npy file ({e}).") from e
    return Array(images, label=str(path), stored=True)
