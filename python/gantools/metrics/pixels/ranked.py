"""Ranked pairs: of the same image by two networks, which is the more natural one by NIQE.

What a ranker learns from (Zhang et al. 2019, arXiv:1908.06382, section 3.2): the results of several networks for the
same inputs are scored, and of every two whose scores are far enough apart the set has a row, whose image is the better
one and whose input is the worse one. It is a prepared set of pairs like any other; `ranked.csv` in it has the scores.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepare import prep
from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError, MetricError
from gantools.metrics.images.open import open_source
from gantools.metrics.pixels.niqe import PristineModel, niqe
from gantools.metrics.pixels.paired import match

TABLE = "ranked.csv"


def rank(
    results: Sequence[str | Path],
    out: str | Path,
    *,
    gap: float = 0.1,
    crop: int = 4,
    model: PristineModel | str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str, int], Callable[[int], object]] | None = None,
) -> PreparedSet:
    """Prepare a set of ranked pairs.

    Args:
        results: two or more folders of images of one size, square, with the same names in all of them.
        out: the folder to make.
        gap: pairs whose NIQE is not further apart are left out.
        crop: pixels cut off every border before an image is scored.
        model: of NIQE, as in `niqe_scores`.
        overwrite: replace the prepared set at `out`.
        progress: as that of `gantools.score`.

    Returns:
        The set: the better images, and as inputs the worse ones.

    Raises:
        ConfigError: fewer than two folders, or a negative gap.
        DataError: other names or sizes in one of them, an image too small for NIQE, no pair far enough apart, or `out`
            exists and is something else. WeightsError, DownloadError: NIQE's model.
    """
    if len(results) < 2:
        raise ConfigError("ranked pairs are of two networks' results at least.", "Name two or more folders.")
    if gap < 0:
        raise ConfigError(f"the gap is {gap}; it must be at least 0.")
    target = Path(out)
    if target.exists() and not overwrite:
        raise DataError(
            f"{target} exists.", "Choose another place with --out (out), or replace it with --overwrite (overwrite)."
        )
    readers = [open_source(place) for place in results]
    matches = [match(readers[0], other) for other in readers[1:]]
    names = matches[0].names
    places = [[i for i, _ in matches[0].order]]
    for found in matches:
        by_first = dict(found.order)
        places.append([by_first[i] for i in places[0]])
    pristine = model if isinstance(model, PristineModel) else PristineModel.load(model)
    advance = progress("NIQE", len(names)) if progress is not None else lambda n: None
    rows: list[tuple[str, int, int, float, float]] = []
    work = target.with_name(f".{target.name}.{os.getpid()}.part")
    side = None
    try:
        for folder in ("better", "worse"):
            (work / folder).mkdir(parents=True)
        for at, name in enumerate(names):
            images = [reader.pixels(place[at]) for reader, place in zip(readers, places, strict=True)]
            side = _side(images, name, side)
            values = [_score(image, pristine, crop, name) for image in images]
            for a, b in combinations(range(len(images)), 2):
                better, worse = (a, b) if values[a] <= values[b] else (b, a)
                # Of images without any structure there is no score, and no rank.
                if not values[worse] - values[better] > gap:
                    continue
                stem = PurePosixPath(name).with_suffix("")
                file = str(stem.with_name(f"{stem.name}-{better}-{worse}.png"))
                for folder, i in (("better", better), ("worse", worse)):
                    place = work / folder / file
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(_native.encode_png(np.ascontiguousarray(images[i])))
                rows.append((file, better, worse, values[better], values[worse]))
            advance(1)
        if not rows:
            raise DataError(
                f"no two of the {len(names):,} x {len(results)} images are further apart than {gap:g} by NIQE.",
                "Give results of networks that differ more, or a smaller --gap (gap).",
            )
        made = prep(work / "better", inputs=work / "worse", size=side, out=target, overwrite=overwrite, progress=False)
        _write_table(made.path / TABLE, rows, results)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def _side(images: Sequence[NDArray[np.uint8]], name: str, side: int | None) -> int:
    for image in images:
        h, w = image.shape[:2]
        if h != w or h != (side or h):
            wanted = "squares of one size" if side is None else f"{side}x{side} as those before it"
            raise DataError(
                f"{name}: is {h}x{w} pixels; ranked images have to be {wanted}.",
                "Enlarge tiles: gantools prep tiles, and gantools translate of the inputs of that set.",
            )
        side = h
    assert side is not None
    return side


def _score(image: NDArray[np.uint8], model: PristineModel, crop: int, name: str) -> float:
    try:
        return niqe(image, model, crop=crop, name=name)
    except MetricError:
        return float("nan")


def _write_table(file: Path, rows: Sequence[tuple[str, int, int, float, float]], results: Sequence[str | Path]) -> None:
    partial = file.with_name(f".{file.name}.part")
    with partial.open("w", newline="", encoding="utf-8") as f:
        table = csv.writer(f)
        table.writerow(("name", "better", "worse", "niqe_better", "niqe_worse"))
        for name, better, worse, low, high in rows:
            table.writerow((name, str(results[better]), str(results[worse]), f"{low:.6f}", f"{high:.6f}"))
    partial.replace(file)
