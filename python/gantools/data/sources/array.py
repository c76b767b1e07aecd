"""Images in a `.npy` or `.npz` file of numpy: uint8, without pickles; labels in the same `.npz`.

The samples of ADM (guided-diffusion) and EDM are such files: `arr_0` the images, `arr_1` the class numbers. Those of
keras have splits: `x_train` with `y_train`, `x_test` with `y_test`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.sources.array_words import CHANNELS, label_values, to_uint8, wrong_shape
from gantools.data.sources.base import Asked, Source, nearby
from gantools.data.sources.labels import labels_of
from gantools.data.sources.splits import ALL, TRAIN
from gantools.errors import ConfigError, DataError, unknown_name

# What the arrays of a .npz are called, the first that is there counts.
IMAGES = ("arr_0", "images", "x", "samples")
LABELS = ("arr_1", "labels", "y", "label_arr")
# The split that an end of an array's name stands for.
SPLITS = {"_train": "train", "_val": "val", "_test": "test"}
CLASSES = "classes"
LOCAL_HEADER = 30


def open_source(path: Path | None, split: str | None = None, asked: Asked | None = None) -> Source:
    """The images of a `.npy` or `.npz`: uint8 (n, h, w), (n, h, w, c) or (n, c, h, w) of 1, 3 or 4 channels.

    An uncompressed array with channels last is read where it lies, image by image; any other is held in memory.
    """
    if path is None:
        raise ConfigError("prep array: which file?", "Type: gantools prep array --source images.npy")
    if not path.is_file():
        raise DataError(f"{path}: no such file.", nearby(path))
    if zipfile.is_zipfile(path):
        return _open_npz(path, split, asked or Asked())
    if split not in (None, ALL):
        raise ConfigError("prep array: a .npy has no splits.", "Give --source the file of the split instead.")
    with _readable(path), path.open("rb") as f:
        header = _header(f, path, path.name)
        start = f.tell()
        if header.plain:
            places: NDArray[Any] = _ranges(path, start, header.shape)
        else:
            places = _channels_last(np.load(path, mmap_mode="r", allow_pickle=False), header)
    return _source(path, _reader(path, places, header.shape), header.shape)


def _open_npz(path: Path, split: str | None, asked: Asked) -> Source:
    with _readable(path), zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}
        parts = _parts(path, names, asked)
        if split is None and None not in parts:
            split = TRAIN
            if split not in parts:
                first = next(iter(parts))
                raise ConfigError(f"{path} has no training data, only {first}.", f"Type: --split {first}")
        if split not in (*parts, ALL):
            known = ", ".join(filter(None, parts))
            raise ConfigError(f"{path} has no split {split!r}.", f"Splits: {known}." if known else "It has none.")
        chosen = list(parts) if split == ALL else [split]
        found = [_images(path, archive, names, parts[part][0], whole=len(chosen) > 1) for part in chosen]
        shapes = [shape for _, shape in found]
        if len({shape[1:] for shape in shapes}) > 1:
            raise DataError(
                f"{path}: its splits have images of several sizes.", f"Choose one with --split {chosen[0]}."
            )
        labels = [
            _labels(path, archive, names, parts[part][1], shape[0]) for part, shape in zip(chosen, shapes, strict=True)
        ]
        left = {str(part): _count(archive, names[parts[part][0]]) for part in parts if part not in chosen}
        classes = None
        if CLASSES in names:
            classes = [str(name) for name in _load(path, archive, names[CLASSES], CLASSES).ravel()]
        shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        source = _source(
            path,
            _reader(path, found[0][0] if len(found) == 1 else np.concatenate([places for places, _ in found]), shape),
            shape,
        )
    if None not in parts:
        source = replace(source, split=split, usual_split="train", left_out=left)
    if any(part is None for part in labels):
        return source
    values = [value for part in labels if part is not None for value in part[0]]
    if classes is None and (count := max(part[1] or 0 for part in labels if part is not None)):
        classes = [str(i) for i in range(count)]
    numbers = labels_of(values, str(path), classes)
    return source if numbers is None else source.with_labels(*numbers)


def _parts(path: Path, names: Collection[str], asked: Asked) -> dict[str | None, tuple[str, str | None]]:
    """The names of images and labels of each split; that of an array without splits is None."""
    for key in (asked.key, asked.label_column):
        if key is not None and key not in names:
            raise unknown_name(f"array of {path}", key, names)

    def first(known: Sequence[str], end: str = "") -> str | None:
        return next((name + end for name in known if name + end in names), None)

    if asked.key is not None or asked.label_column is not None or first(IMAGES) is not None:
        key = asked.key or first(IMAGES)
        if key is None:
            raise ConfigError(f"{path}: --label-column without the images.", f"Add --key; it has {', '.join(names)}.")
        # Labels that have a name of their own go with the images that have.
        end = next((end for end in SPLITS if key.endswith(end)), "")
        return {None: (key, asked.label_column or first(LABELS, end))}
    parts: dict[str | None, tuple[str, str | None]] = {
        split: (key, first(LABELS, end)) for end, split in SPLITS.items() if (key := first(IMAGES, end)) is not None
    }
    if not parts:
        known = [*IMAGES, *(f"x{end}" for end in SPLITS)]
        raise DataError(
            f"{path}: no images in it; it has {', '.join(names) or 'nothing'}.",
            f"Say which it is with --key, or save it under one of the names {', '.join(known)}.",
        )
    return parts


def _labels(
    path: Path, archive: zipfile.ZipFile, names: dict[str, str], key: str | None, count: int
) -> tuple[list[Any], int | None] | None:
    """The labels of `count` images, and how many classes there are where that is known."""
    if key is None:
        return None
    values, more = label_values(_load(path, archive, names[key], key), count)
    if isinstance(values, str):
        raise DataError(f"{path}: {values} ({key}).", str(more))
    assert not isinstance(more, str)
    return values, more


def holds_images(names: Collection[str]) -> bool:
    """Whether one of the arrays of a `.npz` is called as those of images are."""
    return any(name + end in names for name in IMAGES for end in ("", *SPLITS))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes the readers raise, as one error."""
    try:
        yield
    # A damaged header is a ValueError, or whatever Python's parser finds in it.
    except (ValueError, SyntaxError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, MemoryError) as e:
        raise DataError(
            f"{path}: damaged, or no .npy or .npz of plain numbers.", "Write it with numpy.save or numpy.savez."
        ) from e


def _source(path: Path, reader: _native.Source, shape: tuple[int, ...]) -> Source:
    n, h, w, channels = shape
    return Source(
        "array",
        path.stem,
        reader,
        np.arange(n, dtype=np.int64),
        [f"{i:06d}" for i in range(n)],
        channels=1 if channels == 1 else 3,
        size=h if h == w else None,
        pixels=(h, w, channels),
    )


@dataclass(frozen=True)
class _Header:
    """The shape (n, h, w, c) of an array of images, and how it lies in the file.

    Attributes:
        shape: n, h, w and c.
        first: whether the channels come before height and width in the file.
        plain: whether the bytes of an image lie together, channels last.
    """

    shape: tuple[int, int, int, int]
    first: bool
    plain: bool


def _images(
    path: Path, archive: zipfile.ZipFile, names: dict[str, str], key: str, *, whole: bool
) -> tuple[NDArray[Any], tuple[int, int, int, int]]:
    """Where the images lie in the file, int64 (n, 3), or the images themselves; and their shape.

    They are read where they are compressed, not in the order of images, or `whole`.
    """
    info = archive.getinfo(names[key])
    with archive.open(info) as f:
        header = _header(f, path, key, lambda: _load(path, archive, info.filename, key))
        skipped = f.tell()
    if whole or info.compress_type != zipfile.ZIP_STORED or not header.plain:
        return _channels_last(_load(path, archive, info.filename, key), header), header.shape
    with path.open("rb") as f:
        # The local header may have another extra field than the directory.
        f.seek(info.header_offset)
        local = f.read(LOCAL_HEADER)
    start = info.header_offset + LOCAL_HEADER + int.from_bytes(local[26:28], "little")
    start += int.from_bytes(local[28:30], "little")
    return _ranges(path, start + skipped, header.shape), header.shape


def _reader(path: Path, places: NDArray[Any], shape: tuple[int, int, int, int]) -> _native.Source:
    if places.dtype == np.uint8:
        return _native.Source.array(places)
    return _native.Source.ranges([path], places, shape=shape[1:])


def _channels_last(images: NDArray[np.uint8], header: _Header) -> NDArray[np.uint8]:
    if header.first:
        images = images.transpose(0, 2, 3, 1)
    # In C order: the reader takes the bytes as they lie in memory.
    return np.ascontiguousarray(images.reshape(header.shape))


def _load(path: Path, archive: zipfile.ZipFile, name: str, key: str) -> NDArray[Any]:
    with archive.open(name) as f:
        _no_objects(path, key, _read_header(f)[2])
    with archive.open(name) as f:
        array: NDArray[Any] = np.lib.format.read_array(f, allow_pickle=False)
    return array


def _read_header(f: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type."""
    version = np.lib.format.read_magic(f)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(f)
    return found


def _count(archive: zipfile.ZipFile, name: str) -> int:
    with archive.open(name) as f:
        shape = _read_header(f)[0]
    return shape[0] if shape else 0


def _no_objects(path: Path, key: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise DataError(
            f"{path}: {key} holds objects, which are not loaded since they can run code.",
            "Images of several sizes: write them as PNG files and prepare their folder. Names: y = y.astype(str)",
        )


def _header(f: IO[bytes], path: Path, key: str, load: Callable[[], NDArray[Any]] | None = None) -> _Header:
    """The header of an array, checked to be one of images; `load` gives the whole array, for the hint."""
    shape, fortran, dtype = _read_header(f)
    _no_objects(path, key, dtype)
    if dtype != np.uint8 and 0 not in shape and len(shape) > 1:
        values = load() if load is not None else np.load(path, mmap_mode="r", allow_pickle=False)
        found, hint = to_uint8(values)
        raise DataError(f"{path}: the images are {found}, not uint8.", hint)
    if wrong := wrong_shape(shape):
        raise DataError(f"{path}: {wrong[0]}.", wrong[1])
    first = len(shape) == 4 and shape[3] not in CHANNELS
    n, h, w, c = (shape[0], *shape[2:], shape[1]) if first else (*shape, 1)[:4]
    # Of one channel both orders are the same bytes.
    return _Header((n, h, w, c), first and c > 1, not fortran and not (first and c > 1))


def _ranges(path: Path, start: int, shape: tuple[int, int, int, int]) -> NDArray[np.int64]:
    n, h, w, c = shape
    size = h * w * c
    end = start + n * size
    if path.stat().st_size < end:
        raise DataError(f"{path}: cut off; {shape} needs {end:,} bytes.", "Fetch or make the file again.")
    ranges = np.zeros((n, 3), np.int64)
    ranges[:, 1] = start + np.arange(n) * size
    ranges[:, 2] = size
    return ranges
