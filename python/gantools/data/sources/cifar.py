"""CIFAR-10 and CIFAR-100 in their python and binary forms, unpacked or as the `.tar.gz` they are published in.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gantools import _native, unpickle
from gantools.data.sources.base import Source
from gantools.data.sources.downloads import by_torchvision
from gantools.errors import ConfigError, DataError, cause

PIXELS = 3 * 32 * 32
# The largest file, CIFAR-100's train, has 155 MB.
MAX_FILE = 1 << 30
CLASSES_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
# fmt: off
CLASSES_100 = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
]
# fmt: on


@dataclass(frozen=True)
class _Form:
    """One of the two sets: its files by split (without `.bin`), where its labels are, its classes."""

    kind: str
    torchvision_name: str
    files: dict[str, list[str]]
    # The key in a pickle, and how many label bytes a binary record has; the last one counts (100: coarse, then fine).
    key: str
    label_bytes: int
    classes: list[str]


CIFAR10 = _Form(
    "cifar10",
    "CIFAR10",
    {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
    "labels",
    1,
    CLASSES_10,
)
CIFAR100 = _Form("cifar100", "CIFAR100", {"train": ["train"], "test": ["test"]}, "fine_labels", 2, CLASSES_100)


def open_cifar10(path: Path | None, split: str | None = None) -> Source:
    """CIFAR-10 from a folder or `.tar.gz`, or downloaded by torchvision."""
    return _open(CIFAR10, path, split)


def open_cifar100(path: Path | None, split: str | None = None) -> Source:
    """CIFAR-100 with its 100 fine classes, from a folder or `.tar.gz`, or downloaded by torchvision."""
    return _open(CIFAR100, path, split)


def _open(form: _Form, path: Path | None, split: str | None) -> Source:
    split = split or "train"
    if split not in (*form.files, "all"):
        raise ConfigError(f"{form.kind} has no split {split!r}.", "Splits: train (50,000), test (10,000), all.")
    if path is None:
        path = _downloaded(form)
    get = _files(form, path)
    images, labels, names = [], [], []
    for part in form.files if split == "all" else [split]:
        for file in form.files[part]:
            x, y = _read(form, path, file, get)
            images.append(x)
            labels.append(y)
            names += [f"{part}/{file}/{i:05d}" for i in range(len(x))]
    y = np.concatenate(labels)
    # Planes of red, green and blue in the file.
    pixels = np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    if not len(pixels):
        raise DataError(f"{path}: the {form.kind} files hold no image.")
    if y.min() < 0 or y.max() >= len(form.classes):
        raise DataError(f"{path}: the labels go from {y.min()} to {y.max()}; {form.kind} has {len(form.classes)}.")
    items = np.arange(len(pixels), dtype=np.int64)
    source = Source(
        form.kind,
        form.kind,
        _native.Source.array(np.ascontiguousarray(pixels)),
        items,
        names,
        channels=3,
        size=32,
        split=split,
        usual_split="train",
    )
    return source.with_labels(y, form.classes)


def is_cifar(path: Path) -> str | None:
    """`cifar10` or `cifar100` where `path` is a folder with its files, or has the published archive's name."""
    if path.is_file():
        for kind, stem in (("cifar10", "cifar-10-"), ("cifar100", "cifar-100-")):
            if path.name.startswith(stem) and path.name.endswith(".tar.gz"):
                return kind
        return None
    for form in (CIFAR10, CIFAR100):
        first = form.files["test"][0]
        # Other sets have files called `test` as well; CIFAR-100's come with their list of names.
        meta = ("batches.meta", "batches.meta.txt") if form is CIFAR10 else ("meta", "fine_label_names.txt")
        for folder in _folders(form, path):
            if any((folder / name).is_file() for name in (first, first + ".bin")) and any(
                (folder / name).is_file() for name in meta
            ):
                return form.kind
    return None


def _folders(form: _Form, path: Path) -> list[Path]:
    number = form.kind.removeprefix("cifar")
    inner = ("python", "binary") if form is CIFAR100 else ("batches-py", "batches-bin")
    return [path, *(path / f"cifar-{number}-{name}" for name in inner)]


def _files(form: _Form, path: Path) -> Callable[[str], bytes | None]:
    """A function that gives the content of a file of the set, None where there is no such file."""
    if path.is_dir():

        def from_folder(name: str) -> bytes | None:
            for folder in _folders(form, path):
                file = folder / name
                if file.is_file():
                    if file.stat().st_size > MAX_FILE:
                        raise DataError(f"{file}: larger than 1 GiB; no file of {form.kind} is.")
                    return file.read_bytes()
            return None

        return from_folder
    wanted = {name + end for names in form.files.values() for name in names for end in ("", ".bin")}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name in wanted:
                    if member.size > MAX_FILE:
                        raise DataError(f"{path}: {member.name} is larger than 1 GiB; no file of {form.kind} is.")
                    stream = archive.extractfile(member)
                    found[name] = stream.read() if stream else b""
    except (tarfile.TarError, EOFError, zlib.error) as e:
        raise DataError(
            f"{path}: not a readable archive ({cause(e)}).", f"Give --source the folder or the .tar.gz of {form.kind}."
        ) from e
    except FileNotFoundError as e:
        raise DataError(f"{path}: no such file or folder.", "Leave --source away to download it.") from e
    return found.get


def _read(
    form: _Form, path: Path, file: str, get: Callable[[str], bytes | None]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """uint8 (n, 3072) and int64 (n,) of one file."""
    again = "Fetch the set again from https://www.cs.toronto.edu/~kriz/cifar.html"
    data = get(file)
    if data is not None:
        try:
            batch = unpickle.load(data, allow=("u1",), encoding="bytes")
        except ValueError as e:
            raise DataError(f"{path}: {file} is damaged, or holds more than arrays.", again) from e
        x, y = (batch.get("data"), batch.get(form.key)) if isinstance(batch, dict) else (None, None)
        if isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 2 and x.shape[1] == PIXELS:
            labels = np.array(y) if isinstance(y, list | np.ndarray) else np.empty(0)
            if labels.dtype.kind in "iu" and labels.shape == (len(x),):
                return x, labels.astype(np.int64)
        raise DataError(f"{path}: {file} has no {len(form.classes)}-class images of 32x32 and labels.", again)
    data = get(file + ".bin")
    if data is None:
        raise DataError(
            f"{path}: no {file} or {file}.bin of {form.kind}.",
            f"Give --source the folder or the .tar.gz of {form.kind}, or leave it away to download it.",
        )
    if not data or len(data) % (form.label_bytes + PIXELS):
        raise DataError(f"{path}: {file}.bin is cut off, or no file of {form.kind}.", again)
    records = np.frombuffer(data, np.uint8).reshape(-1, form.label_bytes + PIXELS)
    return records[:, form.label_bytes :], records[:, form.label_bytes - 1].astype(np.int64)


def _downloaded(form: _Form) -> Path:
    return by_torchvision(
        form.kind,
        form.torchvision_name,
        calls=[{"train": True}],  # one archive holds both parts
        pick=lambda folder: next(inner for inner in _folders(form, folder)[1:] if inner.is_dir()),
        elsewhere="Fetch it from https://www.cs.toronto.edu/~kriz/cifar.html, then: "
        f"gantools prep {form.kind} --source FILE",
    )
