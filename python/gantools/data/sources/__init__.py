"""Where images come from: each source finds its files and says which images, labels and annotations it has.

A source decides nothing about pixels; that is `gantools.data.prepare` and, below it, `rust/image`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gantools.data.sources import array, celeba, cifar, folder, idx, lmdb, parquet, stylegan, tar
from gantools.data.sources.base import Source, report
from gantools.data.sources.recognise import recognise

# name -> opens it; the path is None when the user gave no --source.
SOURCES: dict[str, Callable[[Path | None, str | None], Source]] = {
    "celeba": celeba.open_source,
    "mnist": idx.open_mnist,
    "fashion-mnist": idx.open_fashion_mnist,
    "cifar10": cifar.open_cifar10,
    "cifar100": cifar.open_cifar100,
    "folder": folder.open_source,
    "stylegan": stylegan.open_source,
    "tar": tar.open_source,
    "parquet": parquet.open_source,
    "lmdb": lmdb.open_source,
    "array": array.open_source,
}

__all__ = ["SOURCES", "Source", "recognise", "report"]
