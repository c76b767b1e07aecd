"""Tar archives: WebDataset shards, or plain archives of images in class folders.

Only compressed ones are unpacked, into a temporary file.

WebDataset (https://github.com/webdataset/webdataset) puts the files of one sample together by their name up to the
first dot: `000017.jpg` with `000017.cls` (a class, as its number or name) or `000017.json` (an object with `label`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.sources import splits, stylegan
from gantools.data.sources.base import Asked, Source, counted, nearby
from gantools.data.sources.folder import source_of_tree
from gantools.data.sources.labels import Labels, is_class_names, labels_of
from gantools.data.sources.tables import whole_numbers
from gantools.data.sources.tree import Tree, is_furniture, path_of
from gantools.errors import ConfigError, DataError, cause, unknown_name

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
CLASSES = "classes.json"
# Where a WebDataset's .json has the class, by the usual names.
JSON_KEYS = ("label", "cls", "class")
# How deep archives may lie below the folder that is given: set/data/train/00000.tar.
DEPTH = 3


def open_source(path: Path | None, split: str | None = None, asked: Asked | None = None) -> Source:
    """The images in a tar archive, in the `*.tar` of a folder, or in those that a pattern such as `train-*.tar` names.

    Where the archive holds class folders, these are the classes, as for `folder`; `classes.json` beside WebDataset
    shards names the classes of their numbers. Archives (or their folders) that are named after parts of a set are
    splits.
    """
    if path is None:
        raise ConfigError("prep tar: which archive?", "Type: gantools prep tar --source shards/ --size 64")
    root, archives = find_archives(path)
    names = [path_of(archive.relative_to(root).as_posix()) for archive in archives]
    choice = None
    if len(archives) > 1:
        choice = splits.choose([splits.part_of_file(name) for name in names], split, str(path))
    if choice is not None:
        archives, names = [archives[i] for i in choice.rows], [names[i] for i in choice.rows]
        split = None
    several = len(archives) > 1
    reader = _native.Source.tar(
        [(archive, f"{name}/" if several else "") for archive, name in zip(archives, names, strict=True)]
    )
    name = path.name if path.is_dir() else root.name
    if path.is_file():
        name = path.stem[: -len(".tar")] if path.stem.lower().endswith(".tar") else path.stem
    source = _open(
        Tree(path, reader.names or [], reader), name.rstrip("-*?") or "images", archives, names, split, asked or Asked()
    )
    if choice is None:
        return source
    left_out = {f"{part} (archives)": n for part, n in choice.left_out.items()}
    return replace(source, split=choice.split, usual_split=choice.usual, left_out={**left_out, **source.left_out})


def _open(tree: Tree, name: str, archives: list[Path], prefixes: list[str], split: str | None, asked: Asked) -> Source:
    sides = {n for n in tree.names if n.endswith((".cls", ".json", ".txt"))}
    reader, items, names = tree.images()
    rows = _images_of_samples(tree.path, names, sides, asked.key)
    others = {f"other than --key {asked.key}": n} if (n := len(names) - len(rows)) else {}
    items, names = items[rows], [names[i] for i in rows]
    keys = [_key(name) for name in names]
    if not any(f"{key}.cls" in sides or f"{key}.json" in sides for key in keys):
        if asked.label_column is not None:
            raise ConfigError(f"{tree.path}: no sample has a .json with labels.", "Leave --label-column out.")
        depth = prefixes[0].count("/") + 1 if len(archives) > 1 else 0
        found = stylegan.dataset_in(tree.names) if not depth and split in (None, splits.ALL) else None
        if found is None:
            source = source_of_tree(tree, "tar", name, split, prefixes=depth, rows=rows)
            return replace(source, left_out={**source.left_out, **others})
        source = Source("tar", name, reader, items, names, 3, None, skipped=tree.skipped([found]))
        return stylegan.labelled(source.with_notes(*tree.notes), tree, found)
    if split not in (None, splits.ALL):
        raise ConfigError("prep tar: WebDataset shards have no splits.", "Give --source the shards of the split.")
    used = {f"{key}{suffix}" for key in keys for suffix in (".cls", ".json")}
    source = Source("tar", name, reader, items, names, 3, None, skipped=tree.skipped(used), left_out=others)
    source = source.with_notes(*tree.notes)
    labels = _sample_labels(tree, keys, sides, _class_names(archives[0].parent), asked.label_column)
    return source if labels is None else source.with_labels(*labels)


def _images_of_samples(path: Path, names: list[str], sides: set[str], asked: str | None) -> NDArray[np.int64]:
    """The rows of `names` that are the one image of each sample, by what the names end with after the first point.

    Raises:
        ConfigError: samples (files of one name, with a text beside) have several images and none was asked for; or no
            image ends with what was.
    """
    ends = [name[len(_key(name)) + 1 :].lower() for name in names]
    if asked is not None:
        rows = [i for i, end in enumerate(ends) if end == asked.lower().lstrip(".")]
        if not rows:
            raise unknown_name("key", asked, sorted(set(ends)))
        return np.array(rows, dtype=np.int64)
    kinds: dict[str, list[str]] = {}
    for name, end in zip(names, ends, strict=True):
        kinds.setdefault(_key(name), []).append(end)
    # Captions alone make no samples: a folder may have them, too. Then every one has to have the same several images.
    alike = len(kinds) > 1 and len({tuple(sorted(of_one)) for of_one in kinds.values()}) == 1
    marks = (".cls", ".json", ".txt") if alike else (".cls", ".json")
    several = {
        key for key, of_one in kinds.items() if len(of_one) > 1 and any(f"{key}{mark}" in sides for mark in marks)
    }
    if several:
        found = Counter(end for name, end in zip(names, ends, strict=True) if _key(name) in several)
        raise ConfigError(
            f"{path}: which image of each sample? {len(several):,} have several: {counted(dict(found))}.",
            f"Say it: --key {found.most_common(1)[0][0]}",
        )
    return np.arange(len(names), dtype=np.int64)


def find_archives(path: Path) -> tuple[Path, list[Path]]:
    """The folder that tar archives lie below, and those that `path` is, holds or matches, sorted bytewise."""
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        below = [file for depth in range(DEPTH) for file in path.glob("*/" * depth + "*") if is_archive_name(file.name)]
        found = [file for file in below if file.is_file() and not is_furniture(file.relative_to(path).as_posix())]
        if not found:
            raise DataError(f"{path}: no .tar in it.", nearby(path / "x.tar"))
        root = path
    else:
        root = path.parent
        found = list(root.glob(path.name))
        if not found:
            raise DataError(f"{path}: no such archive.", nearby(path))
    return root, sorted(found, key=lambda file: os.fsencode(file))


def is_archive_name(name: str) -> bool:
    """Whether a path has the suffix of a tar archive that is read."""
    return name.lower().endswith(SUFFIXES)


def _key(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.split(".", 1)[0]


def _class_names(folder: Path) -> list[str] | None:
    file = folder / CLASSES
    if not file.is_file():
        return None
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as e:
        raise DataError(f"{file}: damaged ({cause(e)}).", "Mend or remove it.") from e
    if not is_class_names(names):
        raise DataError(f"{file}: not a list of class names.", "Mend or remove it.")
    return list(names)


def _sample_labels(
    tree: Tree, keys: list[str], sides: set[str], classes: list[str] | None, asked: str | None
) -> Labels | None:
    values: list[Any] = []
    texts: dict[int, str] = {}
    for i, key in enumerate(keys):
        if f"{key}.cls" in sides and asked is None:
            data = tree.read(f"{key}.cls")
            try:
                texts[i] = data.decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                raise DataError(
                    f"{tree.path}: {key}.cls holds {data[:40]!r}, neither a class number nor a name.",
                    "Mend or remove the .cls files.",
                ) from None
            values.append(None)
        elif f"{key}.json" in sides:
            try:
                sample = json.loads(tree.read(f"{key}.json"))
            except (ValueError, RecursionError) as e:
                raise DataError(f"{tree.path}: {key}.json is damaged ({cause(e)}).", "Mend or remove it.") from e
            found = sample if isinstance(sample, dict) else {}
            values.append(next((found[k] for k in ((asked,) if asked else JSON_KEYS) if k in found), None))
        else:
            values.append(None)
    for i, value in zip(texts, whole_numbers(list(texts.values())), strict=True):
        values[i] = value
    if classes is not None and values and all(isinstance(value, str) and value in classes for value in values):
        values = [classes.index(value) for value in values]
    return labels_of(values, str(tree.path), classes)
