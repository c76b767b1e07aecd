"""A folder or zip archive of images; sub-folders of the first level are classes, or `metadata.jsonl` has labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools.data.sources import splits
from gantools.data.sources.base import Source
from gantools.data.sources.labels import labels_of
from gantools.data.sources.metadata import find_metadata, metadata_labels
from gantools.data.sources.tree import Tree, open_tree
from gantools.errors import ConfigError, DataError

# Levels of folders at which parts are looked for: set/train/cat/1.jpg and cat/train/1.jpg.
LEVELS = 3


class LooseImages(DataError):
    """Some images are in sub-folders and some are not, so that folders are no classes; `source` has all of them."""

    def __init__(self, message: str, hint: str, source: Source) -> None:
        super().__init__(message, hint)
        self.source = source


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images below `path`.

    When every image is in a sub-folder, the sub-folders of the first level are the classes, sorted by name. An archive
    (or folder) whose images all lie in one outer folder is taken to begin below it. Folders named after parts of a set
    (`train`, `Testing`, `val2017`, ...) are splits, of which training data is the usual one. Where there are files
    `metadata.jsonl`, `.csv` or `.parquet`, their `label` column has the labels and folders are no classes.
    """
    if path is None:
        raise ConfigError("prep folder: which folder?", "Type: gantools prep folder --source PATH --size 64")
    return source_of_tree(open_tree(path), "folder", path.stem or "images", split)


def source_of_tree(
    tree: Tree, kind: str, name: str, split: str | None, *, prefixes: int = 0, rows: NDArray[np.int64] | None = None
) -> Source:
    """The images of a tree, with labels by metadata files or else by folders, and the part of them that is `split`.

    Args:
        tree: the files.
        kind: of the source.
        name: of the source.
        split: what the user asked for.
        prefixes: parts of each path that are no folders of the set.
        rows: which of the images; None for all.
    """
    reader, items, names = tree.images()
    if rows is not None:
        items, names = items[rows], [names[i] for i in rows]
    source = Source(kind, name, reader, items, names, 3, None)
    tails = [tuple(name.split("/")[prefixes:]) for name in names]
    source, tails = _of_split(source, tails, tree.path, split)
    metadata = find_metadata(tree)
    used = () if metadata is None else tuple(metadata.files.values())
    source = replace(source, skipped=tree.skipped(used)).with_notes(*tree.notes)
    if metadata is None:
        return _with_classes(source, tails, tree.path)
    found = metadata_labels(metadata, tree.path, source.names)
    return source if found is None else source.with_labels(*found)


def _of_split(
    source: Source, tails: list[tuple[str, ...]], path: Path, split: str | None
) -> tuple[Source, list[tuple[str, ...]]]:
    """The images of the split that is asked for, and their paths without the folder that says so."""
    inner = below_outer_folder(tails)
    level, parts = _parts(inner)
    if parts is None:
        # All of a set that is one part: what its outer folder, or the only one, is called.
        outer = tails[0][: len(tails[0]) - len(inner[0])]
        lone = next((folder for folder in outer if splits.split_of(folder)), None)
        if lone is None:
            if split not in (None, splits.ALL, splits.NONE):
                raise ConfigError(
                    f"prep {source.kind}: {path} has no splits.", "Give --source the folder of the split instead."
                )
            return source, inner
        choice = splits.choose([lone] * len(inner), split, str(path))
        split = None if choice is None else choice.split
        return replace(source, split=split, usual_split=split), inner
    choice = splits.choose(parts, split, str(path))
    if choice is None:
        return source, inner
    # The domains of unpaired translation are classes, the folder of a split is nothing.
    folders = {name: (choice.domains[name],) if name in choice.domains else () for name in {*parts} - {""}}
    tails = [
        inner[i] if not parts[i] else inner[i][:level] + folders[parts[i]] + inner[i][level + 1 :] for i in choice.rows
    ]
    source = source.select(choice.rows, choice.split)
    return replace(source, usual_split=choice.usual, left_out=choice.left_out), tails


def _parts(tails: list[tuple[str, ...]]) -> tuple[int, list[str] | None]:
    """The level of folders that are parts of the set, and the folder there of each path, None where there is none."""
    for level in range(LEVELS):
        parts = [tail[level] if len(tail) > level + 1 else "" for tail in tails]
        known = splits.known_parts(parts)
        # Further down a single name says little: a class may be called `test` there.
        if known and (level == 0 or len(set(known.values())) > 1):
            return level, parts
    return 0, None


def _with_classes(source: Source, tails: list[tuple[str, ...]], path: Path) -> Source:
    depths = {len(parts) > 1 for parts in tails}
    if depths == {True}:
        found = labels_of([parts[0] for parts in tails], str(path))
        return source.with_labels(*found) if found and len(found[1]) > 1 else source
    if depths == {True, False}:
        loose = next(name for name, parts in zip(source.names, tails, strict=True) if len(parts) == 1)
        raise LooseImages(
            f"{path}: some images are in sub-folders, some are not (for example {loose}).",
            "Sub-folders are classes: put every image into one, or point --source at one of them.",
            source,
        )
    return source


def below_outer_folder(tails: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Paths as their parts, without the outer folders that all of them share."""
    while len({parts[0] for parts in tails}) == 1 and all(len(parts) > 2 for parts in tails):
        tails = [parts[1:] for parts in tails]
    return tails
