"""Images to score, from wherever they lie, in batches a network can take.

A source is a folder of image files, a samples folder, a prepared set, one `.npy` file or an array. Decoding and
resizing are done in Rust, one batch ahead of the network in a background thread.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepared import MANIFEST, PreparedSet, is_prepared
from gantools.data.sources.base import IMAGE_SUFFIXES
from gantools.errors import DataError
from gantools.metrics.protocols import Input

# Files that hold images, but none that are read here as one image: overlooking them would be a silent half.
OTHER_SUFFIXES = frozenset({".npy", ".npz", ".avif", ".heic", ".jp2"})
SAMPLES_FORMAT = "gantools-samples"
SAMPLES_VERSION = 1
# Files that `gantools sample` writes beside the samples.
GRID = "grid.png"
SAMPLES_ARRAY = "samples.npy"


class Source(ABC):
    """A number of images that can be read resized.

    Attributes:
        label: what to call it in a message or a report.
        shape: (h, w, c) of the images before resizing where all are known to be alike, else None.
    """

    label: str
    shape: tuple[int, int, int] | None

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """Images start..stop as float32 (n, size, size, 3), values 0..255, for each of `inputs`; each decoded once.

        Raises:
            DataError: an image cannot be decoded; the message names its file.
        """

    @abstractmethod
    def digest(self, n: int) -> str:
        """A hash of the content of the first `n` images: equal for equal content, wherever it lies."""


class Files(Source):
    """Image files, in the order given; `names` are what they are called in a digest."""

    def __init__(self, root: Path, files: list[Path]) -> None:
        self.label = str(root)
        self.root = root
        self.files = files
        self.shape = None
        self._items = _native.Source.files(root, [f.relative_to(root).as_posix() for f in files])

    def __len__(self) -> int:
        return len(self.files)

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        return _native.read_images(self._items, np.arange(start, stop), _triples(inputs))

    def digest(self, n: int) -> str:
        """Of relative names and bytes: hashing reads 10,000 small files in a second, so nothing weaker is needed."""
        h = hashlib.sha256(b"files\n")
        for file in self.files[:n]:
            try:
                with file.open("rb") as f:
                    content = hashlib.file_digest(f, "sha256").hexdigest()
            except OSError as e:
                raise DataError(f"{file}: cannot be read ({e.strerror}).") from e
            h.update(f"{file.relative_to(self.root).as_posix()}\n{content}\n".encode())
        return h.hexdigest()


class Array(Source):
    """uint8 (n, h, w, 1) or (n, h, w, 3), in memory or mapped from a file."""

    def __init__(self, images: NDArray[Any], label: str = "array") -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
            raise DataError(
                f"{label}: images must be uint8 (n, h, w, c) with c 1 or 3, not {images.dtype} {images.shape}.",
                "Convert them first, for example: np.round(x * 255).clip(0, 255).astype(np.uint8)",
            )
        if len(images) == 0:
            raise DataError(f"{label}: has no images.")
        self.label = label
        self.images = images
        self.shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))

    def __len__(self) -> int:
        return len(self.images)

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        return _native.resize_images(np.ascontiguousarray(self.images[start:stop]), _triples(inputs))

    def digest(self, n: int) -> str:
        """Of shape and pixels."""
        h = hashlib.sha256(f"array {self.shape}\n".encode())
        for start in range(0, n, 256):
            h.update(np.ascontiguousarray(self.images[start : min(n, start + 256)]).data)
        return h.hexdigest()


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

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `Source.read`."""
        return _native.resize_images(self.set.gather(np.arange(start, stop)), _triples(inputs))

    def digest(self, n: int) -> str:
        """Of the set's fingerprint, which is one of its pixels."""
        return hashlib.sha256(f"prepared {self.set.fingerprint} {self.shape} {n}\n".encode()).hexdigest()


def _triples(inputs: Sequence[Input]) -> list[tuple[str, int, str]]:
    return [(i.resize, i.size, i.crop) for i in inputs]


def open_source(images: str | Path | NDArray[Any] | PreparedSet) -> Source:
    """The images that a path, an array or a prepared set stands for.

    Raises:
        DataError: no such place, no images in it, or files among them that are no images.
    """
    if isinstance(images, PreparedSet):
        return Prepared(images)
    if isinstance(images, np.ndarray):
        return Array(images)
    path = Path(images)
    if path.is_file():
        return _open_file(path)
    if not path.is_dir():
        raise DataError(
            f"{path}: no such file or folder.", "Give a folder of images, or make samples with: gantools sample"
        )
    if is_prepared(path):
        return Prepared(PreparedSet(path))
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
    return source


def _open_file(path: Path) -> Source:
    if path.suffix.lower() != ".npy":
        what = (
            "one image is not a set"
            if path.suffix.lower() in IMAGE_SUFFIXES
            else "not a kind of file that holds images"
        )
        raise DataError(
            f"{path}: {what}.", "Give a folder of images, a prepared set or a .npy file of uint8 (n, h, w, c)."
        )
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (ValueError, EOFError, OSError) as e:
        raise DataError(f"{path}: not a readable .npy file ({e}).") from e
    return Array(images, label=str(path))


def _list_folder(path: Path, skip: frozenset[str] | set[str] = frozenset()) -> Files:
    files: list[Path] = []
    others: list[Path] = []
    for f in path.rglob("*"):
        relative = f.relative_to(path)
        # Hidden files are what systems and editors leave behind, never images someone wants scored.
        if any(part.startswith(".") for part in relative.parts) or not f.is_file():
            continue
        if f.suffix.lower() in IMAGE_SUFFIXES:
            if relative.as_posix() not in skip:
                files.append(f)
        elif f.suffix.lower() in OTHER_SUFFIXES:
            others.append(f)
    kinds = ", ".join(IMAGE_SUFFIXES)
    if not files:
        seen = f" It has {len(others)} files of other kinds, for example {others[0].name}." if others else ""
        raise DataError(f"{path}: no images in this folder or below it ({kinds}).{seen}", "Check the path.")
    if others:
        raise DataError(
            f"{path}: {len(files):,} images and {len(others):,} files of other kinds, for example {min(others)}.",
            f"Scoring only the first would be a silent half; convert or move the others (it reads {kinds}).",
        )
    files.sort(key=lambda f: f.relative_to(path).as_posix())
    return Files(path, files)


def batches(
    source: Source, n: int, batch: int, inputs: Sequence[Input]
) -> Generator[list[NDArray[np.float32]], None, None]:
    """The first `n` images, `batch` at a time: float32 (<= batch, size, size, 3), 0..255, for each of `inputs`.

    The next batch is read while one is in use.
    """
    bounds = [(start, min(start + batch, n)) for start in range(0, n, batch)]
    with ThreadPoolExecutor(1, thread_name_prefix="gantools-read") as pool:
        ahead = pool.submit(source.read, *bounds[0], inputs)
        for following in [*bounds[1:], None]:
            images = ahead.result()
            if following is not None:
                ahead = pool.submit(source.read, *following, inputs)
            yield images
