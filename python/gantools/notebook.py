"""What a notebook shows of an object: tables and a small grid, as HTML without scripts and as PNG.

A notebook asks an object for `_repr_html_` and `_repr_png_` and takes None for "show my `repr` instead". A view is
never the reason why a cell fails: `quiet` turns whatever goes wrong in one into None.
"""

from __future__ import annotations

import base64
import functools
import html
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.grid import make_grid

#: Images of a grid.
COUNT = 16
#: A grid's PNG has at most so many pixels a side, and so many bytes: as text in a page it is a third longer.
SIDE, BYTES = 640, 200_000
#: Pixels between the images of a grid.
PADDING = 2
#: A grid that is smaller than this is shown enlarged by a whole factor.
SHOWN = 320

S = TypeVar("S")
T = TypeVar("T")


def quiet(view: Callable[[S], T]) -> Callable[[S], T | None]:
    """Decorates a view, a method without arguments: None where it raises an error."""

    @functools.wraps(view)
    def calm(self: S) -> T | None:
        try:
            return view(self)
        except Exception:  # whatever it is: the cell has its `repr`
            return None

    return calm


def picture(images: NDArray[np.uint8]) -> bytes:
    """The first `COUNT` images as a grid in a PNG of at most `SIDE` pixels a side and about `BYTES` bytes.

    Args:
        images: uint8 (n, h, w, c), n >= 1; large ones are reduced by a whole factor.
    """
    images = images[:COUNT]
    height, width = images.shape[1:3]
    columns = math.ceil(math.sqrt(len(images)))
    factor = math.ceil(columns * max(height, width) / (SIDE - PADDING * (columns + 1)))
    while True:
        png = _native.encode_png(make_grid(reduced(images, factor), padding=PADDING))
        if len(png) <= BYTES or 2 * factor > min(height, width):
            return bytes(png)
        # Bytes are about as many as pixels.
        factor = max(factor + 1, int(factor * math.sqrt(len(png) / BYTES)))


def reduced(images: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Images (n, h, w, c) whose pixels are the means of factor x factor pixels; what is over at the edges is cut."""
    if factor == 1:
        return images
    n, h, w, c = images.shape
    rows, columns = max(1, h // factor), max(1, w // factor)
    cut = images[:, : rows * factor, : columns * factor]
    blocks = cut.reshape(n, rows, cut.shape[1] // rows, columns, cut.shape[2] // columns, c)
    means: NDArray[np.uint8] = np.rint(blocks.mean((2, 4))).astype(np.uint8)
    return means


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Rows of cells, any text, as a table."""
    lines = [_row("th", head)] if head else []
    return f"<table>{''.join([*lines, *(_row('td', row) for row in rows)])}</table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    inner = "".join(f'<{tag} style="text-align:left">{html.escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{inner}</tr>"


def image(png: bytes | None, words: str) -> str:
    """A PNG as an element of a page, `words` for who cannot see it; nothing for None."""
    if png is None:
        return ""
    width = int.from_bytes(png[16:20], "big")  # of the header, which comes first
    shown = width * max(1, SHOWN // width)
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<img alt="{html.escape(words)}" style="width:{shown}px;max-width:100%;image-rendering:pixelated" '
        f'src="data:image/png;base64,{data}">'
    )


def page(title: str, *parts: str, notes: Sequence[str] = ()) -> str:
    """A view: a title, which is any text, parts of `table` and `image`, and sentences below, any text too."""
    below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f"<div><strong>{html.escape(title)}</strong>{''.join(parts)}{below}</div>"
