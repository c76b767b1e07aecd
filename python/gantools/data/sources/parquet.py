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
from gantools.data.sources.base import Asked, Source, nearby
from gantools.data.sources.labels import is_class_names, labels_of
from gantools.data.sources.tree import path_of
from gantools.errors import ConfigError, DataError, unknown_name

IMAGE_COLUMNS = ("image", "img", "images", "jpg", "png")
LABEL_COLUMNS = ("label", "labels", "fine_label", "cls", "class")
# How deep files may lie below the folder that is given, itself included.
DEPTH = 3
# Threads work on neighbouring rows, which lie in one group or two.
CACHED_GROUPS = 3


def open_source(path: Path | None, split: str | None = None, asked: Asked | None = None) -> Source:
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
        table = _Table(files, asked or Asked())
    # Of a damaged file pyarrow raises an OSError as well.
    except (pyarrow.ArrowException, OSError) as e:
        raise DataError(
            f"{path}: not readable as parquet.", "It is cut off, damaged or no parquet: get it again."
        ) from e
    if not table.names:
        raise DataError(f"{path}: holds no row.")
    reader = _native.Source.fetched(table.names, table.fingerprint, table.fetch)
    items = np.arange(len(table.names), dtype=np.int64)
    name = path.stem if path.is_file() else path.resolve().name
    source = Source("parquet", name, reader, items, table.names, 3, None, notes=tuple(table.notes))
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

    def __init__(self, files: list[Path], asked: Asked) -> None:
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
            image, image_notes = _image_column(path, schema, asked.column)
            label, label_notes = _label_column(schema, asked.label_column)
            if i == 0:
                self._image, self._label = image, label
                self.notes = [*image_notes, *label_notes]
                self.classes = _class_names(schema, label)
            elif (image, label) != (self._image, self._label):
                raise DataError(f"{path}: has other columns than {files[0].name}.", "Give --source one kind of files.")
            digest.update(image.encode())
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


def has_images(path: Path) -> bool | None:
    """Whether a file has a column of images; None: it cannot be told, for want of pyarrow or because it is damaged."""
    try:
        import pyarrow
        import pyarrow.parquet as pq
    except ImportError:
        return None
    try:
        return bool(_image_columns(pq.read_schema(path)))
    except (pyarrow.ArrowException, OSError):
        return None


def _image_columns(schema: Any) -> list[str]:
    import pyarrow.types as types

    kinds = {name: schema.field(name).type for name in schema.names}
    structs = [name for name, kind in kinds.items() if _has_field(kind, "bytes")]
    # Bytes alone are images where nothing says so more clearly.
    return structs or [name for name, kind in kinds.items() if types.is_binary(kind) or types.is_large_binary(kind)]


def _image_column(path: Path, schema: Any, asked: str | None) -> tuple[str, list[str]]:
    """The column of images, and what is to be said about the choice."""
    found = _image_columns(schema)
    if asked is not None:
        if asked not in schema.names:
            raise unknown_name("column", asked, schema.names)
        return asked, []
    if not found:
        raise DataError(
            f"{path}: no column of images; it has {', '.join(schema.names)}.",
            "A column of images is a struct with bytes, or binary.",
        )
    usual = [name for name in found if name in IMAGE_COLUMNS]
    if len(found) == 1:
        return found[0], []
    if len(usual) != 1:
        raise ConfigError(
            f"{path}: which column has the images? There are {', '.join(found)}.", f"Say it: --column {found[0]}"
        )
    others = ", ".join(name for name in found if name != usual[0])
    return usual[0], [f"Images are in the column {usual[0]}; --column chooses another: {others}."]


def _label_column(schema: Any, asked: str | None) -> tuple[str | None, list[str]]:
    """The column of labels where there is one, and what is to be said about the choice."""
    if asked is not None:
        if asked not in schema.names:
            raise unknown_name("column", asked, schema.names)
        return asked, []
    found = [name for name in LABEL_COLUMNS if name in schema.names]
    # What HF datasets says are classes, whatever it is called.
    classes = [name for name in schema.names if name not in found and _class_names(schema, name)]
    if not found and len(classes) == 1:
        found, classes = classes, []
    if not found:
        return None, [f"No labels were taken; --label-column chooses: {', '.join(classes)}."] if classes else []
    others = [*found[1:], *classes]
    if not others:
        return found[0], []
    return found[0], [f"Labels are in the column {found[0]}; --label-column chooses another: {', '.join(others)}."]


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
