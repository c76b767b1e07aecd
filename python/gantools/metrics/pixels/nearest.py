"""The training images that given images are nearest to by their pixels: what shows copies to the eye."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.errors import MetricError
from gantools.metrics.numbers.memorisation import nearest_training

#: Values of an image that are compared at most: above it images are reduced by means over blocks.
VALUES = 1024
#: Bytes of training images that are read at most; of a larger set evenly chosen ones, so that a search takes seconds.
BYTES = 4 << 30
# Images at once, and bytes of their pixels.
_BLOCK, _BLOCK_BYTES = 8192, 64 << 20


class Training(Protocol):
    """What is searched; a `PreparedSet` is one."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c)."""
        ...

    def __len__(self) -> int: ...

    def gather(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (n, h, w, c)."""
        ...


@dataclass(frozen=True)
class Near:
    """The nearest training image of each image.

    Attributes:
        distance: float64 (n,): the root of the mean squared difference of the values compared, in levels of 0 to 255.
        index: int64 (n,): its place in the training set.
        mirrored: bool (n,): whether it is the mirrored training image that is so near.
        searched: training images that were looked at.
    """

    distance: NDArray[np.float64]
    index: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    searched: int


def nearest_images(
    images: NDArray[np.uint8], training: Training, *, mirror: bool = False, without: NDArray[np.int64] | None = None
) -> Near:
    """The nearest training image of each image, by the Euclidean distance of pixels.

    Images of more than `VALUES` values are compared as means over blocks, and both sides at the size of the smaller
    one, so that noise of single pixels does not decide and a search takes seconds. Of equally near ones it is the
    first.

    Args:
        images: uint8 (n, h, w, c).
        training: its images have the same channels and the same shape of a side to the other.
        mirror: also compare with the training images mirrored left to right, for trainings that show them so.
        without: places in the training set that are left out: those of `images`, where these are from it.

    Raises:
        MetricError: channels or the shape differ, or there is nothing to search.
    """
    n, h, w, c = images.shape
    height, width, channels = training.shape
    if channels != c or h * width != w * height:
        raise MetricError(
            f"images of {h}x{w}x{c} cannot be compared with training images of {height}x{width}x{channels}.",
            "Both need the same channels and the same shape.",
        )
    rows, columns = min(h, height), min(w, width)
    while rows * columns * c > VALUES:
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
    asked = _reduced(images, rows, columns)
    if mirror:
        asked = np.concatenate([asked, _reduced(images[:, :, ::-1], rows, columns)])
    most = max(1, BYTES // (height * width * channels))
    places = np.unique(np.linspace(0, len(training) - 1, min(len(training), most)).astype(np.int64))
    if without is not None:
        places = places[~np.isin(places, without)]
    if n == 0 or len(places) == 0:
        raise MetricError("there are no images to compare with.", "Give a set of two images or more.")
    best = np.full(len(asked), np.inf)
    index = np.zeros(len(asked), np.int64)
    block = max(1, min(_BLOCK, _BLOCK_BYTES // (height * width * channels)))
    for start in range(0, len(places), block):
        part = places[start : start + block]
        found = nearest_training(asked, _reduced(training.gather(part), rows, columns))
        nearer = found.distance < best
        best = np.where(nearer, found.distance, best)
        index = np.where(nearer, part[found.index], index)
    mirrored = np.zeros(n, bool)
    if mirror:
        mirrored = best[n:] < best[:n]
        best, index = np.where(mirrored, best[n:], best[:n]), np.where(mirrored, index[n:], index[:n])
    return Near(best / math.sqrt(rows * columns * c), index, mirrored, len(places))


def _reduced(images: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float32]:
    """float32 (n, rows * columns * c): means over blocks."""
    n, h, w, c = images.shape
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    if h % rows == 0 and w % columns == 0:
        found = pixels.view(n, rows, h // rows, columns, w // columns, c).float().mean((2, 4))
    else:
        found = torch.nn.functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), (rows, columns))
        found = found.permute(0, 2, 3, 1)
    values: NDArray[np.float32] = found.reshape(n, -1).numpy()
    return values
