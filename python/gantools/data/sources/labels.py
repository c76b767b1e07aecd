"""Class numbers and names, as the files of other tools give them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.errors import DataError

# Names are made for classes that have none, so a number from a damaged file must not ask for billions of them.
MAX_CLASSES = 1_000_000

Labels = tuple[NDArray[np.int64], list[str]]


def labels_of(values: Sequence[Any], where: str, classes: list[str] | None = None) -> Labels | None:
    """Class numbers and names from one value per image: all integers, or all strings.

    Args:
        values: integers (also as floats, `3.0`) are class numbers; strings are class names, numbered in the order of
            their bytes. None, not-a-number and a list of one value: as tables and arrays give them.
        where: the file, for the error.
        classes: names for the numbers; None for "0", "1", ...

    Returns:
        int64 (n,) and the names, or None where every value is None or -1 (how test sets without labels are published).

    Raises:
        DataError: some images have a label and some have none, mixed kinds, numbers out of range.
    """
    values = [_plain(value) for value in values]
    if all(value is None or (_is_integer(value) and value == -1) for value in values):
        return None
    if all(isinstance(value, str) for value in values):
        names = sorted(set(values), key=lambda name: name.encode("utf-8", "surrogateescape"))
        number = {name: i for i, name in enumerate(names)}
        return np.array([number[value] for value in values], dtype=np.int64), names
    for value in values:
        if not _is_integer(value) or not 0 <= value < MAX_CLASSES:
            raise DataError(
                f"{where}: the label {value!r} is no class number.",
                "Every image needs a label, an integer from 0 or a name; or none of them.",
            )
    labels = np.array([int(value) for value in values], dtype=np.int64)
    count = int(labels.max()) + 1
    if classes is None:
        classes = [str(i) for i in range(count)]
    elif count > len(classes):
        raise DataError(f"{where}: a label is {count - 1}, but there are {len(classes)} class names.")
    return labels, classes


def _plain(value: Any) -> Any:
    """A label without the wrapping that other tools give it: (n, 1) arrays, floats for whole numbers, NaN for none."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else int(value) if float(value).is_integer() else value
    return value


def is_class_names(value: Any) -> bool:
    """Whether a value from a JSON file is a list of names."""
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _is_integer(value: Any) -> bool:
    # In JSON and in Python a truth value is no number; in numpy neither.
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
