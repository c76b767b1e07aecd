"""Images that lie in files, as `gantools.data.sources` finds them: what can be prepared can be scored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.sources import Source, open_source, report
from gantools.errors import DataError, GantoolsError
from gantools.metrics.images.reader import Census, ImageReader, pixel_hash, triples
from gantools.metrics.networks.protocols import Input

# Kinds of files that hold images and are not read here as one image: scoring the rest would be a silent half.
REFUSED = frozenset({".npy", ".npz", ".avif", ".heic", ".jp2"})

# Kinds of sources whose order is that of their names.
BY_NAME = frozenset({"folder", "tar", "stylegan", "celeba"})


class Stored(ImageReader):
    """The images of a source, with its names, labels and order.

    Args:
        source: the images.
        label: what to call them.
    """

    def __init__(self, source: Source, label: str) -> None:
        self.label = label
        self.source = source
        self.notes = tuple(_of_prep(note) for note in report(source))
        self.ordered = source.kind not in BY_NAME
        self.shape = source.pixels or _shape_of_pixels(source)
        self._census: Census | None = None
        if self.shape is not None and self.shape[2] not in (1, 3):
            raise DataError(f"{label}: images have {self.shape[2]} channels; scoring knows 1 and 3.")

    @classmethod
    def of_files(cls, root: Path, names: Sequence[str], label: str | None = None) -> Stored:
        """Image files by their paths relative to `root`, in this order; they are called `label`, or by their folder."""
        items = np.arange(len(names), dtype=np.int64)
        reader = _native.Source.files(root, list(names))
        return cls(Source("folder", root.name, reader, items, list(names), 3, None), label or str(root))

    def __len__(self) -> int:
        return len(self.source)

    @property
    def names(self) -> list[str] | None:
        """The path of each image below the folder or in the archive, its key, or its place in the set."""
        return None if self.source.kind == "array" else self.source.names

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The class numbers that a prepared set of these images has."""
        return self.source.labels

    @property
    def classes(self) -> list[str] | None:
        """Their names."""
        return self.source.classes

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `ImageReader.read`."""
        try:
            return _native.read_images(self.source.reader, self.source.items[start:stop], triples(inputs))
        except DataError as e:
            raise DataError(f"{self.label}: {e.message}", e.hint) from e

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """As `ImageReader.pixels`; files as they would be shown, with 3 channels and without alpha."""
        try:
            data = self.source.reader.read(int(self.source.items[i]))
            if self.shape is not None:
                return np.frombuffer(data, np.uint8).reshape(self.shape)
            return _native.decode(data, alpha="drop")
        except DataError as e:
            raise DataError(f"{self.called(i)}: {e.message}", e.hint) from e

    def census(self, n: int) -> Census:
        """As `ImageReader.census`; the files are read once, whatever asks for it."""
        if self._census is None or len(self._census) < n:
            self._census = Census(*_native.inspect_images(self.source.reader, self.source.items[:n]))
        return self._census.first(n)

    def digest(self, n: int) -> str:
        """Of names and content: an archive of a folder has that of the folder. DataError: a file cannot be read."""
        if self.source.kind == "array":
            assert self.shape is not None
            h = pixel_hash(self.shape)
            for item in self.source.items[:n].tolist():
                h.update(self.source.reader.read(item))
            return str(h.hexdigest())
        census = self.census(n)
        for i, reason in census.unreadable:
            raise DataError(f"{self.called(i)}: {reason}.", "Make or fetch it again, or remove it.")
        digest = hashlib.sha256(b"files\n")
        for name, content in zip(self.source.names[:n], census.hashes, strict=True):
            digest.update(name.encode("utf-8", "surrogateescape") + b"\n" + content.tobytes())
        return digest.hexdigest()


# What is the place of the images itself in a score.
_SOURCE = re.compile(r"\b(?:Give|Point) [-]-source (?:at )?")
# An option of no command that is named before it.
_SWITCH = re.compile(r"(?<![\w-])--(?=[a-z])")


def _of_prep(text: str) -> str:
    """What a source says to one who prepares, for one who scores: options are those of `gantools prep`."""
    found = _SWITCH.search(text)
    if found is None or "gantools " in text[: found.start()]:
        return text
    return f"{text[: found.start()]}gantools prep {text[found.start() :]}"


def _shape_of_pixels(source: Source) -> tuple[int, int, int] | None:
    """(h, w, c) of images that are pixels and no files, all of one size, as those of idx and CIFAR are; else None."""
    headers, _, failures = _native.inspect_images(source.reader, source.items[:1])
    w, h, kind, mode = headers[0, :4].tolist()
    if failures or kind >= 0:
        return None
    return h, w, 1 if _native.IMAGE_MODES[mode] == "grey" else 3


def open_stored(path: Path, without: frozenset[str] = frozenset()) -> Stored:
    """All images that `path` holds, of every split.

    Args:
        path: a folder or file of any kind that `gantools prep` reads.
        without: names of files that are left out.

    Raises:
        DataError: no such place, no images in it, or files among them that hold images and are not read.
    """
    try:
        source = open_source(path, "all", loose=True)
    except GantoolsError as e:
        hint = e.hint and _of_prep(_SOURCE.sub("Give ", e.hint))
        if hint is not None and "gantools prep" in hint:
            hint = f"{hint} The set that it makes can be scored."
        raise type(e)(e.message, hint) from e
    refused = {suffix: n for suffix, n in source.skipped.items() if suffix in REFUSED}
    for name in without:
        suffix = Path(name).suffix
        if suffix in refused and (path / name).is_file():
            refused[suffix] -= 1
    refused = {suffix: n for suffix, n in refused.items() if n > 0}
    if refused:
        kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in refused.items())
        raise DataError(
            f"{path}: {len(source):,} images and {sum(refused.values()):,} files of other kinds ({kinds}).",
            "Scoring only the first would be a silent half; convert or move the others.",
        )
    if without:
        kept = [i for i, name in enumerate(source.names) if name not in without]
        source = source.select(np.array(kept, np.int64))
    # That every split is scored is what was asked for.
    return Stored(replace(source, left_out={}), str(path))
