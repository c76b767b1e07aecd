"""The images of a detector's training: levels of one size, and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools.data.prepared import PreparedSet, is_prepared
from gantools.data.seeds import derived, philox
from gantools.errors import DataError
from gantools.metrics.images.open import open_source
from gantools.metrics.images.reader import ImageReader

#: Shares of the training and of the validation; the rest is the test.
SHARES = (0.7, 0.15)
# Of each kind, each part has so many images at least: fewer say nothing of a false alarm in a hundred.
LEAST = 20
# The annotation of a prepared set by which its images are kept together.
PERSON = "identity"


@dataclass(frozen=True)
class Images:
    """Images in memory.

    Attributes:
        name: what they are called.
        path: where they come from.
        levels: uint8 (n, h, w, c).
        groups: those of one number stay in one part, int64 (n,).
        grouped: whether some belong together.
        digest: a hash of their content.
    """

    name: str
    path: str
    levels: NDArray[np.uint8]
    groups: NDArray[np.int64]
    grouped: bool
    digest: str

    def part(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The levels of some of them."""
        return self.levels[rows]


@dataclass(frozen=True)
class Parts:
    """Which images are for what: int64 numbers each, which no two share."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def in_channels(image: NDArray[np.uint8], channels: int, called: str) -> NDArray[np.uint8]:
    """An image with so many channels: grey repeated, or one of three that are all the same.

    Raises:
        DataError: it is in colour, and one channel is wanted.
    """
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image[:, :, :1], 3, 2)
    if (image[:, :, 1:] != image[:, :, :1]).any():
        raise DataError(f"{called}: is in colour, the detector is for grey images.", "Train one on colour images.")
    return image[:, :, :1]


def read_levels(source: ImageReader, n: int, shape: tuple[int, int, int] | None) -> NDArray[np.uint8]:
    """The first `n` images of a source, uint8 (n, h, w, c).

    Args:
        source: the images.
        n: how many, at most as many as there are.
        shape: (h, w, c) that all must have; None: that of the first.

    Raises:
        DataError: one cannot be read, or is of another size.
    """
    levels: NDArray[np.uint8] | None = None
    for i in range(n):
        image = source.pixels(i)
        if shape is None:
            shape = (image.shape[0], image.shape[1], image.shape[2])
        if image.shape[:2] != shape[:2]:
            raise DataError(
                f"{source.called(i)}: is {image.shape[1]} x {image.shape[0]}, not {shape[1]} x {shape[0]}.",
                "Nothing is said of other sizes. Bring all images to that size in the same way: "
                f"gantools prep PATH --size {shape[1]}",
            )
        if levels is None:
            levels = np.empty((n, *shape), np.uint8)
        levels[i] = in_channels(image, shape[2], source.called(i))
    if levels is None:
        raise DataError(f"{source.label}: has no images.")
    return levels


def read_images(
    name: str,
    path: str | Path,
    n: int | None,
    shape: tuple[int, int, int] | None,
    *,
    seed: int,
    device: str | None,
) -> Images:
    """Images of a folder, an archive, a prepared set or a run.

    Args:
        name: what to call them.
        path: where they are.
        n: at most so many of them; of a run so many are made. None: all.
        shape: (h, w, c) that they must have; None: that of the first.
        seed: of the images of a run.
        device: where a run's generator computes.

    Raises:
        DataError: there are none there, one cannot be read, or is of another size.
        CheckpointError: a run without a usable checkpoint.
    """
    source = open_source(path, seed=seed, device=device) if n is None else _at_most(path, n, seed, device)
    count = len(source) if n is None else min(n, len(source))
    levels = read_levels(source, count, shape)
    groups, grouped = np.arange(count, dtype=np.int64), False
    if is_prepared(path):
        people = PreparedSet(path).annotations.get(PERSON)
        if people is not None and people.ndim == 1:
            groups, grouped = people[:count].astype(np.int64), True
    digest = source.digest(count) if source.lasting else f"{path} seed {seed}"
    return Images(name, str(path), levels, groups, grouped, digest)


def _at_most(path: str | Path, n: int, seed: int, device: str | None) -> ImageReader:
    """What lies at `path`; where that ends, it may have fewer than `n`."""
    try:
        return open_source(path, seed=seed, device=device)
    except DataError:  # a run does not end, and anything else says the same again
        return open_source(path, n, seed, device=device)


def split(images: Images, seed: int) -> Parts:
    """Training, validation and test: 70, 15 and 15 % of the groups, by chance; a group is in one part alone.

    Raises:
        DataError: too few images for that.
    """
    groups = np.unique(images.groups)
    order = philox(derived(seed, f"split {images.name}"), 0).permutation(len(groups))
    ends = np.round(np.cumsum(SHARES) * len(groups)).astype(np.int64)
    place = np.empty(len(groups), np.int64)
    place[order] = np.searchsorted(ends, np.arange(len(groups)), "right")
    of = place[np.searchsorted(groups, images.groups)]
    parts = [np.flatnonzero(of == i) for i in range(3)]
    if min(map(len, parts)) < LEAST:
        needed = int(np.ceil(LEAST / (1 - sum(SHARES))))
        raise DataError(
            f"{images.path}: {len(images.levels):,} images are too few to train, validate and test with.",
            f"Give at least about {needed}, thousands are better.",
        )
    return Parts(*parts)
