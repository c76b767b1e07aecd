"""Parquet files as on the Hugging Face hub: a column of images {bytes, path} and one of labels; needs pyarrow."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gantools import _native
from gantools.data.sources import splits
from gantools.data.sources.base import Source, nearby
from gantools.data.sources.labels import is_class_names, labels_of
from gantools.data.sources.tree import path_of
from gantools.errors import ConfigError, DataError

IMAGE_COLUMNS = ("image", "img", "images", "jpg", "png")
LABEL_COLUMNS = ("label", "labels", "fine_label", "cls", "class")
# How deep files may lie below the folder that is given, itself included.
DEPTH = 3
# Threads work on neighbouring rows, which lie in one group or two.
CACHED_GROUPS = 3


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images of a `.parquet` file, or of those in a folder (or its `data/`), sorted by name.

    Where the files, or their folders, are named after splits, `train` is the usual one. Class names come from the
    features that HF datasets keeps in the file.
    """
    if path is None:
        raise ConfigError("prep parquet: which file?", "Type: gantools prep parquet --source data/ --size 64")
    files = find_files(path)
    if not files:
        raise DataError(f"{path}: no .parquet in it.", nearby(path / "x.parquet"))
    choice = None
    if path.is_dir():
        places = [path_of(file.relative_to(path).as_posix()) for file in files]
        _one_configuration(path, places)
        choice = splits.choose([splits.part_of_file(place) for place in places], split, str(path))
    if choice is not None:
        files = [files[i] for i in choice.rows]
    elif split not in (None, splits.ALL):
        raise ConfigError(
            "prep parquet: these files are not named after splits.", "Give --source the file of the split."
        )
    try:
        import pyarrow
    except ImportError as e:
        raise DataError("reading parquet needs the package pyarrow.", "Type: pip install 'gantools[parquet]'") from e
    try:
        table = _Table(files)
    except pyarrow.ArrowException as e:
        raise DataError(f"{path}: not readable as parquet ({e}).", "Fetch the file again.") from e
    if not table.names:
        raise DataError(f"{path}: holds no row.")
    reader = _native.Source.fetched(table.names, table.fingerprint, table.fetch)
    items = np.arange(len(table.names), dtype=np.int64)
    name = path.stem if path.is_file() else path.resolve().name
    source = Source("parquet", name, reader, items, table.names, 3, None)
    if choice is not None:
        left_out = {f"{part} (files)": n for part, n in choice.left_out.items()}
        source = replace(source, split=choice.split, usual_split=choice.usual, left_out=left_out)
    if table.labels is None:
        return source
    found = labels_of(table.labels, str(path), table.classes)
    return source if found is None else source.with_labels(*found)


def find_files(path: Path) -> list[Path]:
    """The parquet files that `path` is or holds, also in sub-folders, sorted bytewise by path."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.", nearby(path))
    if path.is_file():
        return [path]
    for folder in (path, path / "data"):
        if found := [file for file in folder.glob("*.parquet") if file.is_file()]:
            break
    else:
        # The hub's own conversion lays files into CONFIGURATION/SPLIT.
        found = [file for depth in range(1, DEPTH) for file in path.glob("*/" * depth + "*.parquet") if file.is_file()]
    return sorted(found, key=os.fsencode)


def _one_configuration(path: Path, places: list[str]) -> None:
    """ConfigError: the folders that are no splits tell several sets apart."""
    folders = {
        tuple(part for part in place.split("/")[:-1] if part != "data" and not splits.split_of(part))
        for place in places
    }
    if len(folders) > 1:
        names = sorted("/".join(parts) for parts in folders)
        raise ConfigError(
            f"{path} holds several sets: {', '.join(name or 'files outside of folders' for name in names)}.",
            f"Point --source at one of them: {path / names[-1]}",
        )


class _Table:
    """Rows of several files; image bytes are read a row group at a time, when they are asked for."""

    def __init__(self, files: list[Path]) -> None:
        import pyarrow.parquet as pq

        self._files = [pq.ParquetFile(file) for file in files]
        self.names: list[str] = []
        self.labels: list[Any] | None = []
        self.classes: list[str] | None = None
        # Where each row group begins: (first row, file, group).
        self._starts: list[int] = []
        self._groups: list[tuple[int, int]] = []
        self._cache: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()
        digest = hashlib.sha256()
        for i, (path, file) in enumerate(zip(files, self._files, strict=True)):
            schema = file.schema_arrow
            image = _image_column(path, schema)
            label = next((name for name in LABEL_COLUMNS if name in schema.names), None)
            if i == 0:
                self._image, self._label = image, label
                self.classes = _class_names(schema, label)
            elif (image, label) != (self._image, self._label):
                raise DataError(f"{path}: has other columns than {files[0].name}.", "Give --source one kind of files.")
            # The footer has the sizes and statistics of every column.
            digest.update(str((path.stat().st_size, str(file.metadata.to_dict()["row_groups"]))).encode())
            first = len(self.names)
            self._add_names(path, file)
            if label is not None and self.labels is not None:
                self.labels += file.read(columns=[label]).column(0).to_pylist()
            for group in range(file.num_row_groups):
                self._starts.append(first)
                self._groups.append((i, group))
                first += file.metadata.row_group(group).num_rows
        if self._label is None:
            self.labels = None
        self.fingerprint = digest.hexdigest()

    def _add_names(self, path: Path, file: Any) -> None:
        rows = file.metadata.num_rows
        paths = [None] * rows
        if _has_field(file.schema_arrow.field(self._image).type, "path"):
            column = file.read(columns=[f"{self._image}.path"]).column(0)
            paths = [value and value.get("path") for value in column.to_pylist()]
        # A path is a name only where it is one: some sets have the same in every row.
        if any(name is None for name in paths) or len(set(paths)) < rows:
            paths = [f"{path.stem}/{i:06d}" for i in range(rows)]  # type: ignore[misc]
        self.names += paths  # type: ignore[arg-type]

    def fetch(self, index: int) -> bytes:
        """The bytes of the image in row `index`."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        # One reader at a time; the decoding, which takes longer, is not under the lock.
        with self._lock:
            column = self._cache.get(group)
            if column is None:
                i, number = self._groups[group]
                column = self._files[i].read_row_group(number, columns=[self._image]).column(0)
                self._cache[group] = column
                while len(self._cache) > CACHED_GROUPS:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(group)
        value = column[index - self._starts[group]].as_py()
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise ValueError("the row has no image bytes")
        return value


def _image_column(path: Path, schema: Any) -> str:
    import pyarrow.types as types

    def holds_images(name: str) -> bool:
        kind = schema.field(name).type
        return bool(types.is_binary(kind) or types.is_large_binary(kind) or _has_field(kind, "bytes"))

    ordered = [*(name for name in IMAGE_COLUMNS if name in schema.names), *schema.names]
    found: str | None = next((name for name in ordered if holds_images(name)), None)
    if found is None:
        raise DataError(
            f"{path}: no column of images; it has {', '.join(schema.names)}.",
            "A column of images is a struct with bytes, or binary.",
        )
    return found


def _has_field(kind: Any, name: str) -> bool:
    import pyarrow.types as types

    return bool(types.is_struct(kind)) and any(kind.field(i).name == name for i in range(kind.num_fields))


def _class_names(schema: Any, label: str | None) -> list[str] | None:
    """The names that HF datasets keeps in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return list(names) if is_class_names(names) else None
