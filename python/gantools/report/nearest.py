"""The newest grid's samples beside the training images that they are nearest to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepared import PreparedSet
from gantools.errors import GantoolsError
from gantools.files import write_whole
from gantools.grid import make_grid
from gantools.metrics.pixels.nearest import nearest_images
from gantools.page import picture, text
from gantools.report.grids import list_grids
from gantools.report.record import Record

#: What was found, in the run's folder: a search is made once a grid.
CACHE = "nearest.json"
#: Pairs in a page, and the pixels between two images of a grid.
PAIRS, PADDING = 8, 2
#: Real images whose own neighbours are looked for, to compare with.
REAL = 64

STYLE = (
    ".near{display:grid;grid-template-columns:repeat(auto-fill,minmax(max(4.4rem,calc(12.5% - .8rem)),1fr));gap:.8rem}"
    ".near figure{margin:0;max-width:none}.near figcaption{margin-top:.2rem}"
    ".near img{width:100%;image-rendering:pixelated;display:block;border-radius:3px;margin-bottom:3px}"
)


@dataclass(frozen=True)
class Found:
    """What a search found, as it is kept in the run's folder.

    Attributes:
        grid: name of the grid's file.
        digest: sha256 of it.
        fingerprint: of the training set.
        searched: training images that were looked at.
        distance: of each sample to its nearest training image, see `nearest_images`.
        index: place of that in the set.
        mirrored: whether it was mirrored.
        real: the median distance of a real image to another one; None where the set has too few.
    """

    grid: str
    digest: str
    fingerprint: str
    searched: int
    distance: list[float]
    index: list[int]
    mirrored: list[bool]
    real: float | None


def tiles(grid: NDArray[np.uint8], n: int) -> NDArray[np.uint8] | None:
    """The `n` images (n, h, w, c) of a picture that `make_grid` made of them; None: it is none of so many.

    Args:
        grid: uint8 (height, width, c).
        n: images in it.
    """
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    height, width, _ = grid.shape
    if (height - PADDING) % rows or (width - PADDING) % columns:
        return None
    h, w = (height - PADDING) // rows - PADDING, (width - PADDING) // columns - PADDING
    if h < 1 or w < 1:
        return None
    corners = [(i // columns * (h + PADDING) + PADDING, i % columns * (w + PADDING) + PADDING) for i in range(n)]
    images = np.stack([grid[y : y + h, x : x + w] for y, x in corners])
    return images if np.array_equal(make_grid(images, padding=PADDING), grid) else None


def nearest(records: Sequence[Record]) -> str:
    """The part of the page; of a run whose samples cannot be compared one line that says why."""
    parts = [_of(record, len(records) > 1) for record in records if list_grids(record.folder)]
    if not parts:
        return ""
    words = (
        "Above the sample, below the training image whose pixels are nearest: copies would stand out here. What is "
        "blurred is near to many images as well."
    )
    return f'<h2 id="nearest">Nearest training images</h2><p class="q">{words}</p>{"".join(parts)}'


def _of(record: Record, several: bool) -> str:
    of = f"{text(record.name)}: " if several else ""
    try:
        return _pairs(record, of)
    except (GantoolsError, OSError, ValueError) as e:
        reason = e.message if isinstance(e, GantoolsError) else str(e)
        return f'<p class="q">{of}Not looked for: {text(reason)}</p>'


def _pairs(record: Record, of: str) -> str:
    images, recipe = record.images, record.recipe
    if images is None:
        raise ValueError("the training set is not where the run found it.")
    if recipe is None or recipe.system.takes == "images":
        raise ValueError(
            "the recipe is not known." if recipe is None else "each sample is made from an image of the set."
        )
    newest = list_grids(record.folder)[-1]
    data = newest.file.read_bytes()
    samples = tiles(_native.decode(data, channels=images.shape[2]), recipe.grid)
    if samples is None:
        raise ValueError(f"{newest.file.name} is no grid of {recipe.grid} samples.")
    found = search(record.folder, newest.file.name, data, samples, images, recipe.data.flip)
    order = np.argsort(found.distance, kind="stable")[:PAIRS].tolist()
    near = images.gather(np.array([found.index[i] for i in order], np.int64))
    figures = []
    for i, real in zip(order, near, strict=True):
        shown = real[:, ::-1] if found.mirrored[i] else real
        h, w, _ = shown.shape
        sample = samples[i] if samples[i].shape == shown.shape else _native.resize(samples[i], h, w, "box")
        pair = picture(sample.reshape(shown.shape), f"Sample {i + 1}")
        pair += picture(shown, f"Training image {found.index[i]:,}")
        words = "a copy" if found.distance[i] == 0 else f"{found.distance[i]:.3g} apart"
        words += ", mirrored" if found.mirrored[i] else ""
        figures.append(f"<figure>{pair}<figcaption>no. {found.index[i]:,}<br>{words}</figcaption></figure>")
    part = "" if found.searched >= len(images) - 1 else f"{found.searched:,} evenly chosen of "
    middle = float(np.median(found.distance))
    beside = "" if found.real is None else f" Half of {REAL} real images are within {found.real:.3g} of another one."
    the = "the" if of else "The"
    sentence = (
        f"{of}{the} {len(order)} nearest of {len(samples)} samples at {newest.kimg:.10g} kimg, looked for among {part}"
        f"{len(images):,} training images. Half of the samples are within {middle:.3g} of one.{beside} (Levels of 0 to "
        "255, root of the mean squared difference.)"
    )
    return f'<p>{sentence}</p><div class="near">{"".join(figures)}</div>'


def search(run: Path, grid: str, data: bytes, samples: NDArray[np.uint8], images: PreparedSet, mirror: bool) -> Found:
    """What is nearest to the samples of a grid; from the run's folder where it was looked for before.

    Args:
        run: its folder; where it cannot be written nothing is kept.
        grid: name of the grid's file.
        data: of that file.
        samples: uint8 (n, h, w, c), its images.
        images: the training set.
        mirror: whether the training shows mirrored images.
    """
    digest = hashlib.sha256(data).hexdigest()
    kept = _kept(run / CACHE, len(samples), len(images))
    if kept is not None and (kept.grid, kept.digest, kept.fingerprint) == (grid, digest, images.fingerprint):
        return kept
    near = nearest_images(samples, images, mirror=mirror)
    real = None
    if len(images) >= 2 * REAL:
        places = np.linspace(0, len(images) - 1, REAL).astype(np.int64)
        others = nearest_images(images.gather(places), images, mirror=mirror, without=places)
        real = float(np.median(others.distance))
    found = Found(
        grid,
        digest,
        images.fingerprint,
        near.searched,
        near.distance.tolist(),
        near.index.tolist(),
        near.mirrored.tolist(),
        real,
    )
    with suppress(OSError):
        write_whole(run / CACHE, json.dumps(asdict(found)).encode())
    return found


def _kept(file: Path, n: int, most: int) -> Found | None:
    """What was found before; None: nothing, or nothing that is whole."""
    try:
        found = Found(**json.loads(file.read_bytes()))
        lists = (found.distance, found.index, found.mirrored)
        whole = all(len(values) == n for values in lists) and all(0 <= i < most for i in found.index)
        numbers = [*found.distance, found.searched, *([] if found.real is None else [found.real])]
        return found if whole and all(math.isfinite(value) for value in numbers) else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None
