"""What every source gives to the preparation, and helpers that several sources share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data import heif
from gantools.data.annotations import Annotation as Annotation
from gantools.errors import GantoolsError

#: How the names of images that are read end; .jpe and .jfif are JPEG.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
)


@dataclass(frozen=True)
class Asked:
    """What a user says of a source that may hold several kinds of images or labels; None: it has to be certain.

    Attributes:
        column: of a parquet file, the column of images.
        key: of WebDataset samples, what the names of the images end with after the first point (`jpg`, `seg.png`); of a
            `.npz`, the name of the array of images.
        label_column: the column of labels, the key of the label in the `.json` of samples, or the array of labels.
    """

    column: str | None = None
    key: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class Source:
    """Images before preparation.

    Attributes:
        kind: the name on the command line, for example `celeba`.
        name: what a prepared set is named after.
        reader: reads item i.
        items: int64 (n,), the reader's number of each image, in the order of the set.
        names: the name of each image.
        channels: 1 or 3, the default of a prepared set.
        size: the default side of a prepared image, None when the user has to say.
        labels: int64 (n,) class numbers, or None.
        classes: their names, or None.
        annotations: further arrays by name.
        split: which part this is, for the name and the manifest; None when the source is not split.
        usual_split: the split that is given without being asked for; it is not put into the set's name.
        pixels: (h, w, c) where the images are pixels already, all of one size; else None.
        in_the_wild: whether these are CelebA's images before they were aligned, which its boxes belong to.
        skipped: what stands where images stand and is none that is read: suffix or reason -> files.
        left_out: what was not asked for: name of a split, or reason -> images (or files of images).
        notes: what the user should know of how the source was read, a line each.
        facts: what else the manifest says of the source, by key.
        failure: what has kept the reader from reading and is not the images' fault, such as a network that is gone;
            asked after reading.
    """

    kind: str
    name: str
    reader: _native.Source
    items: NDArray[np.int64]
    names: list[str]
    channels: int
    size: int | None
    labels: NDArray[np.int64] | None = None
    classes: list[str] | None = None
    annotations: dict[str, Annotation] = field(default_factory=dict)
    split: str | None = None
    usual_split: str | None = None
    pixels: tuple[int, int, int] | None = None
    in_the_wild: bool = False
    skipped: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    failure: Callable[[], GantoolsError | None] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def select(self, rows: NDArray[np.int64], split: str | None = None) -> Source:
        """The images `rows` (positions), in that order."""
        return replace(
            self,
            items=self.items[rows],
            names=[self.names[i] for i in rows],
            labels=None if self.labels is None else self.labels[rows],
            annotations={k: Annotation(a.values[rows], a.columns) for k, a in self.annotations.items()},
            split=self.split if split is None else split,
        )

    def with_labels(self, labels: NDArray[np.int64], classes: list[str]) -> Source:
        """The same images with these labels, int64 (n,), and names of their classes."""
        return replace(self, labels=labels, classes=classes)

    def with_notes(self, *notes: str) -> Source:
        """The same images with these lines for the user after those that there are."""
        return replace(self, notes=(*self.notes, *notes))

    def with_failure(self, failure: Callable[[], GantoolsError | None]) -> Source:
        """The same images with a function that says whether their place could be read at all."""
        return replace(self, failure=failure)

    def with_annotations(self, annotations: dict[str, Annotation]) -> Source:
        """The same images with these annotations in place of their own."""
        return replace(self, annotations=annotations)


def report(source: Source) -> list[str]:
    """What the user should know of how a source was read, a line each: notes, what was skipped, what was left out."""
    lines = list(source.notes)
    if source.skipped:
        total = sum(source.skipped.values())
        files = "file" if total == 1 else "files"
        lines.append(f"{total:,} {files} skipped: {counted(source.skipped)}.")
        if further := [suffix for suffix in source.skipped if suffix in heif.SUFFIXES]:
            lines.append(f"{' and '.join(further)} need an extra. {heif.INSTALL}")
    if source.left_out:
        there = ", ".join(f"{what} ({n:,})" for what, n in source.left_out.items())
        lines.append(f"{f'Split {source.split}; left' if source.split else 'Left'} out: {there}.")
    return lines


def counted(numbers: dict[str, int]) -> str:
    """Numbers of things in words, for example `2 .heic, 1 .txt`."""
    return ", ".join(f"{n:,} {what}" for what, n in numbers.items())


def nearby(path: Path) -> str:
    """For a path that is not there: the last part that is, and what is in it."""
    parent = path.absolute().parent
    while not parent.is_dir():
        parent = parent.parent
    try:
        entries = sorted(entry.name for entry in parent.iterdir())[:8]
    except OSError:
        entries = []
    return f"{parent} has: {', '.join(entries)}." if entries else f"{parent} is empty."
