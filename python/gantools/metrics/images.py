"""Images to score, from wherever they lie or come: `open_source`.

On disk: a folder of image files, a samples folder, a prepared set, a zip or tar archive of image files, a `.npy` or
`.npz` file, a run of `gantools train`. In memory: an array or a tensor. From a program: a torch Dataset or DataLoader,
an iterator of batches, a function. Decoding and resizing are done in Rust.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset

from gantools import _native
from gantools.data.prepared import MANIFEST, PreparedSet, is_prepared
from gantools.data.sources import array as array_files
from gantools.data.sources.base import IMAGE_SUFFIXES
from gantools.data.sources.folder import SPLITS, below_outer_folder
from gantools.data.sources.labels import Labels, labels_of
from gantools.errors import ConfigError, DataError
from gantools.metrics.live import Call, Items, Run, Stream, is_run, one_by_one
from gantools.metrics.protocols import Input
from gantools.metrics.source import Source as Source
from gantools.metrics.source import batches as batches
from gantools.metrics.source import pixel_hash, triples
from gantools.metrics.tensors import Tensors, Values, levels_array
from gantools.sampling import Generator

# Files that hold images, but none that are read here as one image: overlooking them would be a silent half.
OTHER_SUFFIXES = frozenset({".npy", ".npz", ".avif", ".heic", ".jp2"})
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
SAMPLES_FORMAT = "gantools-samples"
SAMPLES_VERSION = 1
# Files that `gantools sample` writes beside the samples.
GRID = "grid.png"
SAMPLES_ARRAY = "samples.npy"

#: All that `open_source` takes.
Images: TypeAlias = (
    str
    | Path
    | NDArray[Any]
    | torch.Tensor
    | PreparedSet
    | Generator
    | Source
    | Dataset[Any]
    | Iterable[Any]
    | Callable[[int, int], Any]
)


class Files(Source):
    """Image files of a folder, in the order given; `names` are what they are called in a digest."""

    def __init__(self, root: Path, files: list[Path]) -> None:
        self.label = str(root)
        self.root = root
        self.files = files
        self.shape = None
        self.names = [f.relative_to(root).as_posix() for f in files]
        self.native = _native.Source.files(root, self.names)
        self._classes = _labels_of_paths(self.names)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The number of each image's sub-folder of the first level, where all images lie in two or more of them."""
        return None if self._classes is None else self._classes[0]

    @property
    def classes(self) -> list[str] | None:
        """The names of these sub-folders, sorted."""
        return None if self._classes is None else self._classes[1]

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        return _native.read_images(self.native, np.arange(start, stop), triples(inputs))

    def digest(self, n: int) -> str:
        """Of relative names and bytes: hashing reads 10,000 small files in a second, so nothing weaker is needed."""
        h = hashlib.sha256(b"files\n")
        for name, file in zip(self.names[:n], self.files, strict=False):
            try:
                with file.open("rb") as f:
                    content = hashlib.file_digest(f, "sha256").hexdigest()
            except OSError as e:
                raise DataError(f"{file}: cannot be read ({e.strerror}).") from e
            h.update(f"{name}\n{content}\n".encode())
        return h.hexdigest()


class Archive(Source):
    """The image files `items` of a zip or tar archive, which is not unpacked."""

    def __init__(self, path: Path, native: _native.Source, items: NDArray[np.int64], names: list[str]) -> None:
        self.label = str(path)
        self.shape = None
        self.native = native
        self.items = items
        self.names = names
        self._classes = _labels_of_paths(names)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """As `Files.labels`."""
        return None if self._classes is None else self._classes[0]

    @property
    def classes(self) -> list[str] | None:
        """As `Files.classes`."""
        return None if self._classes is None else self._classes[1]

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        try:
            return _native.read_images(self.native, self.items[start:stop], triples(inputs))
        except DataError as e:
            raise DataError(f"{self.label}: {e.message}", e.hint) from e

    def digest(self, n: int) -> str:
        """As `Files.digest`: an archive of a folder has the digest of the folder."""
        h = hashlib.sha256(b"files\n")
        for name, item in zip(self.names[:n], self.items.tolist(), strict=False):
            try:
                content = hashlib.sha256(self.native.read(item)).hexdigest()
            except DataError as e:
                raise DataError(f"{self.label}: {e.message}", e.hint) from e
            h.update(f"{name}\n{content}\n".encode())
        return h.hexdigest()


class Npz(Source):
    """The images and labels of a `.npz` file; stored without compression they are read from it batch by batch."""

    def __init__(self, path: Path) -> None:
        found = array_files.open_source(path)
        self.label = str(path)
        self.native = found.reader
        self._labels, self._classes = found.labels, found.classes
        assert found.pixels is not None
        h, w, c = found.pixels
        if c not in (1, 3):
            raise DataError(f"{path}: images have {c} channels; scoring knows 1 and 3.")
        self.shape: tuple[int, int, int] = (h, w, c)

    def __len__(self) -> int:
        return len(self.native)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The integers of `arr_1` (or `labels`, ...), where the file has them."""
        return self._labels

    @property
    def classes(self) -> list[str] | None:
        """The names in `classes`, else the numbers."""
        return self._classes

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        try:
            return _native.read_images(self.native, np.arange(start, stop), triples(inputs))
        except DataError as e:
            raise DataError(f"{self.label}: {e.message}", e.hint) from e

    def digest(self, n: int) -> str:
        """As `Array.digest`."""
        h = pixel_hash(self.shape)
        for i in range(n):
            h.update(self.native.read(i))
        return str(h.hexdigest())


class Array(Source):
    """uint8 (n, h, w, c) or (n, c, h, w) with c 1 or 3, or grey (n, h, w), in memory or mapped from a file."""

    def __init__(self, images: NDArray[Any], label: str = "array", stored: bool = False) -> None:
        images = levels_array(images, label, stored=stored)
        if len(images) == 0:
            raise DataError(f"{label}: has no images.")
        self.label = label
        self.images = images
        self.shape: tuple[int, int, int] = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))

    def __len__(self) -> int:
        return len(self.images)

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        return _native.resize_images(np.ascontiguousarray(self.images[start:stop]), triples(inputs))

    def digest(self, n: int) -> str:
        """Of shape and pixels."""
        h = pixel_hash(self.shape)
        for start in range(0, n, 256):
            h.update(np.ascontiguousarray(self.images[start : min(n, start + 256)]).data)
        return str(h.hexdigest())


class Prepared(Source):
    """A prepared set."""

    def __init__(self, images: PreparedSet) -> None:
        if len(images) == 0:
            raise DataError(f"{images.path}: has no images.")
        if images.shape[2] not in (1, 3):
            raise DataError(f"{images.path}: images have {images.shape[2]} channels; scoring knows 1 and 3.")
        self.label = str(images.path)
        self.set = images
        self.shape = images.shape

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

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        return _native.resize_images(self.set.gather(np.arange(start, stop)), triples(inputs))

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
) -> Source:
    """The images that `images` stands for.

    Args:
        images: a path: a folder of image files (and its sub-folders), a samples folder, a prepared set, a run or a
            checkpoint, a `.zip` or `.tar` of image files, a `.npy`, a `.npz` with images `arr_0` (and labels `arr_1`).
            Or a `PreparedSet`; a `Generator`; numpy as a torch tensor; a torch tensor uint8 or float, (n, c, h, w) or
            (n, h, w, c), c 1 or 3; a torch Dataset whose items are images or (image, label), an image being a PIL
            image, a tensor (c, h, w) or an array (h, w, c); a DataLoader or any iterable of such batches, or of tuples
            whose first is one; a function f(n, start) -> batch that makes images start..start+n-1. A `Source` is
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


def _open(images: Any, n: int | None, seed: int, values: Values | None, device: str | None) -> Source:
    if isinstance(images, Source):
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


def _endless(n: int | None, what: str) -> int:
    if n is None:
        raise DataError(f"{what} does not say how many images to take.", "Say it with: -n 10000; in Python n=10000.")
    return n


def _open_path(path: Path, n: int | None, seed: int, device: str | None) -> Source:
    if path.is_file():
        return _open_file(path)
    if not path.is_dir():
        raise DataError(
            f"{path}: no such file or folder.", "Give a folder of images, or make samples with: gantools sample"
        )
    if is_prepared(path):
        return Prepared(PreparedSet(path))
    if is_run(path):
        return Run(Generator.load(path, device=device), _endless(n, f"{path}: a run"), seed)
    manifest = samples_manifest(path)
    return _list_folder(path) if manifest is None else _open_samples(path, manifest)


def samples_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a samples folder, or None when `path` is not one.

    Raises:
        DataError: the manifest of a samples folder is damaged or from a newer version.
    """
    file = path / MANIFEST
    if not file.is_file():
        return None
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as e:
        raise DataError(f"{file}: damaged ({e}).", "Make the samples again with: gantools sample") from e
    if not isinstance(manifest, dict) or manifest.get("format") != SAMPLES_FORMAT:
        return None
    if manifest.get("version") != SAMPLES_VERSION:
        raise DataError(
            f"{file}: samples format {manifest.get('version')}, this gantools reads {SAMPLES_VERSION}.",
            "Use the gantools that made them, or make them again.",
        )
    return manifest


def _open_samples(path: Path, manifest: dict[str, Any]) -> Source:
    source: Source = (
        _open_file(path / SAMPLES_ARRAY) if manifest.get("format_images") == "npy" else _list_folder(path, skip={GRID})
    )
    if len(source) != manifest.get("count"):
        raise DataError(
            f"{path}: has {len(source):,} images, its {MANIFEST} says {manifest.get('count')}.",
            "Samples were added, removed or only partly written; make them again with: gantools sample",
        )
    data = manifest.get("data")
    source.trained_on = data if isinstance(data, dict) else None
    return source


def _open_file(path: Path) -> Source:
    name = path.name.lower()
    if name.endswith(ARCHIVE_SUFFIXES):
        return _open_archive(path)
    if name.endswith(".npz"):
        return Npz(path)
    if not name.endswith(".npy"):
        what = "one image is not a set" if name.endswith(IMAGE_SUFFIXES) else "not a kind of file that holds images"
        raise DataError(
            f"{path}: {what}.",
            "Give a folder, a .zip or .tar of images, a prepared set, or a .npy or .npz file of uint8 (n, h, w, c).",
        )
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (ValueError, EOFError, OSError) as e:
        raise DataError(f"{path}: not a readable .npy file ({e}).") from e
    return Array(images, label=str(path), stored=True)


def _open_archive(path: Path) -> Archive:
    native = _native.Source.zip(path) if path.name.lower().endswith(".zip") else _native.Source.tar([(str(path), "")])
    everything = native.names or []
    kept, others = _sort_out(everything)
    _check_kinds(path, "archive", len(kept), others)
    kept.sort(key=lambda i: everything[i])
    return Archive(path, native, np.array(kept, np.int64), [everything[i] for i in kept])


def _list_folder(path: Path, skip: frozenset[str] | set[str] = frozenset()) -> Files:
    everything = [f for f in path.rglob("*") if f.is_file()]
    names = [f.relative_to(path).as_posix() for f in everything]
    kept, others = _sort_out(names, skip)
    _check_kinds(path, "folder", len(kept), [str(path / name) for name in others])
    return Files(path, [everything[i] for i in sorted(kept, key=lambda i: names[i])])


def _sort_out(names: Sequence[str], skip: frozenset[str] | set[str] = frozenset()) -> tuple[list[int], list[str]]:
    """Numbers of the images among the relative paths `names`, and the files of kinds that may hold images otherwise."""
    kept, others = [], []
    for i, name in enumerate(names):
        path = PurePosixPath(name)
        # Hidden files are what systems and editors leave behind, never images someone wants scored.
        if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES:
            if name not in skip:
                kept.append(i)
        elif path.suffix.lower() in OTHER_SUFFIXES:
            others.append(name)
    return kept, others


def _check_kinds(path: Path, what: str, images: int, others: list[str]) -> None:
    kinds = ", ".join(IMAGE_SUFFIXES)
    if not images:
        seen = f" It has {len(others)} files of other kinds, for example {Path(others[0]).name}." if others else ""
        raise DataError(f"{path}: no images in this {what} or below it ({kinds}).{seen}", "Check the path.")
    if others:
        raise DataError(
            f"{path}: {images:,} images and {len(others):,} files of other kinds, for example {min(others)}.",
            f"Scoring only the first would be a silent half; convert or move the others (it reads {kinds}).",
        )


def _labels_of_paths(names: Sequence[str]) -> Labels | None:
    """Class numbers and names by the folders of the first level, where every image is in one of several."""
    tails = below_outer_folder([PurePosixPath(name).parts for name in names])
    if all(len(parts) > 1 and parts[0] in SPLITS for parts in tails):
        tails = [parts[1:] for parts in tails]  # `train` and `test` are splits, the classes are below them
    if any(len(parts) < 2 for parts in tails) or len({parts[0] for parts in tails}) < 2:
        return None
    return labels_of([parts[0] for parts in tails], "")
