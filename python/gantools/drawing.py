"""Marks on images: small crosses and rectangles, in plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
# As far apart as five colours can be on skin, hair and sky.
COLOURS: tuple[Colour, ...] = ((255, 40, 40), (40, 230, 60), (60, 120, 255), (255, 220, 0), (255, 60, 230))


def cross(image: NDArray[np.uint8], x: float, y: float, colour: Colour, radius: int = 3) -> None:
    """Draw an upright cross of 2 * radius + 1 pixels into uint8 (h, w, 3); what lies outside is cut off.

    Args:
        image: changed in place.
        x: column of the middle, rounded to the nearest pixel.
        y: row of the middle.
        colour: red, green, blue, 0..255.
        radius: length of an arm.
    """
    column, row = round(x), round(y)
    _fill(image, column - radius, row, 2 * radius + 1, 1, colour)
    _fill(image, column, row - radius, 1, 2 * radius + 1, colour)


def rectangle(
    image: NDArray[np.uint8], x: float, y: float, width: float, height: float, colour: Colour, line: int = 1
) -> None:
    """Draw the outline of a rectangle into uint8 (h, w, 3), inside its bounds; what lies outside is cut off.

    Args:
        image: changed in place.
        x: left column.
        y: top row.
        width: columns, so that the right edge is in column x + width - 1.
        height: rows.
        colour: red, green, blue, 0..255.
        line: thickness.
    """
    left, top, w, h = round(x), round(y), round(width), round(height)
    _fill(image, left, top, w, line, colour)
    _fill(image, left, top + h - line, w, line, colour)
    _fill(image, left, top, line, h, colour)
    _fill(image, left + w - line, top, line, h, colour)


def _fill(image: NDArray[np.uint8], x: int, y: int, w: int, h: int, colour: Colour) -> None:
    # A negative start would count from the other end.
    image[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = colour
