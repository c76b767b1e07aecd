"""Tar archives: WebDataset shards, or plain archives of images in class folders. They are not unpacked.

WebDataset (https://github.com/webdataset/webdataset) puts the files of one sample together by their name up to the
first dot: `000017.jpg` with `000017.cls` (a class number as text) or `000017.json` (an object with `label`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from gantools import _native
from gantools.data.sources.base import Source, is_image_name, nearby, no_image
from gantools.data.sources.folder import classes_of_paths
from gantools.data.sources.labels import Labels, is_class_names, labels_of
from gantools.errors import ConfigError, DataError

CLASSES = "classes.json"
# Where a WebDataset's .json has the class, by the usual names.
JSON_KEYS = ("label", "cls", "class")


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images in a tar archive, in the `*.tar` of a folder, or in those that a pattern such as `train-*.tar` names.

    Where the archive holds class folders, these are the classes, as for `folder`; `classes.json` beside WebDataset
    shards names the classes of their numbers.
    """
    if path is None:
        raise ConfigError("prep tar: which archive?", "Type: gantools prep tar --source shards/ --size 64")
    archives = find_archives(path)
    several = len(archives) > 1
    reader = _native.Source.tar([(archive, f"{archive.name}/" if several else "") for archive in archives])
    everything = reader.names or []
    kept = [i for i, name in enumerate(everything) if is_image_name(name)]
    if not kept:
        raise no_image(path)
    items = np.array(kept, dtype=np.int64)
    names = [everything[i] for i in kept]
    name = path.stem if path.is_file() else path.name if path.is_dir() else archives[0].parent.name
    source = Source("tar", name.rstrip("-*?") or "images", reader, items, names, 3, None)

    sides = {everything[i]: i for i in range(len(everything)) if everything[i].endswith((".cls", ".json"))}
    keys = [_key(name) for name in names]
    if any(f"{key}.cls" in sides or f"{key}.json" in sides for key in keys):
        if split is not None:
            raise ConfigError("prep tar: WebDataset shards have no splits.", "Give --source the shards of the split.")
        found = _sample_labels(path, reader, keys, sides, _class_names(archives[0].parent))
        return source if found is None else source.with_labels(*found)
    inner = [name.split("/", 1)[1] for name in names] if several else names
    return classes_of_paths(source, inner, path, split)


def find_archives(path: Path) -> list[Path]:
    """The tar archives that `path` is, holds or matches, sorted bytewise by name."""
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix == ".tar" and file.is_file()]
        if not found:
            raise DataError(f"{path}: no .tar in it.", nearby(path / "x.tar"))
    else:
        found = list(path.parent.glob(path.name))
        if not found:
            raise DataError(f"{path}: no such archive.", nearby(path))
    return sorted(found, key=lambda file: os.fsencode(file))


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
        raise DataError(f"{file}: damaged ({e}).", "Mend or remove it.") from e
    if not is_class_names(names):
        raise DataError(f"{file}: not a list of class names.", "Mend or remove it.")
    return list(names)


def _sample_labels(
    path: Path, reader: _native.Source, keys: list[str], sides: dict[str, int], classes: list[str] | None
) -> Labels | None:
    values: list[Any] = []
    for key in keys:
        if f"{key}.cls" in sides:
            text = reader.read(sides[f"{key}.cls"])
            try:
                values.append(int(text))
            except ValueError:
                raise DataError(
                    f"{path}: {key}.cls holds {text[:40]!r}, not a class number.", "Mend or remove the .cls files."
                ) from None
        elif f"{key}.json" in sides:
            try:
                sample = json.loads(reader.read(sides[f"{key}.json"]))
            except (ValueError, RecursionError) as e:
                raise DataError(f"{path}: {key}.json is damaged ({e}).", "Mend or remove it.") from e
            found = sample if isinstance(sample, dict) else {}
            values.append(next((found[k] for k in JSON_KEYS if k in found), None))
        else:
            values.append(None)
    return labels_of(values, str(path), classes)
