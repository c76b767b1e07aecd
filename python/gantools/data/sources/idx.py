"""MNIST and Fashion-MNIST in their idx files, gzipped or not.

The format (http://yann.lecun.com/exdb/mnist): a big-endian magic number 0x0000_08_rank, the dimensions as 32-bit
numbers, then the bytes.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.sources.base import Source
from gantools.data.sources.downloads import by_torchvision
from gantools.errors import ConfigError, DataError

DIGITS = [str(d) for d in range(10)]
CLOTHES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
# The stem of the file names of each split.
SPLITS = {"train": "train", "test": "t10k"}


def open_mnist(path: Path | None, split: str | None = None) -> Source:
    """MNIST from the folder `path`, or downloaded by torchvision."""
    return _open("mnist", "MNIST", DIGITS, path, split)


def open_fashion_mnist(path: Path | None, split: str | None = None) -> Source:
    """Fashion-MNIST from the folder `path`, or downloaded by torchvision."""
    return _open("fashion-mnist", "FashionMNIST", CLOTHES, path, split)


def _open(kind: str, torchvision_name: str, classes: list[str], path: Path | None, split: str | None) -> Source:
    split = split or "train"
    if split not in (*SPLITS, "all"):
        raise ConfigError(f"{kind} has no split {split!r}.", "Splits: train (60,000), test (10,000), all.")
    if path is None:
        path = _downloaded(kind, torchvision_name)
    if not path.is_dir():
        raise DataError(
            f"{path}: not a folder.", f"Give --source the folder with the idx files of {kind} (*-ubyte or *-ubyte.gz)."
        )
    # torchvision keeps the files one or two folders down.
    folders = [path, path / "raw", path / torchvision_name / "raw"]
    images, labels, names = [], [], []
    for part in SPLITS if split == "all" else [split]:
        x = read_idx(_find(folders, SPLITS[part], "images", 3), rank=3)
        y = read_idx(_find(folders, SPLITS[part], "labels", 1), rank=1)
        if len(x) != len(y):
            raise DataError(f"{path}: {len(x)} {part} images but {len(y)} labels.", "Fetch the files again.")
        if y.size and y.max() >= len(classes):
            raise DataError(f"{path}: the {part} labels have a class {y.max()}; {kind} has 0 to 9.")
        images.append(x)
        labels.append(y)
        names += [f"{part}/{i:05d}" for i in range(len(x))]
    pixels = np.concatenate(images)
    if not len(pixels):
        raise DataError(f"{path}: the idx files hold no image.")
    return Source(
        kind,
        kind,
        _native.Source.array(pixels),
        np.arange(len(pixels), dtype=np.int64),
        names,
        channels=1,
        size=pixels.shape[1],
        labels=np.concatenate(labels).astype(np.int64),
        classes=classes,
        split=split,
        usual_split="train",
    )


def _find(folders: list[Path], stem: str, what: str, rank: int) -> Path:
    # Both spellings are in circulation: train-images-idx3-ubyte and train-images.idx3-ubyte.
    names = [f"{stem}-{what}{dot}idx{rank}-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise DataError(
        f"{folders[0]}: no {names[0]}[.gz] in it.", "Point --source at the folder that holds the four idx files."
    )


def read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """The uint8 array of `rank` dimensions in an idx file, gzipped or not.

    Raises:
        DataError: another format, rank or type; truncated; longer than its header says.
    """
    try:
        with path.open("rb") as f:
            zipped = f.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as f:
            return _parse(f, path, rank)
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise DataError(f"{path}: damaged gzip file ({e}).", "Fetch the file again.") from e
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.", "Give the folder that holds the four idx files.") from None


def _parse(f: gzip.GzipFile | IO[bytes], path: Path, rank: int) -> NDArray[np.uint8]:
    head = f.read(4 + 4 * rank)
    if len(head) < 4 + 4 * rank or head[:4] != bytes([0, 0, 8, rank]):
        raise DataError(f"{path}: not an idx file of {rank}-dimensional bytes.", "Fetch the file again.")
    shape = struct.unpack(f">{rank}I", head[4:])
    size = int(np.prod(shape, dtype=np.float64))
    # MNIST has 47 MB; a header that declares gigabytes is damage, and nothing is allocated for it.
    if size > 1 << 32:
        raise DataError(f"{path}: declares {shape}, more than 4 GiB.", "Fetch the file again.")
    data = f.read(size + 1)
    if len(data) != size:
        state = "truncated" if len(data) < size else "longer than its header says"
        raise DataError(f"{path}: {state} (expected {size:,} bytes).", "Fetch the file again.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _downloaded(kind: str, torchvision_name: str) -> Path:
    return by_torchvision(
        kind,
        torchvision_name,
        splits=(True, False),
        pick=lambda folder: folder / torchvision_name,
        elsewhere=f"Fetch the four idx files elsewhere, then: gantools prep {kind} --source FOLDER_WITH_THEM",
    )
