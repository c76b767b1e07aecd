"""What to type where an array does not hold images as they are taken: formulas made of its type, range and shape.

Every formula is an assignment to `x` (the images) or `y` (the labels); typed as it stands it keeps the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = (1, 3, 4)
# What a resize or float16 may overshoot a range by.
SLACK = 0.1
CHUNK_BYTES = 64 << 20


def to_uint8(x: NDArray[Any]) -> tuple[str, str]:
    """What keeps numbers from being uint8 pixels, and what to type so that they are.

    Args:
        x: images of any type but uint8, also mapped; read in chunks.

    Returns:
        What was found, such as "int64 of 0 to 255", and the hint.
    """
    kind = x.dtype.kind
    if kind not in "biuf":
        return f"{x.dtype}, which are no pixels", "Pixels are numbers, uint8 of 0 to 255."
    if kind == "b":
        return "bool", "Type: x = x.astype('uint8') * 255"
    low, high, whole, finite = _range(x)
    if not finite:
        return (
            f"{x.dtype} with values that are not finite",
            "Find them with numpy.isfinite(x), and mend or remove them.",
        )
    found = f"{x.dtype} of {low:.10g} to {high:.10g}"
    return found, (_integers(x, int(low), int(high)) if kind in "iu" else _floats(low, high, whole))


def _integers(x: NDArray[Any], low: int, high: int) -> str:
    if low >= 0:
        if high == 1:
            return "Type: x = x.astype('uint8') * 255 if 1 is white, x = x.astype('uint8') if it is the darkest grey."
        if high <= 255:
            return "Type: x = x.astype('uint8')"
        sixteen = "x = (x >> 8).astype('uint8')"
        for bits in (10, 12, 14):
            if high < 1 << bits:
                return f"Type: x = (x >> {bits - 8}).astype('uint8') if they have {bits} bits, {sixteen} if 16."
        if high < 1 << 16:
            return f"Type: {sixteen}"
    elif low >= -128 and high <= 127:
        shifted = "x = (x.astype('int16') + 128).astype('uint8')"
        if x.dtype.itemsize > 1:
            return f"Type: {shifted}"
        return f"Type: {shifted} if 128 was taken off, x = x.view('uint8') if bytes were read as signed."
    return _stretched(low, high)


def _floats(low: float, high: float, whole: bool) -> str:
    if low >= -SLACK and high <= 1 + SLACK:
        return "Type: x = (x * 255).round().clip(0, 255).astype('uint8')"
    if low >= -1 - SLACK and high <= 1 + SLACK:
        return "Type: x = ((x + 1) * 127.5).round().clip(0, 255).astype('uint8')"
    if -10 <= low < -SLACK and high <= 10:
        return (
            "They look standardised; with the mean and std that were used: "
            "x = ((x * std + mean) * 255).round().clip(0, 255).astype('uint8')"
        )
    if low >= -1 and high <= 256:
        return "Type: x = x.round().clip(0, 255).astype('uint8')"
    if low >= -128 and high <= 128:
        return f"Type: x = (x + {128 if whole else 127.5}).round().clip(0, 255).astype('uint8')"
    if low >= 0 and high < 1 << 16 and whole:
        return "Type: x = (x // 256).astype('uint8')"
    return _stretched(low, high)


def _stretched(low: float, high: float) -> str:
    factor = 255 / (float(high) - float(low)) if high > low else 0.0
    return (
        f"Their scale is not known. To make {low:.10g} black and {high:.10g} white: "
        f"x = ((x.astype('float64') - {float(low)!r}) * {factor!r}).round().astype('uint8')"
    )


def _range(x: NDArray[Any]) -> tuple[float, float, bool, bool]:
    """Least and greatest value, whether all are whole and whether all are finite."""
    low, high, whole = np.inf, -np.inf, True
    for part in _chunks(x):
        if not np.isfinite(part).all():
            return 0, 0, False, False
        low, high = min(low, part.min()), max(high, part.max())
        whole = whole and bool((part == np.rint(part)).all())
    # Python's numbers, which hold every integer exactly.
    return (
        (low.item() if isinstance(low, np.generic) else low),
        (high.item() if isinstance(high, np.generic) else high),
        whole,
        True,
    )


def _chunks(x: NDArray[Any]) -> Iterator[NDArray[Any]]:
    rows = max(1, CHUNK_BYTES // max(1, x[:1].nbytes))
    for start in range(0, len(x), rows):
        yield np.asarray(x[start : start + rows])


def wrong_shape(shape: tuple[int, ...]) -> tuple[str, str] | None:
    """What is wrong with the shape of an array of images and what to type, or None where it is taken.

    Taken are (n, h, w), and (n, h, w, c) or (n, c, h, w) of 1, 3 or 4 channels.
    """
    if 0 in shape:
        return f"an array of shape {shape} holds no images", "Save it again, with images in it."
    if len(shape) < 2:
        return f"an array of shape {shape} holds no images", "Images are (n, h, w) or (n, h, w, c)."
    if len(shape) == 2:
        return (
            f"an array of shape {shape} is one grey image, or a flattened image a row",
            "Type: x = x[None] if it is one image. Rows need their height, width and channels: "
            "x = x.reshape(-1, h, w, c), or x = x.reshape(-1, c, h, w) where channels come first.",
        )
    if len(shape) == 3:
        if shape[2] in CHANNELS:
            return (
                f"an array of shape {shape} is one image",
                f"Type: x = x[None] if it is one image, x = x[..., None] if it is {shape[0]} grey ones.",
            )
        if shape[0] == 3:
            return (
                f"an array of shape {shape} is one image with channels first, or 3 grey images",
                "Type: x = x[None] if it is one image, x = x[..., None] if it is 3 grey ones.",
            )
        return None
    if len(shape) == 4:
        if shape[3] in CHANNELS or shape[1] in CHANNELS:
            return None
        return f"images of {shape[3]} channels (shape {shape})", "Channels come last or second, and are 1, 3 or 4."
    # Of more axes the last three are those of an image.
    return f"an array of shape {shape} has more axes than images have", "Type: x = x.reshape(-1, *x.shape[-3:])"


def label_values(y: NDArray[Any], count: int) -> tuple[list[Any], int | None] | tuple[str, str]:
    """One label an image of an array, whatever usual form it has.

    Args:
        y: whole numbers of any type, names, or rows with a single 1; (count,), (count, 1) or (count, k).
        count: the number of images.

    Returns:
        The labels as integers or strings and, for rows, the number of classes; or what is wrong and a hint.
    """
    said = f"the labels are {y.dtype} {y.shape} for {count} images"
    if y.ndim == 0 or len(y) != count:
        return said, "There is one label an image, in the same order."
    if y.ndim > 1 and y.size == count:
        y = y.reshape(count)
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            return f"{said}, and no UTF-8", "Save them as text: numpy.savez(..., y=names) with names a list of str."
    if y.dtype.kind not in "biufU":
        return said, "They are whole numbers from 0, or names."
    if y.ndim == 1:
        if y.dtype.kind == "f":
            if not np.isfinite(y).all() or (y != np.rint(y)).any():
                return (
                    f"{said}, and not whole numbers",
                    "Type: y = numpy.unique(y, return_inverse=True)[1] if every value is a class of its own.",
                )
            y = y.astype(np.int64)
        elif y.dtype.kind == "b":
            y = y.astype(np.int64)
        return y.tolist(), None
    if y.ndim == 2 and y.dtype.kind in "biuf":
        if bool(((y == 0) | (y == 1)).all()) and bool((y.sum(axis=1) == 1).all()):
            return y.argmax(axis=1).tolist(), y.shape[1]
        if y.dtype.kind == "f" and bool((y >= 0).all()) and np.allclose(y.sum(axis=1), 1, atol=1e-2):
            return f"{said}: shares of classes", "Type: y = y.argmax(axis=1)"
    return f"{said}, several values an image", "Type: y = y[:, i] if column i has the class."
