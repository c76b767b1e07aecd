"""Labels in tables beside images: Hugging Face's `metadata.*` in the folders of a set, or a file given by --labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gantools.data.sources.base import Source, nearby
from gantools.data.sources.labels import MAX_CLASSES, Labels, labels_of
from gantools.data.sources.tables import SUFFIXES, read_table, whole_numbers
from gantools.data.sources.tree import Tree, folder_of, path_of
from gantools.errors import ConfigError, DataError, unknown_name

# The first that a folder has counts.
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
NAME_COLUMNS = ("file_name", "filename", "file", "image", "image_id", "image_name", "img", "id", "name", "path")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category", "fine_label", "cls")


@dataclass(frozen=True)
class Metadata:
    """The metadata files of a tree.

    Attributes:
        files: folder -> the path of its metadata file.
        rows: folder -> the rows of its file by the path of the image that each is of.
    """

    files: dict[str, str]
    rows: dict[str, dict[str, dict[str, Any]]]


def find_metadata(tree: Tree) -> Metadata | None:
    """The metadata files in the folders of a tree, None where there is none."""
    found = [name for name in tree.names if name.rpartition("/")[2] in METADATA]
    # The last that is put in counts, which is the first of the kinds.
    found.sort(key=lambda name: METADATA.index(name.rpartition("/")[2]), reverse=True)
    files = {folder_of(name): name for name in found}
    if not files:
        return None
    rows = {}
    for folder, file in sorted(files.items()):
        where = f"{tree.path}: {file}"
        table = read_table(where, file, tree.read(file))
        if not table or any(not isinstance(row.get("file_name"), str) for row in table):
            raise DataError(f"{where}: a row has no file_name.", "Each row names its image in the column file_name.")
        if file.lower().endswith(".csv"):
            labels = whole_numbers([row.get("label") for row in table])
            table = [{**row, "label": label} for row, label in zip(table, labels, strict=True)]
        # Names in the file are relative to it.
        rows[folder] = {path_of(row["file_name"], folder): row for row in table}
    return Metadata(files, rows)


def metadata_labels(metadata: Metadata, path: Path, names: list[str]) -> Labels | None:
    """The labels of images by the metadata file of their own folder, or the nearest above it that has them.

    Raises:
        DataError: an image has no row though others have labels, or the labels are of mixed kinds.
    """
    found = [_row_of(metadata, name) for name in names]
    known = [row for row in found if row is not None]
    if all(row.get("label") is None for row in known):
        return None
    files = ", ".join(sorted(set(metadata.files.values())))
    where = f"{path}: {files if len(metadata.files) < 4 else f'{len(metadata.files)} metadata files'}"
    missing = next((name for name, row in zip(names, found, strict=True) if row is None), None)
    if missing is not None:
        raise DataError(f"{where} has no row for {missing}.", "Add one, or remove the image.")
    return labels_of([row.get("label") for row in known], where, _class_names(where, known))


def _row_of(metadata: Metadata, name: str) -> dict[str, Any] | None:
    folder = name
    while folder:
        folder = folder_of(folder)
        if (row := metadata.rows.get(folder, {}).get(name)) is not None:
            return row
    return None


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


def with_label_file(source: Source, path: Path, column: str | None = None) -> Source:
    """The images of a source that have a row in a table, with the labels there.

    Args:
        source: any images with names.
        path: the table: a column of names (whole paths, file names, or these without suffix), one of labels.
        column: the column of labels; None where there is only one that it can be.

    Raises:
        DataError: no such file, a damaged one, or one without a row of any of these images.
        ConfigError: it is not certain which column has the labels.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file.", nearby(path))
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: not a kind of table that is read.", f"Tables: {', '.join(SUFFIXES)}.")
    rows = read_table(str(path), path.name, path.read_bytes())
    if not rows:
        raise DataError(f"{path}: holds no row.", "The first line has the names of the columns, then a line an image.")
    columns = list(rows[0])
    names = next((name for name in columns if name.casefold() in NAME_COLUMNS), columns[0])
    labels = _label_column(path, columns, names, column)
    texts = path.suffix.lower() in (".csv", ".tsv")
    values = [row.get(labels) for row in rows]
    values = whole_numbers(values) if texts else values
    by_path: dict[str, Any] = {}
    for row, value in zip(rows, values, strict=True):
        key = path_of(str(row.get(names)))
        if value is None:
            continue
        if by_path.setdefault(key, value) != value:
            raise DataError(f"{path}: {key} has the labels {by_path[key]!r} and {value!r}.", "One row an image.")
    found = [matching(by_path, name) for name in source.names]
    kept = np.array([i for i, key in enumerate(found) if key is not None], dtype=np.int64)
    if not len(kept):
        raise DataError(
            f"{path}: its column {names} names none of the images: {next(iter(by_path), 'nothing')!r} is not "
            f"{source.names[0]!r}.",
            "It holds paths or file names of the images, with or without suffix.",
        )
    used = {found[i] for i in kept}
    notes = [f"{path}: labels are in the column {labels}, names in {names}."]
    if spare := len(by_path) - len(used):
        notes.append(f"{path}: {spare:,} rows name no image here.")
    left_out = dict(source.left_out)
    if without := len(found) - len(kept):
        left_out[f"without a row in {path.name}"] = without
    labelled = labels_of([by_path[found[i]] for i in kept], str(path))
    source = replace(source.select(kept), left_out=left_out).with_notes(*notes)
    return source if labelled is None else source.with_labels(*labelled)


def _label_column(path: Path, columns: list[str], names: str, asked: str | None) -> str:
    if asked is not None:
        if asked not in columns:
            raise unknown_name("column", asked, columns)
        return asked
    others = [column for column in columns if column != names]
    usual = [column for column in others if column.casefold() in LABEL_COLUMNS]
    for candidates in (usual, others):
        if len(candidates) == 1:
            return candidates[0]
    raise ConfigError(
        f"{path}: which column has the labels? It has {', '.join(columns)}.",
        f"Say it: --label-column {(usual or others or columns)[0]}",
    )


def matching(rows: dict[str, Any], name: str) -> str | None:
    """The row's name of an image: by its path, its file name, or either without the suffix."""
    file = name.rpartition("/")[2]
    for candidate in (name, file, str(PurePosixPath(name).with_suffix("")), PurePosixPath(file).stem):
        if candidate in rows:
            return candidate
    return None
