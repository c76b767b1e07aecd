"""What every score of plain features asks of its input: two-dimensional, finite, of one width."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gantools.errors import MetricError

Features = NDArray[np.float32] | NDArray[np.float64]
"""float32 or float64 (n, d)."""

#: Rows looked at together, so that a check takes no memory of the size of the features.
CHUNK = 4096


def checked(name: str, features: ArrayLike, *, least: int = 1) -> Features:
    """The features as float32 or float64 (n, d), finite, with at least `least` rows; `name` is theirs in an error.

    float32 and float64 stay what they are; other numbers become float64.

    Raises:
        MetricError: not that.
    """
    try:
        x = np.asarray(features)
    except ValueError as e:
        raise MetricError(f"{name}: not an array ({e}).", "Give one row an image, all of one width.") from e
    if x.ndim != 2 or x.shape[1] == 0:
        raise MetricError(
            f"{name}: an array of shape {x.shape}, but features are (n, d) with d > 0.",
            "Give one row an image: features.reshape(len(features), -1).",
        )
    if x.dtype.kind not in "fiu":
        raise MetricError(f"{name}: of type {x.dtype}, but features are numbers.", "Give float32 or float64.")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    if len(x) < least:
        raise MetricError(f"{name}: {len(x)} rows, at least {least} are needed.", "Give more samples.")
    for start in range(0, len(x), CHUNK):
        bad = np.argwhere(~np.isfinite(x[start : start + CHUNK]))
        if len(bad):
            row, column = start + int(bad[0, 0]), int(bad[0, 1])
            raise MetricError(
                f"{name}: not finite (NaN or infinity) at row {row}, column {column}.",
                "The network gave it: check its weights and its input.",
            )
    return x


def checked_pair(
    samples: ArrayLike, reference: ArrayLike, *, least: int = 1, names: tuple[str, str] = ("samples", "reference")
) -> tuple[Features, Features]:
    """Both as `checked` gives them, of one width and one type (float64 where they differ). MetricError: not that."""
    x, y = (checked(name, v, least=least) for name, v in zip(names, (samples, reference), strict=True))
    if x.shape[1] != y.shape[1]:
        raise MetricError(
            f"features of different width: {names[0]} {x.shape[1]}, {names[1]} {y.shape[1]}.",
            "Both must come from the same extractor and layer.",
        )
    if x.dtype != y.dtype:
        return x.astype(np.float64), y.astype(np.float64)
    return x, y


def unit_rows(name: str, features: Features, first: int = 0) -> NDArray[np.float64]:
    """float64 (n, d): each row divided by its Euclidean length. MetricError: a row of zeros has no direction.

    `first` is the number of the first row, for the error.
    """
    x = features.astype(np.float64)
    # First by the largest value, so that squares neither overflow nor vanish.
    largest = np.abs(x).max(axis=1, keepdims=True)
    zero = np.flatnonzero(largest == 0)
    if len(zero):
        raise MetricError(
            f"{name}: row {first + zero[0]} is all zeros, so it has no direction ({len(zero)} such rows).",
            "Leave these rows out, or check the network that made them.",
        )
    x /= largest
    x /= np.sqrt((x * x).sum(axis=1, keepdims=True))
    return x
