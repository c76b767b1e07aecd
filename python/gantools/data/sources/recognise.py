"""Which source a path is, for `gantools prep PATH`."""

from __future__ import annotations

import zipfile
from pathlib import Path

from gantools.data.sources.base import nearby
from gantools.data.sources.cifar import is_cifar
from gantools.data.sources.idx import recognise_idx
from gantools.data.sources.parquet import has_images
from gantools.data.sources.stylegan import DATASET, dataset_in
from gantools.data.sources.tar import is_archive_name
from gantools.data.sources.tree import is_furniture, is_image_name, path_of, walk
from gantools.errors import DataError

ARRAYS = (".npy", ".npz")
# Outer folders that hold nothing but the next one, as archives are unpacked into.
OUTER = 4


def recognise(path: Path) -> tuple[str, str]:
    """The kind of source that `path` is, and what that is in words.

    Only names are looked at, never the content of images. A folder or zip that is nothing else is a folder of images.

    Raises:
        DataError: nothing is there. ConfigError: several sets are.
    """
    if not path.exists():
        if "*" in path.name and any(path.parent.glob(path.name)):
            return "tar", "tar archives"
        raise DataError(f"{path}: no such file or folder.", nearby(path))
    if cifar := is_cifar(path):
        return cifar, "CIFAR-10" if cifar == "cifar10" else "CIFAR-100"
    return _folder(path) if path.is_dir() else _file(path)


def _file(path: Path) -> tuple[str, str]:
    name = path.name.lower()
    if is_archive_name(name):
        return "tar", "a tar archive"
    if name.endswith(ARRAYS):
        return "array", "an array of images"
    if name.endswith(".parquet"):
        return "parquet", "a parquet file"
    if name == "data.mdb":
        return "lmdb", "an LMDB"
    if name.endswith(".zip") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if dataset_in(path_of(name) for name in archive.namelist()):
                return "stylegan", "a StyleGAN archive with dataset.json"
        return "folder", "a zip archive of images"
    return "folder", "images"


def _folder(path: Path) -> tuple[str, str]:
    if (_inner(path) / DATASET).is_file():
        return "stylegan", "a StyleGAN set with dataset.json"
    if (path / "data.mdb").is_file():
        return "lmdb", "an LMDB"
    files = [file for folder in (path, path / "data") for file in sorted(folder.glob("*.parquet"))]
    # Tables beside images or archives (img2dataset's, `metadata.parquet`) are not what is meant, unless they have some.
    if files and has_images(files[0]):
        return "parquet", "a folder of parquet files"
    if found := recognise_idx(path):
        return found
    return _content(path)


def _content(path: Path) -> tuple[str, str]:
    """By the files at any depth; one image is enough to make it a folder of images."""
    kinds = set()
    for name in walk(path):
        if is_image_name(name):
            return "folder", "a folder of images"
        if is_archive_name(name) and not is_furniture(name):
            kinds.add("tar")
        elif name.endswith(".parquet"):
            kinds.add("parquet")
    if "tar" in kinds:
        return "tar", "a folder of tar archives"
    return ("parquet", "a folder of parquet files") if kinds else ("folder", "a folder of images")


def _inner(path: Path) -> Path:
    """The folder in which a set begins: below outer folders that hold nothing else."""
    for _ in range(OUTER):
        entries = [entry for entry in path.iterdir() if not is_furniture(entry.name)]
        if len(entries) != 1 or not entries[0].is_dir():
            break
        path = entries[0]
    return path
