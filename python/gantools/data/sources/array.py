"""Images in a `.npy` or `.npz` file of numpy: uint8, without pickles; labels in the same `.npz`.

The samples of ADM (guided-diffusion) and EDM are such files: `arr_0` the images, `arr_1` the class numbers.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.sources.base import Source, nearby
from gantools.data.sources.labels import labels_of
from gantools.data.sources.splits import ALL
from gantools.errors import ConfigError, DataError

# What the arrays of a .npz are called, the first that is there counts.
IMAGES = ("arr_0", "images", "x", "x_train", "samples")
LABELS = ("arr_1", "labels", "y", "y_train", "label_arr")
CLASSES = "classes"
LOCAL_HEADER = 30


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images of a `.npy` or `.npz`: uint8 (n, h, w), (n, h, w, 1), (n, h, w, 3) or (n, h, w, 4).

    An uncompressed array is read where it lies, image by image; only a compressed `.npz` is held in memory.
    """
    if path is None:
        raise ConfigError("prep array: which file?", "Type: gantools prep array --source images.npy")
    if split not in (None, ALL):
        raise ConfigError("prep array: an array has no splits.", "Give --source the file of the split instead.")
    if not path.is_file():
        raise DataError(f"{path}: no such file.", nearby(path))
    try:
        return _open(path)
    # numpy reports a damaged header by ValueError, also one that needs a pickle.
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, MemoryError) as e:
        raise DataError(
            f"{path}: not a readable .npy or .npz of plain numbers ({e}).", "Write it with numpy.save or numpy.savez."
        ) from e


def _open(path: Path) -> Source:
    labels = classes = None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            key = next((name for name in IMAGES if name in names), None)
            if key is None:
                raise DataError(
                    f"{path}: no images in it; it has {', '.join(names) or 'nothing'}.",
                    f"The images are called {', '.join(IMAGES)}.",
                )
            reader, shape = _images(path, archive, archive.getinfo(names[key]))
            label_key = next((name for name in LABELS if name in names), None)
            if label_key is not None:
                labels = _load(archive, names[label_key])
            if CLASSES in names:
                classes = [str(name) for name in _load(archive, names[CLASSES]).ravel()]
    else:
        with path.open("rb") as f:
            shape, plain = _header(f, path)
            start = f.tell()
        # In Fortran order an image is spread over the whole file.
        reader = _ranges(path, start, shape) if plain else _in_memory(np.load(path, allow_pickle=False))
    n, h, w = shape[:3]
    channels = shape[3] if len(shape) == 4 else 1
    source = Source(
        "array",
        path.stem,
        reader,
        np.arange(n, dtype=np.int64),
        [f"{i:06d}" for i in range(n)],
        channels=1 if channels == 1 else 3,
        size=h if h == w else None,
        pixels=(h, w, channels),
    )
    if labels is None:
        return source
    if labels.shape == (n, 1):  # as keras gives them
        labels = labels[:, 0]
    if labels.shape != (n,) or labels.dtype.kind not in "iufU":
        raise DataError(
            f"{path}: the labels are {labels.dtype} {labels.shape} for {n} images.",
            "They are integers (n,). Vectors of zeros and ones: use their argmax.",
        )
    found = labels_of(labels.tolist(), str(path), classes)
    return source if found is None else source.with_labels(*found)


def _images(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[_native.Source, tuple[int, ...]]:
    with archive.open(info) as f:
        shape, plain = _header(f, path)
        header = f.tell()
    if info.compress_type != zipfile.ZIP_STORED or not plain:
        return _in_memory(_load(archive, info.filename)), shape
    with path.open("rb") as f:
        # The local header may have another extra field than the directory.
        f.seek(info.header_offset)
        local = f.read(LOCAL_HEADER)
    start = info.header_offset + LOCAL_HEADER + int.from_bytes(local[26:28], "little")
    start += int.from_bytes(local[28:30], "little")
    return _ranges(path, start + header, shape), shape


def _in_memory(images: NDArray[np.uint8]) -> _native.Source:
    # In C order: the reader takes the bytes as they lie in memory.
    return _native.Source.array(np.ascontiguousarray(images))


def _load(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as f:
        array: NDArray[Any] = np.lib.format.read_array(f, allow_pickle=False)
    return array


def _header(f: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool]:
    """Shape, checked to be one of images, and whether the bytes of an image lie together."""
    version = np.lib.format.read_magic(f)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(f)
    if dtype != np.uint8:
        raise DataError(
            f"{path}: the images are {dtype}, not uint8.", "Convert them: (x * 255).round().astype('uint8')"
        )
    if len(shape) not in (3, 4) or 0 in shape:
        raise DataError(f"{path}: an array of shape {shape} holds no images.", "They are (n, h, w) or (n, h, w, c).")
    if len(shape) == 4 and shape[3] not in (1, 3, 4):
        hint = "Channels come last: x.transpose(0, 2, 3, 1)." if shape[1] in (1, 3, 4) else None
        raise DataError(f"{path}: images of {shape[3]} channels (shape {shape}).", hint or "They have 1, 3 or 4.")
    return shape, not fortran


def _ranges(path: Path, start: int, shape: tuple[int, ...]) -> _native.Source:
    h, w, c = (*shape[1:], 1)[:3]
    size = h * w * c
    end = start + shape[0] * size
    if path.stat().st_size < end:
        raise DataError(f"{path}: cut off; {shape} needs {end:,} bytes.", "Fetch or make the file again.")
    ranges = np.zeros((shape[0], 3), np.int64)
    ranges[:, 1] = start + np.arange(shape[0]) * size
    ranges[:, 2] = size
    return _native.Source.ranges([path], ranges, shape=(h, w, c))
