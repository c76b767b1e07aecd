"""The files below a folder or in an archive, each under one path whatever system and tool wrote it.

A folder, the zip and the tar made of it give the same paths in the same order: folder, archive and table (a metadata
file, a csv, dataset.json) all name files through `path_of`. Links are followed.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data import heif
from gantools.data.sources.base import IMAGE_SUFFIXES, counted, nearby
from gantools.errors import DataError

#: What looks like an image, or holds images, and is not read as one: counted wherever it lies.
UNREAD_SUFFIXES = frozenset(
    (
        *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".psd", ".psb", ".pdf", ".svg", ".eps"),
        *(".ai", ".ico", ".exr", ".hdr", ".dds", ".pcx", ".xcf", ".pam", ".pfm", ".apng", ".mp4"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw"),
        *(".zip", ".tar", ".gz", ".tgz", ".zst", ".7z", ".rar", ".npy", ".npz"),
    )
)
#: Files and folders that systems leave behind; nobody means them.
FURNITURE = frozenset(("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin"))
LOOP = "a link that leads back to a folder above it"
NOWHERE = "a link that leads nowhere"
UNREADABLE = "a folder that may not be read"
# The words of the native reader of archives.
SAME_NAME = "an earlier file of the same name"
# A metadata file is read whole.
MAX_TEXT_BYTES = 1 << 30


def path_of(name: str, below: str = "") -> str:
    r"""The path that a name in a table, in an archive or on a disk stands for.

    Parts are joined by `/` also where Windows wrote `\`; `.`, empty parts and a leading `/` go; `..` takes back the
    part before it; letters with accents are one character each (NFC), as macOS does not store them.

    Args:
        name: as it is written; bytes that are no UTF-8 are lone surrogates, as Python's file names have them.
        below: the folder that it is relative to, a path of this form.
    """
    parts: list[str] = below.split("/") if below else []
    for part in unicodedata.normalize("NFC", name).replace("\\", "/").split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def is_furniture(name: str) -> bool:
    """Whether a path is a hidden file or one that a system leaves behind."""
    return any(part.lower() in FURNITURE or (part[:1] == "." and part != "..") for part in name.split("/"))


def is_image_name(name: str) -> bool:
    """Whether a path has the suffix of an image format that is read, and is no hidden or macOS resource file."""
    path = path_of(name)
    return is_read(path) and not is_furniture(path)


def is_read(path: str) -> bool:
    """Whether a path has the suffix of a format that is read here; HEIC and AVIF are where their extra is installed."""
    suffix = suffix_of(path)
    return suffix in IMAGE_SUFFIXES or suffix in heif.suffixes()


def suffix_of(name: str) -> str:
    """The suffix of a path in lower case, with its point; empty where it has none."""
    # A hundred thousand names are usual, for which pathlib takes seconds.
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if stem and suffix else ""


class Tree:
    """The files of a folder or of archives by path, sorted bytewise; hidden files and those of systems are not in it.

    Args:
        path: the folder or archive, for errors.
        raw: the name of each file as the folder or the archive has it.
        reader: reads file i of `raw`; None for a folder.
        trouble: what could not be listed, by reason.

    Attributes:
        names: the path of each file.
        notes: what the user should know, a line each.
    """

    def __init__(
        self, path: Path, raw: Sequence[str], reader: _native.Source | None, trouble: Counter[str] | None = None
    ) -> None:
        self.path, self._raw, self._reader = path, raw, reader
        self._trouble = Counter(trouble or {})
        for name, what in [] if reader is None else reader.faults:
            self._trouble[what] += not is_furniture(path_of(name))
        self.notes: list[str] = []
        # Of entries with one name the last counts, as it does when the archive is unpacked.
        last = {name: i for i, name in enumerate(raw)}
        paths = {i: path_of(name) for name, i in last.items()}
        # Bytewise, so that the order is the same on every machine and in every locale.
        order = sorted(
            (i for i, name in paths.items() if name and not is_furniture(name)), key=lambda i: _key(paths[i])
        )
        self.names = [paths[i] for i in order]
        self._numbers = order
        self._at = {name: at for at, name in enumerate(self.names)}
        self._images = [at for at, name in enumerate(self.names) if is_read(name)]
        image_names = [self.names[at] for at in self._images]
        if twice := [name for name, n in Counter(image_names).items() if n > 1]:
            self.notes.append(f"{len(twice):,} names stand for several images, for example {twice[0]}.")

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def read(self, name: str) -> bytes:
        """The bytes of a file by its path. DataError: it is larger than 1 GiB or cannot be read."""
        number = self._numbers[self._at[name]]
        if self._reader is not None:
            return self._reader.read(number)
        file = self.path / self._raw[number]
        try:
            if file.stat().st_size > MAX_TEXT_BYTES:
                raise DataError(f"{file}: larger than 1 GiB.")
            return file.read_bytes()
        except OSError as e:
            raise DataError(f"{file}: cannot be read ({e.strerror}).") from e

    def images(self) -> tuple[_native.Source, NDArray[np.int64], list[str]]:
        """A reader, its number of each image, and the images' paths.

        Raises:
            DataError: there is no image; the hint says what there is.
        """
        if not self._images:
            raise self.no_image()
        names = [self.names[at] for at in self._images]
        numbers = [self._numbers[at] for at in self._images]
        if self._reader is not None:
            return heif.reading(self._reader, names), np.array(numbers, dtype=np.int64), names
        reader = heif.reading(_native.Source.files(self.path, [self._raw[i] for i in numbers]), names)
        return reader, np.arange(len(names), dtype=np.int64), names

    def no_image(self) -> DataError:
        """The error for a place without an image."""
        there = self.skipped((), anywhere=True)
        has = f"It has {counted(there)}. " if there else ""
        return DataError(
            f"{self.path}: no image in it.", f"{has}Images are recognised by their names: {', '.join(IMAGE_SUFFIXES)}."
        )

    def skipped(self, used: Collection[str], *, anywhere: bool = False) -> dict[str, int]:
        """What is no image that is read, by suffix or reason -> files, the most first.

        Counted are files that look like images or archives, and any others in a folder that has images.

        Args:
            used: paths of files that were read for what they say.
            anywhere: count the others in every folder.
        """
        folders = {folder_of(self.names[at]) for at in self._images}
        images, read = set(self._images), set(used)
        found = Counter({reason: n for reason, n in self._trouble.items() if n})
        for at, name in enumerate(self.names):
            if at in images or name in read:
                continue
            suffix = suffix_of(name)
            if anywhere or suffix in UNREAD_SUFFIXES or folder_of(name) in folders:
                found[suffix or "without a suffix"] += 1
        return dict(found.most_common())


def folder_of(name: str) -> str:
    """The folder that a path lies in; empty for the outermost."""
    return name.rpartition("/")[0]


def open_tree(path: Path) -> Tree:
    """The files of a folder (with its sub-folders, links followed) or of a zip archive.

    Raises:
        DataError: no such path, neither folder nor zip, or no readable archive.
    """
    if path.is_dir():
        trouble: Counter[str] = Counter()
        return Tree(path, list(walk(path, trouble)), None, trouble)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.", nearby(path))
    if path.suffix.lower() != ".zip":
        raise DataError(f"{path}: neither a folder nor a .zip archive.", "Give --source a folder or a zip of images.")
    try:
        reader = _native.Source.zip(path)
    except DataError as e:
        raise DataError(
            f"{path}: not a readable zip archive.", "It is cut off, damaged or no zip: get it again."
        ) from e
    return Tree(path, reader.names or [], reader)


def find_images(path: Path) -> tuple[_native.Source, NDArray[np.int64], list[str]]:
    """The images of a folder (with its sub-folders) or of a zip archive: a reader, its number of each, their paths."""
    return open_tree(path).images()


def walk(root: Path, trouble: Counter[str] | None = None) -> Iterator[str]:
    """The files below a folder, relative to it, in no order; through links, but never round in a circle.

    Args:
        root: the folder.
        trouble: counts what could not be listed, by reason.
    """
    trouble = Counter() if trouble is None else trouble
    # A folder below its own parents would go on for ever. With each: the real paths of it and of all above it.
    waiting: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(root),))]
    while waiting:
        below, above = waiting.pop()
        try:
            with os.scandir(root / below) as entries:
                listed = list(entries)
        except OSError:
            if not below:
                raise
            trouble[UNREADABLE] += 1
            continue
        for entry in listed:
            name = f"{below}{entry.name}"
            if not _is_folder(entry):
                if is_image_name(name) or not _leads_nowhere(entry):
                    # Also pipes and links that lead nowhere: an image's name deserves a reject with the reason.
                    yield name
                else:
                    trouble[NOWHERE] += 1
                continue
            real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
            if any(folder == real or folder.startswith(real.rstrip("/") + "/") for folder in above):
                trouble[LOOP] += 1
            else:
                waiting.append((f"{name}/", (*above, real)))


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not Path(entry.path).exists()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # For example a link to itself.
        return False


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
