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
from gantools.metrics.images.reader import LevelReader

CHANNELS = (1, 3)
# Elements looked at or converted at a time.
_PIECE = 1 << 24


def to_levels(batch: Any, values: Values | None, where: str) -> NDArray[np.uint8]:
    """A batch of images as uint8 (n, h, w, c).

    Args:
        batch: torch tensor or numpy array, (n, c, h, w) or (n, h, w, c) with c 1 or 3, or grey (n, h, w), on any
            device. uint8 is taken as it is. Floating point is rounded to the nearest level, by the rule of
            `levels.to_uint8`.
        values: what floating point images mean; None refuses them.
        where: for errors.

    Raises:
        DataError: another dtype or shape, floating point without `values`, values that are not finite, or that lie
            outside of the range by more than half its width, so that it cannot be theirs.
    """
    x = batch if isinstance(batch, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(batch))
    x = four(x, where)
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
            f"{where}: images must be (n, c, h, w), (n, h, w, c) or (n, h, w), not {_words(x)}.",
            "One image is a batch of one: x[None].",
        )
    channels_first(x.shape, where)
    if x.dtype == torch.uint8:
        return
    if not x.is_floating_point():
        raise DataError(f"{where}: images must be uint8 or floating point, not {_words(x)}.", _whole_numbers(x))
    if values is None:
        raise DataError(f"{where}: {_words(x)} does not say which value is white.", _floats(x, stored=False))
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


def four(x: torch.Tensor, where: str) -> torch.Tensor:
    """Grey images (n, h, w) as (n, h, w, 1), any other as it is. DataError: it can be one image with channels."""
    if x.ndim != 3:
        return x
    if x.shape[0] in CHANNELS or x.shape[2] in CHANNELS:
        raise DataError(
            f"{where}: {_words(x)} can be one image with channels or {len(x)} grey ones.",
            "One image is a batch of one: x[None]; grey images have a channel: x[:, None].",
        )
    return x[..., None]


def levels_array(images: NDArray[Any], where: str, *, stored: bool = False) -> NDArray[np.uint8]:
    """A uint8 array of images as (n, h, w, c), without a copy.

    Args:
        images: (n, h, w, c) or (n, c, h, w) with c 1 or 3, or grey (n, h, w).
        where: for errors.
        stored: it comes from a file, so that nobody can say what its floats mean.

    Raises:
        DataError: another dtype or shape; the hint keeps the pixels.
    """
    if images.dtype != np.uint8:
        words = f"{images.dtype} {images.shape}"
        if images.dtype.kind == "f":
            raise DataError(
                f"{where}: {words} does not say which value is white.",
                _floats(torch.from_numpy(np.array(images[:64], np.float32)), stored=stored),
            )
        known = images.dtype.kind in "iub" and images.size > 0
        hint = _whole_numbers(torch.from_numpy(np.ascontiguousarray(images).astype(np.int64))) if known else None
        raise DataError(f"{where}: images must be uint8, not {words}.", hint or "Give levels 0..255 as uint8.")
    if images.ndim == 4 and images.shape[3] in CHANNELS and 0 not in images.shape[1:]:
        return images
    check(four(torch.empty(images.shape, dtype=torch.uint8, device="meta"), where), None, where)
    if images.ndim == 3:
        return images[..., None]
    return images.transpose(0, 2, 3, 1) if channels_first(images.shape, where) else images


def _whole_numbers(x: torch.Tensor) -> str:
    """What to do with integers, made from what they are."""
    if x.numel() and not x.is_complex() and x.dtype != torch.bool:
        low, high = int(x.min()), int(x.max())
        if low < 0 or high > 255:
            return f"Its values go from {low} to {high}; levels are 0..255. Bring them there, then give uint8."
        if high > 1:
            return "Its values are levels: give them as uint8, x.to(torch.uint8) or x.astype(np.uint8)."
    return "If 1 is white, give 255 * x as uint8."


def _floats(x: torch.Tensor, *, stored: bool) -> str:
    """What to do with floats, made from the range that they have."""
    low, high = (float(v) for v in torch.aminmax(x.detach().float())) if x.numel() else (0.0, 1.0)
    if not math.isfinite(low + high):
        return "Some of its values are not finite (NaN or infinity)."
    seen = f"Values seen go from {low:g} to {high:g}"
    if high > 2 or low < -2:
        rule = "np.round(x).clip(0, 255).astype(np.uint8)"
        return f"{seen}: if they are levels 0..255, give {rule}."
    values, rule = ((0, 1), "np.round(x * 255)") if low >= -0.05 else ((-1, 1), "np.round((x + 1) * 127.5)")
    rule += ".clip(0, 255).astype(np.uint8)"
    if stored:
        return f"{seen}: if {values[0]} is black and 1 white, store them as {rule}."
    return f"{seen}: say values=(0, 1) or values=(-1, 1), here probably values={values}, or give uint8: {rule}."


class RangeWatch:
    """Sees that floats given as those of (-1, 1) are not those of (0, 1), which would all come out pale.

    Among so many images, or among all where there are fewer, one value lies below the middle.
    """

    ENOUGH = 32

    def __init__(self, values: Values | None, total: int, where: str) -> None:
        self._left = min(self.ENOUGH, total) if values is not None and values[0] < 0 else 0
        self._where = where

    def look(self, images: Any, count: int) -> None:
        """Takes `count` further images as they were given. DataError: nothing of all so far was below 0."""
        if self._left <= 0:
            return
        floats = isinstance(images, torch.Tensor | np.ndarray) and "float" in str(images.dtype)
        if not floats or bool((images < 0).any()):
            self._left = 0
            return
        self._left -= count
        if self._left <= 0:
            raise DataError(
                f"{self._where}: no value is below 0, so the images are not those of values=(-1, 1).",
                "Say values=(0, 1); images that are all that bright can be given as uint8.",
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


class Tensors(LevelReader):
    """A torch tensor, or a floating point numpy array, of images; turned into levels batch by batch."""

    def __init__(self, images: torch.Tensor | NDArray[Any], values: Values | None = None) -> None:
        self.label = "tensor" if isinstance(images, torch.Tensor) else "array"
        x = images if isinstance(images, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(images))
        x = four(x, self.label)
        check(x, values, self.label)
        if len(x) == 0:
            raise DataError(f"{self.label}: has no images.")
        RangeWatch(values, 1, self.label).look(x, len(x))
        _, a, b, c = x.shape
        self.shape = (b, c, a) if channels_first(x.shape, self.label) else (a, b, c)
        self._images, self._values = x, values

    def __len__(self) -> int:
        return len(self._images)

    def levels(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Images start..stop, uint8 (n, h, w, c)."""
        return to_levels(self._images[start:stop], self._values, self.label)


def _words(x: torch.Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
