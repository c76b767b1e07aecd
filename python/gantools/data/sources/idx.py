"""MNIST and the sets that come in its idx files: Fashion-MNIST, KMNIST, EMNIST and QMNIST.

The format (http://yann.lecun.com/exdb/mnist): a big-endian magic number 0x0000_TT_rank, the dimensions as 32-bit
numbers, then the numbers; TT is 08 for bytes and 0C for 32-bit integers.

Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", 2017; Clanuwat et al., "Deep Learning for
Classical Japanese Literature", 2018 (KMNIST); Yadav and Bottou, "Cold Case: The Lost MNIST Digits", 2019 (QMNIST).
"""

from __future__ import annotations

import gzip
import lzma
import string
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.annotations import Annotation
from gantools.data.sources.base import Source, nearby
from gantools.data.sources.downloads import by_torchvision
from gantools.errors import ConfigError, DataError, cause

DIGITS = list(string.digits)
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
HIRAGANA = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
LETTERS = list(string.ascii_uppercase)
# The small letters that EMNIST's bymerge and balanced keep apart from the capitals.
SMALL = list("abdefghnqrt")
EMNIST = {
    "byclass": [*DIGITS, *LETTERS, *string.ascii_lowercase],
    "bymerge": [*DIGITS, *LETTERS, *SMALL],
    "balanced": [*DIGITS, *LETTERS, *SMALL],
    "letters": list(string.ascii_lowercase),
    "digits": DIGITS,
    "mnist": DIGITS,
}
# What QMNIST says of a digit beside its class, a column each.
QMNIST_COLUMNS = ["hsf_series", "writer", "digit_index", "nist_class", "nist_index", "duplicate", "unused"]
MAX_BYTES = 1 << 32
TYPES: dict[int, tuple[str, np.dtype[Any]]] = {8: ("ubyte", np.dtype(np.uint8)), 12: ("int", np.dtype(">i4"))}
SUFFIXES = ("", ".gz", ".xz")


@dataclass(frozen=True)
class _Form:
    """One of the sets.

    Attributes:
        kind: its name on the command line.
        title: its class in torchvision, which is also the folder that torchvision keeps it in.
        classes: their names.
        stems: what the names of a split's files begin with.
        parts: splits that are part of another one: its name, the first image and the one after the last.
        all: the splits that `all` is.
        transposed: whether rows and columns are exchanged in the files.
        first: the number of the first class in the files.
        calls: the arguments of torchvision's class that fetch it.
    """

    kind: str
    title: str
    classes: list[str]
    stems: dict[str, str]
    parts: dict[str, tuple[str, int, int | None]] = field(default_factory=dict)
    all: tuple[str, ...] = ("train", "test")
    transposed: bool = False
    first: int = 0
    calls: tuple[dict[str, Any], ...] = ({"train": True}, {"train": False})


_MNIST_STEMS = {"train": "train", "test": "t10k"}
_FORMS = {
    form.kind: form
    for form in (
        _Form("mnist", "MNIST", DIGITS, _MNIST_STEMS),
        _Form("fashion-mnist", "FashionMNIST", CLOTHES, _MNIST_STEMS),
        _Form("kmnist", "KMNIST", HIRAGANA, _MNIST_STEMS),
        _Form(
            "qmnist",
            "QMNIST",
            DIGITS,
            {"train": "qmnist-train", "test": "qmnist-test", "nist": "xnist"},
            parts={"test10k": ("test", 0, 10_000), "test50k": ("test", 10_000, None)},
        ),
        *(
            _Form(
                f"emnist-{name}",
                "EMNIST",
                classes,
                {"train": f"emnist-{name}-train", "test": f"emnist-{name}-test"},
                transposed=True,
                # Letters are numbered from 1, as in the alphabet.
                first=1 if name == "letters" else 0,
                # One archive holds all sets.
                calls=({"split": "mnist"},),
            )
            for name, classes in EMNIST.items()
        ),
    )
}
KINDS = tuple(_FORMS)


def open_mnist(path: Path | None, split: str | None = None) -> Source:
    """MNIST from the folder `path`, or downloaded by torchvision."""
    return open_kind("mnist", path, split)


def open_fashion_mnist(path: Path | None, split: str | None = None) -> Source:
    """Fashion-MNIST from the folder `path`, or downloaded by torchvision."""
    return open_kind("fashion-mnist", path, split)


def opener(kind: str) -> Callable[[Path | None, str | None], Source]:
    """`open_kind` for one kind."""
    return partial(open_kind, kind)


def open_kind(kind: str, path: Path | None, split: str | None = None) -> Source:
    """A set in idx files, from a folder or a zip of them, or downloaded by torchvision.

    Args:
        kind: a name in `KINDS`.
        path: the folder or zip with the files under their published names, compressed by gzip or xz or not; None:
            download.
        split: `train` (None), `test` or `all`; of QMNIST also `test10k`, `test50k` and `nist`.

    Returns:
        The images upright: EMNIST's, which have rows and columns exchanged in the files, are transposed.

    Raises:
        ConfigError: no such split. DataError: files are missing or damaged. DownloadError: the download failed.
    """
    form = _FORMS[kind]
    split = split or "train"
    if split not in (*form.stems, *form.parts, "all"):
        raise ConfigError(f"{kind} has no split {split!r}.", f"Splits: {', '.join([*form.stems, *form.parts])}, all.")
    if path is None:
        path = _downloaded(form, split)
    images, labels, more, names = [], [], [], []
    for part in form.all if split == "all" else [split]:
        x, y = _read_part(form, path, part)
        images.append(x)
        labels.append(y[:, 0].astype(np.int64) - form.first)
        more.append(y[:, 1:])
        digits = max(5, len(str(len(x) - 1)))
        names += [f"{part}/{i:0{digits}d}" for i in range(len(x))]
    pixels = np.concatenate(images)
    if not len(pixels):
        raise DataError(f"{path}: the idx files hold no image.", "Fetch the files again.")
    source = Source(
        kind,
        kind,
        _native.Source.array(np.ascontiguousarray(pixels.transpose(0, 2, 1)) if form.transposed else pixels),
        np.arange(len(pixels), dtype=np.int64),
        names,
        channels=1,
        size=pixels.shape[1],
        labels=np.concatenate(labels),
        classes=form.classes,
        split=split,
        usual_split="train",
    )
    if form.transposed:
        source = source.with_notes("EMNIST's files have rows and columns exchanged; the images are put upright.")
    if len({columns.shape[1] for columns in more}) == 1 and more[0].shape[1] == len(QMNIST_COLUMNS):
        known = Annotation(np.concatenate(more).astype(np.int32), QMNIST_COLUMNS)
        source = source.with_annotations({"qmnist": known})
    return source


def recognise_idx(path: Path) -> tuple[str, str] | None:
    """The kind of set whose idx files lie in the folder `path`, and what that is in words; None: none is there.

    Raises:
        ConfigError: there are several sets.
    """
    # torchvision keeps the idx files one or two folders down, in a folder that says which set it is.
    folders = [path / "raw", path / "gzip", path, *(path / form.title / "raw" for form in _FORMS.values())]
    names = {file.name: folder for folder in folders if folder.is_dir() for file in folder.glob("*idx*")}
    found = [
        form
        for form in _FORMS.values()
        if form.stems is not _MNIST_STEMS and any(name.startswith(f"{form.stems['train']}-") for name in names)
    ]
    if len(found) > 1:
        kinds = [form.kind for form in found]
        raise ConfigError(f"{path} holds {', '.join(kinds)}.", f"Say which: gantools prep {kinds[0]} --source {path}")
    if found:
        return found[0].kind, f"the idx files of {found[0].kind}"
    folder = next((f for name, f in names.items() if name.startswith(("train-images", "t10k-images"))), None)
    if folder is None:
        return None
    where = str(folder.absolute()).lower()
    words = {"fashion": "fashion-mnist", "kmnist": "kmnist", "kuzushiji": "kmnist"}
    kind = next((kind for word, kind in words.items() if word in where), "mnist")
    return kind, f"the idx files of {_FORMS[kind].title} (by the name of its folder)"


def _read_part(form: _Form, path: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """The images (n, h, w) as they lie in the file, and the labels (n, 1 or more) of a split."""
    whole, start, end = form.parts.get(part, (part, 0, None))
    stem = form.stems[whole]
    images = _read(form, path, f"{stem}-images", [(3, 8)])
    labels = _read(form, path, f"{stem}-labels", [(2, 12), (1, 8)] if form.kind == "qmnist" else [(1, 8)])
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} {whole} images but {len(labels)} labels.", "Fetch the files again.")
    labels = labels.reshape(len(labels), -1) if len(labels) else np.zeros((0, 1), np.int64)
    last = form.first + len(form.classes) - 1
    if len(labels) and not (form.first <= labels[:, 0].min() and labels[:, 0].max() <= last):
        raise DataError(
            f"{path}: the {whole} labels go from {labels[:, 0].min()} to {labels[:, 0].max()}; {form.kind} has "
            f"{form.first} to {last}.",
            "Name the set that the files are of.",
        )
    return images[start:end], labels[start:end]


def _read(form: _Form, path: Path, stem: str, variants: list[tuple[int, int]]) -> NDArray[Any]:
    """The file `STEM-idxRANK-TYPE` of the first of the (rank, type) that is there."""
    # Both spellings are in circulation: train-images-idx3-ubyte and train-images.idx3-ubyte.
    names = {
        f"{stem}{dot}idx{rank}-{TYPES[kind][0]}{end}": (rank, kind)
        for rank, kind in variants
        for dot in "-."
        for end in SUFFIXES
    }
    if path.is_file() and zipfile.is_zipfile(path):
        return _read_zip(form, path, names)
    if not path.is_dir():
        what = f"Give --source the folder (or zip) with the idx files of {form.kind}, such as {next(iter(names))}.gz."
        raise DataError(f"{path}: {'neither a folder nor a zip' if path.exists() else 'no such folder'}.", what)
    # torchvision keeps the files one or two folders down, EMNIST's archive in one.
    for folder in (path, path / "raw", path / form.title / "raw", path / "gzip"):
        for name, (rank, kind) in names.items():
            if (folder / name).is_file():
                return read_idx(folder / name, rank, kind)
    raise DataError(f"{path}: no {next(iter(names))}[.gz] in it.", f"{nearby(path / 'x')} {_wanted(form)}")


def _wanted(form: _Form) -> str:
    return f"Point --source at the folder that holds the idx files of {form.kind}."


def _read_zip(form: _Form, path: Path, names: dict[str, tuple[int, int]]) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = PurePosixPath(member).name
                # What macOS puts beside each file has its name in another folder.
                if name in names and "__MACOSX" not in member:
                    with archive.open(member) as f:
                        return _parse(_plain(f, name), Path(f"{path}/{member}"), *names[name])
    except (
        *(zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError),
        *(NotImplementedError, RuntimeError),
    ) as e:
        raise DataError(f"{path}: a damaged or encrypted zip.", "Fetch the file again.") from e
    raise DataError(f"{path}: no {next(iter(names))}[.gz] in it.", f"Give the zip that holds the files of {form.kind}.")


def _plain(f: IO[bytes], name: str) -> IO[bytes]:
    """The file, decompressed as the end of its name says."""
    if name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(f))
    return cast(IO[bytes], lzma.open(f)) if name.endswith(".xz") else f


def read_idx(path: Path, rank: int, kind: int = 8) -> NDArray[Any]:
    """The array of `rank` dimensions in an idx file, compressed by gzip or xz or not.

    Args:
        path: the file.
        rank: number of axes that it has to have.
        kind: type of its numbers: 8 for uint8, 12 for big-endian int32.

    Raises:
        DataError: another format, rank or type; truncated; longer than its header says.
    """
    try:
        with path.open("rb") as f:
            magic = f.read(2)
            f.seek(0)
            return _parse(_plain(f, {b"\x1f\x8b": ".gz", b"\xfd7": ".xz"}.get(magic, "")), path, rank, kind)
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as e:
        raise DataError(f"{path}: damaged gzip or xz file ({cause(e)}).", "Fetch the file again.") from e
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.", "Give the folder that holds the idx files.") from None


def _parse(f: IO[bytes], path: Path, rank: int, kind: int) -> NDArray[Any]:
    name, dtype = TYPES[kind]
    head = f.read(4 + 4 * rank)
    if len(head) < 4 + 4 * rank or head[:4] != bytes([0, 0, kind, rank]):
        what = "bytes" if kind == 8 else "whole numbers"
        raise DataError(f"{path}: not an idx file of {rank}-dimensional {what} ({name}).", "Fetch the file again.")
    shape = struct.unpack(f">{rank}I", head[4:])
    size = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
    # The largest, EMNIST's, has 550 MB; a header that declares gigabytes is damage, and nothing is allocated for it.
    if size > MAX_BYTES:
        raise DataError(f"{path}: declares {shape}, more than 4 GiB.", "Fetch the file again.")
    data = f.read(size + 1)
    if len(data) != size:
        state = "truncated" if len(data) < size else "longer than its header says"
        raise DataError(f"{path}: {state} (expected {size:,} bytes).", "Fetch the file again.")
    return np.frombuffer(data, dtype).reshape(shape)


def _downloaded(form: _Form, split: str) -> Path:
    # The NIST digits of QMNIST are many and rarely wanted, so they are fetched only when they are asked for.
    apart = form.kind == "qmnist" and split == "nist"
    return by_torchvision(
        form.kind,
        form.title,
        calls=[{"what": "nist"}] if apart else form.calls,
        pick=lambda folder: folder / form.title,
        elsewhere=f"Fetch the idx files elsewhere, then: gantools prep {form.kind} --source FOLDER_WITH_THEM",
        folder=f"{form.title}-nist" if apart else None,
    )
