"""Tensors and arrays in memory as images of levels 0..255."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.errors import DataError
from gantools.levels import Values as Values
from gantools.levels import to_uint8
from gantools.metrics.images.reader import ImageReader, pixel_hash, resized
from gantools.metrics.networks.protocols import Input

CHANNELS = (1, 3)
# Elements looked at or converted at a time.
_PIECE = 1 << 24


def to_levels(batch: Any, values: Values | None, where: str) -> NDArray[np.uint8]:
    """A batch of images as uint8 (n, h, w, c).

    Args:
        batch: torch tensor or numpy array, (n, c, h, w) or (n, h, w, c) with c 1 or 3, on any device. uint8 is taken
            as it is. Floating point is rounded to the nearest level, by the rule of `levels.to_uint8`.
        values: what floating point images mean; None refuses them.
        where: for errors.

    Raises:
        DataError: another dtype or shape, floating point without `values`, values that are not finite, or that lie
            outside of the range by more than half its width, so that it cannot be theirs.
    """
    x = batch if isinstance(batch, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(batch))
    check(x, values, where)
    if channels_first(x.shape, where):
        x = x.permute(0, 2, 3, 1)
    if x.dtype != torch.uint8:
        assert values is not None
        x = to_uint8(x.detach(), values)
    found: NDArray[np.uint8] = x.detach().cpu().contiguous().numpy()
    return found


def check(x: torch.Tensor, values: Values | None, where: str) -> None:
    """Raises the errors of `to_levels`."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise DataError(
            f"{where}: images must be (n, c, h, w) or (n, h, w, c), not {_words(x)}.",
            "One image is a batch of one: x[None].",
        )
    channels_first(x.shape, where)
    if x.dtype == torch.uint8:
        return
    if not x.is_floating_point():
        raise DataError(f"{where}: images must be uint8 or floating point, not {_words(x)}.", "Convert: x.to(uint8).")
    if values is None:
        raise DataError(
            f"{where}: {_words(x)} does not say which value is white.",
            "Say it with values=(0, 1) or values=(-1, 1), or give uint8.",
        )
    low, high = values
    margin = (high - low) / 2
    step = max(1, _PIECE // max(1, math.prod(x.shape[1:])))
    for start in range(0, len(x), step):
        piece = x[start : start + step].detach()
        smallest, largest = (float(v) for v in torch.aminmax(piece.float()))
        if not (math.isfinite(smallest) and math.isfinite(largest)):
            bad = int((~torch.isfinite(piece)).flatten(1).any(1).nonzero()[0, 0]) + start
            raise DataError(f"{where}: image {bad} has values that are not finite (NaN or infinity).")
        if smallest < low - margin or largest > high + margin:
            raise DataError(
                f"{where}: values from {smallest:g} to {largest:g} are not those of images in [{low:g}, {high:g}].",
                "Name their range: values=(0, 1) or values=(-1, 1); levels 0..255 are given as uint8.",
            )


def channels_first(shape: Sequence[int], where: str) -> bool:
    """Whether a batch of this shape is (n, c, h, w); False: (n, h, w, c). DataError: neither, or it cannot be told."""
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first == last:
        what = "could be either" if first else "has neither 1 nor 3 channels"
        raise DataError(
            f"{where}: images must be (n, c, h, w) or (n, h, w, c) with c 1 or 3; {tuple(shape)} {what}.",
            "Score images of more than 3 pixels a side; drop alpha with: x[:, :3].",
        )
    return first


class Tensors(ImageReader):
    """A torch tensor, or a floating point numpy array, of images; turned into levels batch by batch."""

    def __init__(self, images: torch.Tensor | NDArray[Any], values: Values | None = None) -> None:
        self.label = "tensor" if isinstance(images, torch.Tensor) else "array"
        x = images if isinstance(images, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(images))
        check(x, values, self.label)
        if len(x) == 0:
            raise DataError(f"{self.label}: has no images.")
        _, a, b, c = x.shape
        self.shape: tuple[int, int, int] = (b, c, a) if channels_first(x.shape, self.label) else (a, b, c)
        self._images, self._values = x, values

    def __len__(self) -> int:
        return len(self._images)

    def levels(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Images start..stop, uint8 (n, h, w, c)."""
        return to_levels(self._images[start:stop], self._values, self.label)

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """As `ImageReader.pixels`."""
        image: NDArray[np.uint8] = self.levels(i, i + 1)[0]
        return image

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `ImageReader.read`."""
        return resized([self.levels(start, stop)], inputs)

    def digest(self, n: int) -> str:
        """Of shape and levels, as that of an array."""
        h = pixel_hash(self.shape)
        for start in range(0, n, 256):
            h.update(self.levels(start, min(n, start + 256)).data)
        return str(h.hexdigest())


def _words(x: torch.Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
