"""CelebA's annotation files, in the original `.txt` and in the Kaggle `.csv` form.

`.txt`: `list_attr_celeba`, `list_landmarks_align_celeba` and `list_bbox_celeba` begin with a line that holds the number
of rows and a line of column names; `list_eval_partition` and `identity_CelebA` have neither. Then a row an image: its
file name and the numbers, separated by blanks. `.csv`: one line of column names that begins with `image_id`, then rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.errors import DataError


@dataclass(frozen=True)
class Annotation:
    """A per-image array, its first axis aligned with the source's images; `columns` names the second axis if any."""

    values: NDArray[Any]
    columns: list[str] | None = None


@dataclass(frozen=True)
class Table:
    """Which file an annotation is in, and what its rows are."""

    stem: str
    columns: tuple[str, ...] | None  # None: named by the file
    dtype: type[np.integer]
    txt_header: bool


# Columns as in the files; these landmarks belong to the aligned images, the boxes to the in-the-wild ones.
TABLES = {
    "attributes": Table("list_attr_celeba", None, np.int8, True),
    "partition": Table("list_eval_partition", ("partition",), np.uint8, False),
    "identity": Table("identity_CelebA", ("identity",), np.int32, False),
    "landmarks": Table(
        "list_landmarks_align_celeba",
        (
            "lefteye_x",
            "lefteye_y",
            "righteye_x",
            "righteye_y",
            "nose_x",
            "nose_y",
            "leftmouth_x",
            "leftmouth_y",
            "rightmouth_x",
            "rightmouth_y",
        ),
        np.int32,
        True,
    ),
    "boxes": Table("list_bbox_celeba", ("x_1", "y_1", "width", "height"), np.int32, True),
}
WILD_LANDMARKS = replace(TABLES["landmarks"], stem="list_landmarks_celeba")
PARTITIONS = {"train": 0, "val": 1, "test": 2}


def find_annotations(folders: list[Path], names: list[str], *, in_the_wild: bool = False) -> dict[str, Annotation]:
    """All annotations of CelebA found in `folders` (the first that has a file wins), aligned with `names`.

    The landmarks are those of the aligned images, or of the ones `in_the_wild`.
    """
    found = {}
    tables = {**TABLES, "landmarks": WILD_LANDMARKS} if in_the_wild else TABLES
    for key, table in tables.items():
        candidates = [folder / f"{table.stem}{suffix}" for folder in folders for suffix in (".txt", ".csv")]
        path = next((p for p in candidates if p.is_file()), None)
        if path is not None:
            found[key] = read_table(path, table, names)
    return found


def read_table(path: Path, table: Table, names: list[str]) -> Annotation:
    """The rows of `path` for the images `names` (file names without folders), in that order.

    Returns:
        An annotation of shape (n,) for a table of one column, else (n, columns).

    Raises:
        DataError: a malformed line (with its number), a value out of range, or an image without a row.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as e:
        raise DataError(f"{path}: cannot be read ({e}).") from e
    csv = path.suffix.lower() == ".csv"
    columns, first = _columns(path, lines, table, csv)
    rows: dict[str, int] = {}
    numbers = np.zeros((len(lines), len(columns)), np.int64)
    for at in range(first, len(lines)):
        if not lines[at].strip():
            continue
        fields = [f.strip() for f in lines[at].split(",")] if csv else lines[at].split()
        try:
            numbers[at] = [int(v) for v in fields[1:]]
        except ValueError:
            raise DataError(
                f"{path}, line {at + 1}: expected an image name and {len(columns)} whole numbers, "
                f"found {lines[at][:60]!r}."
            ) from None
        rows[fields[0]] = at
    # Without a file name that has a row, an image cannot be placed in a split: that is an error, not a guess.
    missing = [name for name in names if Path(name).name not in rows]
    if missing:
        more = f" (and {len(missing) - 1:,} more)" if len(missing) > 1 else ""
        raise DataError(
            f"{path}: no row for {Path(missing[0]).name}{more}.",
            "The annotations belong to another set of images; move them away, or fetch the matching file.",
        )
    wanted: NDArray[np.int64] = numbers[[rows[Path(name).name] for name in names]]
    limits = np.iinfo(table.dtype)
    if wanted.size and (wanted.min() < limits.min or wanted.max() > limits.max):
        raise DataError(f"{path}: a value is out of range [{limits.min}, {limits.max}].")
    values = wanted.astype(table.dtype)
    return Annotation(values[:, 0]) if len(columns) == 1 else Annotation(values, columns)


def _columns(path: Path, lines: list[str], table: Table, csv: bool) -> tuple[list[str], int]:
    """Column names and the number of the first row's line."""
    if csv:
        header = [c.strip() for c in lines[0].split(",")] if lines else []
        if not header or header[0] != "image_id":
            raise DataError(f"{path}, line 1: expected column names that begin with image_id.")
        columns, first = header[1:], 1
    elif table.txt_header:
        if len(lines) < 2 or not lines[0].strip().isdigit():
            raise DataError(f"{path}, line 1: expected the number of rows.")
        columns, first = lines[1].split(), 2
        # The boxes' header names the image column, the others' do not.
        if columns and columns[0] == "image_id":
            columns = columns[1:]
    else:
        columns, first = list(table.columns or ()), 0
    if table.columns is not None and tuple(columns) != table.columns:
        raise DataError(f"{path}: its columns are {', '.join(columns)}; expected {', '.join(table.columns)}.")
    if not columns:
        raise DataError(f"{path}: it names no columns.")
    return columns, first
