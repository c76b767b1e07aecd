"""Tiles: an image of any size as many squares of one size, cut and not resized."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.sources.base import Source

#: What becomes of the pixels at the right and lower end of an image that fill no whole step.
RESTS = ("shift", "drop")


def upright_sizes(images: Source, turned: bool) -> NDArray[np.int64]:
    """Width and height of each image, int64 (n, 2), 0 where its header cannot be read; pixels are not decoded."""
    found, _, _ = _native.inspect_images(images.reader, images.items)
    sizes = found[:, :2].copy()
    if turned:
        # The last four orientations lie on their side.
        lying = found[:, 6] >= 5
        sizes[lying] = sizes[lying][:, ::-1]
    return sizes


def starts(length: int, side: int, stride: int, scale: int, rest: str) -> list[int]:
    """Where tiles begin along an axis of `length` pixels: at 0, `stride`, 2 `stride`, ..., as far as they fit.

    Args:
        length: of the image; what is over the last whole multiple of `scale` is not looked at.
        side: of a tile.
        stride: from one to the next.
        scale: all begin at a multiple of it, as `stride` is one.
        rest: `shift` adds a tile at the very end where the last one does not reach it; `drop` leaves that strip out.
    """
    usable = length // scale * scale
    found = list(range(0, usable - side + 1, stride))
    if rest == "shift" and found and found[-1] + side < usable:
        found.append(usable - side)
    return found


def cut(
    images: Source, sizes: NDArray[np.int64], side: int, stride: int, scale: int, rest: str
) -> tuple[Source, NDArray[np.int64], NDArray[np.float64]]:
    """A source of tiles, in rows from the upper left, image by image.

    An image that is too small, or whose header cannot be read, has one tile all the same, which becomes a reject that
    says why.

    Args:
        images: the images.
        sizes: their widths and heights, int64 (n, 2).
        side: as for `starts`, and the others.
        stride: likewise.
        scale: likewise.
        rest: likewise.

    Returns:
        The tiles, named after their image and their upper left corner (`name_y_x.png`), with its label and annotations;
        the row of each one's image, int64 (m,); and its corners for `_native.prepare_shard`, float64 (m, 8).
    """
    rows, corners = [], []
    for row, (width, height) in enumerate(sizes.tolist()):
        places = [
            (y, x) for y in starts(height, side, stride, scale, rest) for x in starts(width, side, stride, scale, rest)
        ] or [(0, 0)]
        rows += [row] * len(places)
        corners += places
    of, at = np.array(rows, np.int64), np.array(corners, np.int64).reshape(-1, 2)
    tiles = images.select(of)
    tiles.names[:] = [tile_name(name, y, x) for name, (y, x) in zip(tiles.names, corners, strict=True)]
    return tiles, of, squares(at, side)


def squares(corners: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Corners of upright squares, float64 (n, 8), whose upper left ones are `corners` (n, 2), each y and x."""
    y, x = corners.T
    return np.stack([x, y, x, y + side, x + side, y + side, x + side, y], 1).astype(np.float64)


def tile_name(name: str, y: int, x: int) -> str:
    """The name of a tile: `a/b.png` at row 128 and column 0 is `a/b_128_0.png`."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}_{y}_{x}{path.suffix}"))
