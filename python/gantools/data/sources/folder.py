"""A folder or zip archive of images; sub-folders of the first level are classes, or `metadata.jsonl` has labels."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gantools import _native
from gantools.data.sources.base import Source, find_images
from gantools.data.sources.labels import MAX_CLASSES, Labels, labels_of
from gantools.errors import ConfigError, DataError

# Folders of the first level with these names are splits, not classes, where one of them is `train`.
SPLITS = ("train", "val", "valid", "validation", "test")
# HF datasets' imagefolder keeps labels in one of these: a row an image, with file_name and label.
METADATA = ("metadata.jsonl", "metadata.csv")
MAX_METADATA_BYTES = 1 << 30


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images below `path`.

    When every image is in a sub-folder, the sub-folders of the first level are the classes, sorted by name. An archive
    (or folder) whose images all lie in one outer folder is taken to begin below it. Folders `train` and `test` (or
    `val`) of the first level are splits; `train` is the usual one. Where there is a `metadata.jsonl` or
    `metadata.csv`, its `label` column has the labels and folders have no meaning.
    """
    if path is None:
        raise ConfigError("prep folder: which folder?", "Type: gantools prep folder --source PATH --size 64")
    reader, items, names = find_images(path)
    source = Source("folder", path.stem or "images", reader, items, names, 3, None)
    metadata = _metadata(path, reader)
    if metadata is None:
        return classes_of_paths(source, names, path, split)
    if split is not None:
        raise ConfigError(f"prep folder: a folder with {metadata[0]} has no splits.", "Give --source its folder.")
    found = _metadata_labels(f"{path}: {metadata[0]}", metadata, names)
    return source if found is None else source.with_labels(*found)


def classes_of_paths(source: Source, paths: list[str], path: Path, split: str | None) -> Source:
    """`source` with the classes, and the part of it that is `split`, by the folders of its images.

    Args:
        source: without labels.
        paths: the images' paths that count for the classes, in the order of `source`.
        path: where the source is, for errors.
        split: what the user asked for.
    """
    tails = [PurePosixPath(name).parts for name in paths]
    tails = below_outer_folder(tails)
    first = {parts[0] for parts in tails if len(parts) > 1}
    if len(first) > 1 and "train" in first and first <= set(SPLITS) and all(len(parts) > 1 for parts in tails):
        if split not in (None, "all", *first):
            raise ConfigError(f"{path} has no split {split!r}.", f"Splits: {', '.join(sorted(first))}, all.")
        chosen = split or "train"
        rows = np.array([i for i, parts in enumerate(tails) if chosen in ("all", parts[0])], dtype=np.int64)
        tails = [tails[i][1:] for i in rows]
        source = replace(source.select(rows, chosen), usual_split="train")
    elif split is not None:
        raise ConfigError(
            f"prep {source.kind}: {path} has no splits.", "Give --source the folder of the split instead."
        )
    depths = {len(parts) > 1 for parts in tails}
    if depths == {True}:
        found = labels_of([parts[0] for parts in tails], str(path))
        return source.with_labels(*found) if found and len(found[1]) > 1 else source
    if depths == {True, False}:
        loose = next(name for name, parts in zip(source.names, tails, strict=True) if len(parts) == 1)
        raise DataError(
            f"{path}: some images are in sub-folders, some are not (for example {loose}).",
            "Sub-folders are classes: put every image into one, or point --source at one of them.",
        )
    return source


def below_outer_folder(tails: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Paths as their parts, without the outer folders that all of them share."""
    while len({parts[0] for parts in tails}) == 1 and all(len(parts) > 2 for parts in tails):
        tails = [parts[1:] for parts in tails]
    return tails


def _metadata(path: Path, reader: _native.Source) -> tuple[str, str] | None:
    """Name and text of the metadata file in the outermost folder; None where there is none."""
    if path.is_dir():
        for name in METADATA:
            if (path / name).is_file():
                if (path / name).stat().st_size > MAX_METADATA_BYTES:
                    raise DataError(f"{path / name}: larger than 1 GiB.")
                return name, _text(path, name, (path / name).read_bytes())
        return None
    everything = reader.names or []
    found = [name for name in everything if PurePosixPath(name).name in METADATA]
    if not found:
        return None
    name = min(found, key=lambda name: (name.count("/"), METADATA.index(PurePosixPath(name).name)))
    return name, _text(path, name, reader.read(everything.index(name)))


def _text(path: Path, name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: {name} is no UTF-8 text ({e}).", "Save it as UTF-8.") from e


def _metadata_labels(where: str, metadata: tuple[str, str], names: list[str]) -> Labels | None:
    file, text = metadata
    try:
        rows = _rows(file, text)
    except (ValueError, RecursionError, csv.Error) as e:
        raise DataError(f"{where} is damaged ({e}).", "Every line is one JSON object.") from e
    if not rows or any(not isinstance(row.get("file_name"), str) for row in rows):
        raise DataError(f"{where}: a row has no file_name.", "Each row names its image in the column file_name.")
    if all(row.get("label") is None for row in rows):
        return None
    # Names in the file are relative to it.
    below = str(PurePosixPath(file).parent)
    prefix = "" if below == "." else f"{below}/"
    by_name = {f"{prefix}{row['file_name']}": row for row in rows}
    missing = next((name for name in names if name not in by_name), None)
    if missing is not None:
        raise DataError(f"{where} has no row for {missing}.", "Add one, or remove the image.")
    chosen = [by_name[name] for name in names]
    return labels_of([row.get("label") for row in chosen], where, _class_names(where, rows))


def _rows(file: str, text: str) -> list[dict[str, Any]]:
    if file.endswith(".jsonl"):
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("a line is no object")
        return rows
    found: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text, newline="")))
    labels = [row.get("label") or "" for row in found]
    # In a CSV everything is text; a column of numbers only is class numbers.
    numbers = all(label.lstrip("-").isdecimal() for label in labels)
    for row, label in zip(found, labels, strict=True):
        row["label"] = int(label) if numbers else label or None
    return found


def _class_names(where: str, rows: list[dict[str, Any]]) -> list[str] | None:
    """The names in the column `class` (as `gantools export` writes it) of the numbers in `label`."""
    names: dict[int, str] = {}
    for row in rows:
        label, name = row.get("label"), row.get("class")
        if not isinstance(label, int) or not isinstance(name, str):
            return None
        if names.setdefault(label, name) != name:
            raise DataError(f"{where}: class {label} is called {names[label]!r} and {name!r}.")
    if not names or min(names) < 0 or max(names) >= MAX_CLASSES:
        return None
    return [names.get(i, str(i)) for i in range(max(names) + 1)]
