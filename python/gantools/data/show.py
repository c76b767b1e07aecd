"""Looking at a prepared set: a grid of its images as a PNG file, with landmarks and boxes if wanted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.policy import HIGH_BYTE, SIXTEEN_BIT, Policy
from gantools.data.prepared import PreparedSet
from gantools.data.regions import REGION_CROPS, box_squares, eye_squares, into_region
from gantools.data.sources import celeba
from gantools.data.sources.celeba import ALIGNED
from gantools.data.sources.tree import find_images
from gantools.drawing import COLOURS, cross, rectangle
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.files import atomic_write
from gantools.grid import make_grid

# Images with marks are enlarged by a whole factor to about this side, or a cross would hide the eye it marks.
MARKED_SIDE = 192


def show(
    path: str | Path,
    *,
    n: int = 64,
    seed: int | None = None,
    class_: str | None = None,
    attribute: str | None = None,
    start: int = 0,
    landmarks: bool = False,
    boxes: bool = False,
    source: str | Path | None = None,
    out: str | Path | None = None,
) -> Path:
    """Write a grid of images of a prepared set as a PNG file; of a set of pairs, each input beside its target.

    Args:
        path: the prepared set.
        n: how many images.
        seed: choose them at random; None for the first.
        class_: name of a class: its images alone.
        attribute: name of a CelebA attribute: the upper half of the grid has it, the lower half has not.
        start: leave out so many of the images that there are to choose from, of either half.
        landmarks: mark CelebA's five points (eyes, nose, corners of the mouth).
        boxes: draw CelebA's bounding boxes, which belong to the in-the-wild images: a set of these, or `source`.
        source: folder or zip of the original images; they are shown instead of the prepared ones.
        out: the file; None for `NAME.png`.

    Returns:
        The file's path.

    Raises:
        ConfigError: an unknown class or attribute, n < 1 or start < 0.
        DataError: what was asked for is not in the set, or cannot be drawn on these images.
    """
    data = PreparedSet(path)
    halves = choose(data, n, seed=seed, class_=class_, attribute=attribute, start=start)
    grid = grid_of(data, halves, n, landmarks=landmarks, boxes=boxes, source=source)
    target = Path(out) if out is not None else Path(f"{data.name}.png")
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as f:
        f.write(_native.encode_png(grid))
    return target


def kinds(data: PreparedSet, class_: str | None = None, attribute: str | None = None) -> list[NDArray[np.int64]]:
    """The numbers of all images of a class; of an attribute, of those that have it and of those that have not.

    Raises:
        ConfigError: an unknown class or attribute.
        DataError: the set has no classes or attributes.
    """
    rows = np.arange(len(data))
    if class_ is not None:
        if data.labels is None or data.classes is None:
            raise DataError(f"{data.path}: it has no classes.", "Show all of its images.")
        if class_ not in data.classes:
            raise unknown_name("class", class_, data.classes)
        rows = np.flatnonzero(data.labels == data.classes.index(class_))
    if attribute is None:
        return [rows]
    has = _attribute(data, attribute)[rows]
    return [rows[has], rows[~has]]


def choose(
    data: PreparedSet,
    n: int,
    *,
    seed: int | None = None,
    class_: str | None = None,
    attribute: str | None = None,
    start: int = 0,
) -> list[NDArray[np.int64]]:
    """The numbers of the images that `show` shows: one array, or one of each half where there is an attribute.

    Raises:
        ConfigError, DataError: as `show`.
    """
    if n < 1:
        raise ConfigError(f"n is {n}; it has to be at least 1.")
    if start < 0:
        raise ConfigError(f"start is {start}; it has to be at least 0.")
    found = kinds(data, class_, attribute)
    each = n if attribute is None else half_of(data, n)
    for rows, word in zip(found, ("has", "lacks") if attribute is not None else ("",), strict=True):
        if not len(rows) and attribute is not None:
            of = "" if class_ is None else f" of class {class_}"
            raise DataError(f"{data.path}: no image{of} {word} the attribute {attribute}.")
        if not len(rows):
            raise DataError(f"{data.path}: no image is of class {class_}.")
    if all(start >= len(rows) for rows in found):
        most = max(map(len, found))
        raise DataError(f"{data.path}: there are {most:,} such images, so none after the first {start:,}.")
    return [_choose(rows[start:], each, seed) for rows in found]


def half_of(data: PreparedSet, n: int) -> int:
    """How many images are in either half of a grid of about `n`: whole rows."""
    columns = min(math.ceil(math.sqrt(n)), len(data))
    return columns * max(1, round(n / columns / 2))


def draw(
    data: PreparedSet,
    rows: NDArray[np.int64],
    *,
    landmarks: bool = False,
    boxes: bool = False,
    source: str | Path | None = None,
) -> list[NDArray[np.uint8]]:
    """Images of a set with marks on them; of a set of pairs, each input beside its target. See `show`.

    Raises:
        DataError: as `show`.
    """
    images = list(data.gather(rows)) if source is None else _originals(data, Path(source), rows)
    if landmarks or boxes:
        images = [_rgb(image) for image in images]
        points = _points(data, rows, images, source is not None) if landmarks else None
        frames = _frames(data, rows, images, source is not None) if boxes else None
        images = [
            _marked(image, None if points is None else points[i], None if frames is None else frames[i])
            for i, image in enumerate(images)
        ]
    if data.inputs is not None and source is None:
        images = [_beside(given, image) for given, image in zip(data.inputs.gather(rows), images, strict=True)]
    return images


def grid_of(
    data: PreparedSet,
    halves: list[NDArray[np.int64]],
    n: int,
    *,
    landmarks: bool = False,
    boxes: bool = False,
    source: str | Path | None = None,
) -> NDArray[np.uint8]:
    """The grid of `show`, uint8 (h, w, c).

    Args:
        data: the set.
        halves: from `choose`.
        n: how many images were asked for, which decides how many are in a row.
        landmarks, boxes, source: as in `show`.
    """
    images = draw(data, np.concatenate(halves), landmarks=landmarks, boxes=boxes, source=source)
    columns = min(math.ceil(math.sqrt(n)), len(data))
    if data.inputs is not None and source is None:
        columns = max(1, columns // 2)
    return _grid(images, [len(half) for half in halves], columns)


def _beside(given: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The input of a pair on the left of its target; pixels of a smaller one are blocks."""
    height, width = image.shape[:2]
    rows = np.arange(height) * given.shape[0] // height
    columns = np.arange(width) * given.shape[1] // width
    return np.concatenate([_rgb(given[rows][:, columns]), _rgb(image)], 1)


def _choose(rows: NDArray[np.int64], n: int, seed: int | None) -> NDArray[np.int64]:
    if seed is None:
        return rows[:n]
    return np.sort(np.random.default_rng(seed).permutation(rows)[:n])


def _attribute(data: PreparedSet, name: str) -> NDArray[np.bool_]:
    values = _annotation(data, "attributes")
    columns = data.manifest["annotations"]["attributes"].get("columns") or []
    if name not in columns:
        raise unknown_name("attribute", name, columns)
    has: NDArray[np.bool_] = values[:, columns.index(name)] == 1
    return has


def _annotation(data: PreparedSet, name: str) -> NDArray[Any]:
    if name not in data.annotations:
        raise DataError(
            f"{data.path}: it has no {name}.",
            "They are kept when CelebA's list_*.txt (or .csv) files lie beside the images at prep.",
        )
    return data.annotations[name]


def _originals(data: PreparedSet, source: Path, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """The images of `rows` as they were before preparation; the orientation is treated as it was then."""
    reader, items, names = find_images(celeba.images_in(source))
    item_of = dict(zip(names, items.tolist(), strict=True))
    # Annotations go by file name, and in-the-wild images lie in another folder than the aligned ones.
    by_file = {Path(name).name: item for name, item in item_of.items()}
    images = []
    for row in rows:
        name = data.names[row]
        item = item_of.get(name, by_file.get(Path(name).name))
        if item is None:
            raise DataError(f"{source}: {name} is not in it.", "Give --source the images that the set was made of.")
        policy = data.manifest.get("policy", {})
        depth = SIXTEEN_BIT if policy.get("sixteen_bit", HIGH_BYTE) == HIGH_BYTE else policy["sixteen_bit"]
        how = {"orientation": policy.get("orientation", "apply"), "sixteen_bit": depth}
        images.append(_native.decode(reader.read(item), alpha="drop", **how))
    return images


def _points(
    data: PreparedSet, rows: NDArray[np.int64], images: list[NDArray[np.uint8]], original: bool
) -> NDArray[np.float64]:
    """float64 (n, 5, 2): x and y of the landmarks in the images as they are shown."""
    points = _annotation(data, "landmarks")[rows].reshape(len(rows), 5, 2).astype(np.float64)
    wild = _in_the_wild(data)
    if original:
        for row, image in zip(rows, images, strict=True):
            if not wild and (image.shape[1], image.shape[0]) != ALIGNED:
                raise DataError(
                    f"{data.names[row]}: {image.shape[1]} x {image.shape[0]} pixels; the landmarks belong to the "
                    f"aligned images of {ALIGNED[0]} x {ALIGNED[1]}.",
                    "Give --source img_align_celeba, or leave --source away.",
                )
        return points
    # The middle of pixel 0 is 0.5 pixels from the edge before and after the resize.
    return _moved(data, rows, points + 0.5) - 0.5


def _in_the_wild(data: PreparedSet) -> bool:
    return bool(data.manifest.get("source", {}).get("in_the_wild"))


def _moved(data: PreparedSet, rows: NDArray[np.int64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where points (n, m, 2), from the corner of the original images, are in the prepared images."""
    crop = data.manifest.get("policy", {}).get("crop")
    if crop in REGION_CROPS:
        values = _annotation(data, REGION_CROPS[crop])[rows]
        # The corners of a turned square count from the middle of the first pixel.
        regions = box_squares(values) if crop == "box" else eye_squares(values) + 0.5
        found = [into_region(p, region, data.shape[0]) for p, region in zip(points, regions, strict=True)]
        return np.stack(found)
    if _in_the_wild(data):
        if data.sizes is None:
            raise DataError(f"{data.path}: it does not say how large its images were.", "Prepare the set again.")
        sizes = data.sizes[rows].tolist()
    else:
        sizes = [ALIGNED] * len(rows)
    policy = Policy.from_manifest(data.manifest.get("policy", {})).native()
    moved = []
    for p, (width, height) in zip(points, sizes, strict=True):
        left, top, w, h = _native.placement(policy, width, height)
        moved.append((p - [left, top]) * [data.shape[1] / w, data.shape[0] / h])
    return np.stack(moved)


def _frames(
    data: PreparedSet, rows: NDArray[np.int64], images: list[NDArray[np.uint8]], original: bool
) -> NDArray[np.int64]:
    """int64 (n, 4): left, top, width and height of the boxes in the images as they are shown."""
    frames = _annotation(data, "boxes")[rows].astype(np.int64)
    hint = "Give --source the folder or zip of the in-the-wild images (img_celeba)."
    if not original:
        if not _in_the_wild(data):
            raise DataError(
                "boxes cannot be drawn on these images: they belong to CelebA's in-the-wild images, and the set was "
                "made of the aligned ones.",
                hint,
            )
        corners = np.stack([frames[:, :2], frames[:, :2] + frames[:, 2:]], 1).astype(np.float64)
        if data.manifest["policy"]["crop"] == "landmarks":
            raise DataError("boxes cannot be drawn on turned images.", "Show the original images: --source PATH.")
        start, end = np.round(_moved(data, rows, corners)).astype(np.int64).transpose(1, 0, 2)
        return np.concatenate([start, end - start], 1)
    for row, (x, y, w, h), image in zip(rows, frames, images, strict=True):
        if x + w > image.shape[1] or y + h > image.shape[0]:
            raise DataError(
                f"{data.names[row]}: its box ({x}, {y}, {w} x {h}) does not fit on the image of {image.shape[1]} x "
                f"{image.shape[0]}: boxes belong to CelebA's in-the-wild images.",
                hint,
            )
    return frames


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(image, 3, -1) if image.shape[-1] == 1 else image.copy()


def _marked(
    image: NDArray[np.uint8], points: NDArray[np.float64] | None, frame: NDArray[np.int64] | None
) -> NDArray[np.uint8]:
    factor = max(1, MARKED_SIDE // max(image.shape[:2]))
    large = image.repeat(factor, 0).repeat(factor, 1)
    if frame is not None:
        x, y, w, h = (int(v) * factor for v in frame)
        rectangle(large, x, y, w, h, COLOURS[1], line=max(2, max(image.shape) // 200))
    if points is not None:
        for (x, y), colour in zip((points + 0.5) * factor - 0.5, COLOURS, strict=True):
            cross(large, x, y, colour)
    return large


def _grid(images: list[NDArray[np.uint8]], halves: list[int], columns: int) -> NDArray[np.uint8]:
    """A grid in which each half begins a row; images of several sizes lie in cells of the largest."""
    h, w = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    cells, start = [], 0
    blank = np.zeros((h, w, images[0].shape[2]), np.uint8)
    for count in halves:
        for image in images[start : start + count]:
            cell = blank.copy()
            cell[: image.shape[0], : image.shape[1]] = image
            cells.append(cell)
        start += count
        cells += [blank] * (-len(cells) % columns)
    return make_grid(np.stack(cells), columns)
