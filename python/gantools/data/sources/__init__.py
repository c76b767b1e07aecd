"""Where images come from: each source finds its files and says which images, labels and annotations it has.

A source decides nothing about pixels; that is `gantools.data.prepare` and, below it, `rust/image`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gantools.data.sources import array, celeba, cifar, folder, frames, idx, lmdb, parquet, stylegan, tar
from gantools.data.sources.base import Asked, Source, report
from gantools.data.sources.folder import LooseImages
from gantools.data.sources.recognise import recognise
from gantools.errors import ConfigError

# name -> opens it; the path is None when the user gave no --source.
SOURCES: dict[str, Callable[[Path | None, str | None], Source]] = {
    "celeba": celeba.open_source,
    **{kind: idx.opener(kind) for kind in idx.KINDS},
    "cifar10": cifar.open_cifar10,
    "cifar100": cifar.open_cifar100,
    "folder": folder.open_source,
    "stylegan": stylegan.open_source,
    "tar": tar.open_source,
    "parquet": parquet.open_source,
    "lmdb": lmdb.open_source,
    "array": array.open_source,
    "frames": frames.open_source,
}

#: The sources that may hold several kinds of images or labels -> what can be said of them.
CHOICES: dict[str, tuple[str, ...]] = {
    "tar": ("key", "label_column"),
    "parquet": ("column", "label_column"),
    "array": ("key", "label_column"),
}
_CHOSEN = {"tar": tar.open_source, "parquet": parquet.open_source, "array": array.open_source}


def open_as(kind: str, path: Path | None, split: str | None = None, asked: Asked | None = None) -> Source:
    """The source at `path` as a source of a kind.

    Args:
        kind: a name in `SOURCES`.
        path: None looks in the source's usual places, then downloads, where it can.
        split: the part of it that is wanted.
        asked: which of several kinds of images or labels in it.

    Raises:
        ConfigError: `asked` says something that sources of this kind do not have. And what the source raises.
    """
    check_asked(kind, asked)
    if kind in _CHOSEN:
        return _CHOSEN[kind](path, split, asked or Asked())
    return SOURCES[kind](path, split)


def open_source(path: Path, split: str | None = None, *, loose: bool = False) -> Source:
    """The images at `path`, of whatever kind they are.

    Args:
        path: a folder or a file, or a pattern of archives.
        split: the part of them that is wanted; None for the usual one.
        loose: where some images lie in sub-folders and some do not, give them without classes; else this is an error.

    Raises:
        DataError: nothing is there, or no images. ConfigError: there is no such split, or it is not certain which.
    """
    try:
        return open_as(recognise(path)[0], path, split)
    except LooseImages as e:
        if not loose:
            raise
        return e.source


def check_asked(kind: str, asked: Asked | None) -> None:
    """ConfigError: `asked` says something that sources of this kind do not have."""
    for name, value in vars(asked or Asked()).items():
        if value is not None and name not in CHOICES.get(kind, ()):
            takers = ", ".join(kind for kind, names in CHOICES.items() if name in names)
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag} is not for the source {kind}.", f"It goes with {takers}. Leave it out.")


__all__ = ["CHOICES", "SOURCES", "Asked", "Source", "check_asked", "open_as", "open_source", "recognise", "report"]
