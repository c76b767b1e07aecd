"""What every source gives to the preparation, and helpers that several sources share."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.annotations import Annotation as Annotation
from gantools.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


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

    def with_annotations(self, annotations: dict[str, Annotation]) -> Source:
        """The same images with these annotations in place of their own."""
        return replace(self, annotations=annotations)


def is_image_name(name: str) -> bool:
    """Whether a path has the suffix of an image format that is read, and is no hidden or macOS resource file."""
    path = Path(name)
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and "__MACOSX" not in path.parts


def find_images(path: Path) -> tuple[_native.Source, NDArray[np.int64], list[str]]:
    """The image files of a folder (with its sub-folders) or of a zip archive.

    Returns:
        A reader, the reader's number of each image, and the images' paths with `/`, sorted bytewise.

    Raises:
        DataError: no such path, neither folder nor zip, or no image in it.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.", nearby(path))
    if path.is_dir():
        names = []
        for folder, folders, files in os.walk(path):
            folders.sort()
            relative = Path(folder).relative_to(path)
            names += [(relative / file).as_posix() for file in files]
        # Bytewise, so that the order is the same on every machine and in every locale.
        names = sorted(filter(is_image_name, names), key=os.fsencode)
        reader = _native.Source.files(path, names)
        items = np.arange(len(names), dtype=np.int64)
    elif path.suffix.lower() == ".zip":
        reader = _native.Source.zip(path)
        everything = reader.names or []
        kept = [i for i, name in enumerate(everything) if is_image_name(name)]
        names = [everything[i] for i in kept]
        items = np.array(kept, dtype=np.int64)
    else:
        raise DataError(f"{path}: neither a folder nor a .zip archive.", "Give --source a folder or a zip of images.")
    if not names:
        raise no_image(path)
    return reader, items, names


def no_image(path: Path) -> DataError:
    """The error for a place without an image."""
    return DataError(f"{path}: no image in it.", f"Images are recognised by their names: {', '.join(IMAGE_SUFFIXES)}.")


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
