"""Frames of films, as `gantools prep video` lays them out: CLIP/SHOT/FRAME.png, and frames.json beside the clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.annotations import Annotation
from gantools.data.sources.base import Source
from gantools.errors import DataError, cause

LIST = "frames.json"
MAKE = "Make a set of films with: gantools prep video FILE --out SET --size 64"


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The frames below `path`, shot after shot, with `shot` and `frame`, its number within the shot."""
    if path is None or not (path / LIST).is_file():
        raise DataError(f"{path or 'frames'}: no frames of films that gantools laid out.", MAKE)
    try:
        document = json.loads((path / LIST).read_text(encoding="utf-8"))
        clips = [(str(clip["name"]), clip["shots"]) for clip in document["clips"]]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{path / LIST}: damaged ({cause(e)}).", MAKE) from e
    names: list[str] = []
    shots: list[int] = []
    frames: list[int] = []
    for clip, found in clips:
        for files in found:
            number = shots[-1] + 1 if shots else 0
            names += [f"{clip}/{file}" for file in files]
            shots += [number] * len(files)
            frames += range(len(files))
    annotations = {
        "shot": Annotation(np.array(shots, np.int32)),
        "frame": Annotation(np.array(frames, np.int32)),
    }
    told = [{key: value for key, value in clip.items() if key != "shots"} for clip in document["clips"]]
    facts = {**document, "clips": [{**clip, "shots": len(found)} for clip, (_, found) in zip(told, clips, strict=True)]}
    reader = _native.Source.files(path, names)
    items = np.arange(len(names), dtype=np.int64)
    return Source("frames", "frames", reader, items, names, 3, None, annotations=annotations, facts={"video": facts})


def with_clips(tiles: Source, corners: NDArray[np.float64]) -> Source:
    """Tiles of frames with `clip`, a number for each shot and place: the tiles of one are a film of their own.

    Args:
        tiles: in the order of the set.
        corners: of each, float64 (n, 8).
    """
    places = np.column_stack((tiles.annotations["shot"].values, corners[:, :2].astype(np.int64)))
    _, first, number = np.unique(places, axis=0, return_index=True, return_inverse=True)
    # Numbered in the order of the set.
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return tiles.with_annotations({**tiles.annotations, "clip": Annotation(rank[number.reshape(-1)])})
