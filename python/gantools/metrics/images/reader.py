"""What images to score are to the rest: a number of images that can be read resized, one batch ahead of the network."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import DataError
from gantools.metrics.networks.protocols import Input


@dataclass(frozen=True)
class Census:
    """What images declare of themselves, and hashes of their bytes.

    Attributes:
        headers: int64 (n, 7), as `_native.inspect_images` gives them.
        hashes: uint64 (n, 2), XXH3 of the bytes as stored.
        unreadable: (place, reason) of those that cannot be read.
    """

    headers: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    unreadable: list[tuple[int, str]]

    def __len__(self) -> int:
        return len(self.headers)

    def first(self, n: int) -> Census:
        """Of the first `n` images."""
        return Census(self.headers[:n], self.hashes[:n], [(i, reason) for i, reason in self.unreadable if i < n])


class ImageReader(ABC):
    """A number of images that can be read resized.

    Attributes:
        label: what to call it in a message or a report.
        shape: (h, w, c) of the images before resizing where all are known to be alike, else None.
        lasting: whether the images will be the same the next time. Where nothing says so (a generator, a function),
            `digest` raises and nothing about them is cached.
        once: whether the images can be had only once and in order, as those of an iterator.
        parallel: whether several threads may ask for images at a time; code of a user's is asked in one, in order.
        ordered: whether their order means anything; that of files comes from their names alone.
        notes: what a reader of the scores should know of how the images were found, a line each.
        trained_on: `path`, `name` and `fingerprint` of the prepared set that the maker of the images was trained on,
            where that is known; else None.
        inputs: how the inputs were made that belong to the images, as a set of pairs has it (`operation`, `scale`,
            `kernel`); else None.
    """

    label: str
    shape: tuple[int, int, int] | None
    lasting: bool = True
    once: bool = False
    parallel: bool = True
    ordered: bool = True
    notes: tuple[str, ...] = ()
    trained_on: dict[str, Any] | None = None
    inputs: dict[str, Any] | None = None

    @property
    def names(self) -> list[str] | None:
        """What each image is called, or None where they have only places."""
        return None

    def called(self, i: int) -> str:
        """What to call image `i` in a message."""
        return f"{self.label}: {f'image {i}' if self.names is None else self.names[i]}"

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """int64 (n,) class numbers, or None where they are not known."""
        return None

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes in the order of their numbers, or None where there are no labels."""
        return None

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
    def pixels(self, i: int) -> NDArray[np.uint8]:
        """Image `i` at its own size, uint8 (h, w, c), c 1 or 3.

        Raises:
            DataError: it cannot be decoded; the message names it.
        """

    def census(self, n: int) -> Census | None:
        """What the first `n` images declare of themselves; None where they would have to be made for it."""
        return None

    @abstractmethod
    def digest(self, n: int) -> str:
        """A hash of the content of the first `n` images: equal for equal content, wherever it lies."""


class LevelReader(ImageReader):
    """Images of one shape that are had as levels; a kind of them says only how it makes `levels`."""

    shape: tuple[int, int, int]

    @abstractmethod
    def levels(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Images start..stop, uint8 (n, h, w, c)."""

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """As `ImageReader.pixels`."""
        image: NDArray[np.uint8] = np.ascontiguousarray(self.levels(i, i + 1)[0])
        return image

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `ImageReader.read`."""
        return resized([self.levels(start, stop)], inputs)

    def digest(self, n: int) -> str:
        """Of shape and levels."""
        h = pixel_hash(self.shape)
        for start in range(0, n, 256):
            h.update(np.ascontiguousarray(self.levels(start, min(n, start + 256))).data)
        return str(h.hexdigest())


class Slice(ImageReader):
    """The images start..stop of another reader."""

    def __init__(self, reader: ImageReader, start: int, stop: int) -> None:
        if not 0 <= start < stop <= len(reader):
            raise DataError(f"{reader.label}: has {len(reader):,} images, {start:,} to {stop:,} were asked for.")
        self.reader, self.start, self.stop = reader, start, stop
        self.label, self.shape = reader.label, reader.shape
        self.lasting, self.trained_on = reader.lasting, reader.trained_on
        self.once, self.parallel, self.notes = reader.once, reader.parallel, reader.notes
        self.ordered = reader.ordered

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def names(self) -> list[str] | None:
        """Those of the images."""
        return None if self.reader.names is None else self.reader.names[self.start : self.stop]

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Those of the images."""
        return None if self.reader.labels is None else self.reader.labels[self.start : self.stop]

    @property
    def classes(self) -> list[str] | None:
        """All of the reader."""
        return self.reader.classes

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `ImageReader.read`."""
        return self.reader.read(self.start + start, self.start + stop, inputs)

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """As `ImageReader.pixels`."""
        return self.reader.pixels(self.start + i)

    def census(self, n: int) -> Census | None:
        """As `ImageReader.census`; of images from the middle of others there is none."""
        return None if self.start else self.reader.census(n)

    def digest(self, n: int) -> str:
        """Of the first images that of these alone; else also of where they are among the others."""
        digest = self.reader.digest(self.start + n)
        return f"{digest}[{self.start}:{self.start + n}]" if self.start else digest


def triples(inputs: Sequence[Input]) -> list[tuple[str, int, str]]:
    """`inputs` as `_native.read_images` takes them."""
    return [(i.resize, i.size, i.crop) for i in inputs]


def resized(images: Sequence[NDArray[np.uint8]], inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
    """Batches uint8 (n, h, w, c), each of its own size, as one float32 (n, size, size, 3) for each of `inputs`."""
    parts = [_native.resize_images(np.ascontiguousarray(part), triples(inputs)) for part in images if len(part)]
    if len(parts) == 1:
        return parts[0]
    return [np.concatenate(same) for same in zip(*parts, strict=True)]


def pixel_hash(shape: tuple[int, int, int]) -> Any:
    """The start of the digest of images that are pixels of `shape` (h, w, c); their bytes follow, image by image."""
    return hashlib.sha256(f"array {shape}\n".encode())


def batches(
    source: ImageReader, span: tuple[int, int], batch: int, inputs: Sequence[Input]
) -> Generator[list[NDArray[np.float32]], None, None]:
    """The images start..stop of `span`, `batch` at a time: float32 (<= batch, size, size, 3) for each of `inputs`.

    The next batch is read while one is in use, in one thread and in order.
    """
    bounds = [(start, min(start + batch, span[1])) for start in range(*span, batch)]
    with ThreadPoolExecutor(1, thread_name_prefix="gantools-read") as pool:
        ahead = pool.submit(source.read, *bounds[0], inputs)
        for following in [*bounds[1:], None]:
            images = ahead.result()
            if following is not None:
                ahead = pool.submit(source.read, *following, inputs)
            yield images
