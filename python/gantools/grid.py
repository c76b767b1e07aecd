"""Image grids: many images in one, for the eye."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native


def make_grid(images: NDArray[np.uint8], columns: int | None = None, padding: int = 2) -> NDArray[np.uint8]:
    """Images side by side, row after row, on black.

    Args:
        images: uint8 (n, h, w, c), n >= 1.
        columns: images in a row; the square root of n, rounded up, when None.
        padding: pixels between images and around them.

    Returns:
        uint8 (rows * (h + padding) + padding, columns * (w + padding) + padding, c).
    """
    n, h, w, c = images.shape
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    grid = np.zeros((rows * (h + padding) + padding, columns * (w + padding) + padding, c), np.uint8)
    for i, image in enumerate(images):
        y, x = padding + i // columns * (h + padding), padding + i % columns * (w + padding)
        grid[y : y + h, x : x + w] = image
    return grid


def write_grid(path: Path, images: NDArray[np.uint8], columns: int | None = None) -> None:
    """Write `make_grid(images, columns)` as a PNG file."""
    path.write_bytes(_native.encode_png(make_grid(images, columns)))
