"""CelebA's annotation files, in the original `.txt` and in the Kaggle `.csv` form.

`.txt`: `list_attr_celeba`, `list_landmarks_align_celeba` and `list_bbox_celeba` begin with a line that holds the number
of rows and a line of column names; `list_eval_partition` and `identity_CelebA` have neither. Then a row an image: its
file name and the numbers, separated by blanks. `.csv`: one line of column names that begins with `image_id`, then rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.errors import DataError, cause


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


def find_annotations(
    folders: list[Path],
    names: list[str],
    *,
    in_the_wild: bool = False,
    inside: Mapping[str, Callable[[], bytes]] | None = None,
) -> dict[str, Annotation]:
    """All annotations of CelebA that are found, aligned with `names`.

    Args:
        folders: where the files may lie; the first that has one wins.
        names: of the images.
        in_the_wild: whether the landmarks are those of the in-the-wild images, not of the aligned ones.
        inside: files of the archive that holds the images: path -> reads it; they come after the folders.
    """
    found = {}
    archived = {path.rpartition("/")[2]: (path, read) for path, read in (inside or {}).items()}
    tables = {**TABLES, "landmarks": WILD_LANDMARKS} if in_the_wild else TABLES
    for key, table in tables.items():
        candidates = [folder / f"{table.stem}{suffix}" for folder in folders for suffix in (".txt", ".csv")]
        path = next((p for p in candidates if p.is_file()), None)
        if path is not None:
            found[key] = read_table(path, table, names)
            continue
        name = next((n for suffix in (".txt", ".csv") if (n := f"{table.stem}{suffix}") in archived), None)
        if name is not None:
            path_inside, read = archived[name]
            found[key] = read_table(Path(path_inside), table, names, read())
    return found


def is_annotation_file(name: str) -> bool:
    """Whether a file has the name of one of CelebA's annotation files."""
    path = Path(name)
    return path.suffix in (".txt", ".csv") and path.stem in {t.stem for t in (*TABLES.values(), WILD_LANDMARKS)}


def read_table(path: Path, table: Table, names: list[str], data: bytes | None = None) -> Annotation:
    """The rows of `path` for the images `names`, in that order; by file name, else by file name without suffix.

    Args:
        path: the file, or its name in an archive.
        table: what its rows are.
        names: of the images, with or without folders. CelebA's PNG release has annotations that name `.jpg`.
        data: its content, where it was read already.

    Returns:
        An annotation of shape (n,) for a table of one column, else (n, columns).

    Raises:
        DataError: a malformed line (with its number), a value out of range, or an image without a row.
    """
    try:
        lines = (path.read_bytes() if data is None else data).decode("utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as e:
        raise DataError(f"{path}: cannot be read ({cause(e)}).") from e
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
    stems = {Path(name).stem: at for name, at in rows.items()}
    places = [rows.get(file, stems.get(Path(file).stem)) for file in (name.rpartition("/")[2] for name in names)]
    missing = [name for name, at in zip(names, places, strict=True) if at is None]
    if missing:
        more = f" (and {len(missing) - 1:,} more)" if len(missing) > 1 else ""
        raise DataError(
            f"{path}: no row for {Path(missing[0]).name}{more}.",
            "The annotations belong to another set of images; move them away, or fetch the matching file.",
        )
    wanted: NDArray[np.int64] = numbers[np.array(places, dtype=np.int64)]
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
