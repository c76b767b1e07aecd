"""Landmarks of the images that are translated, for systems that need them: of prepared sets, or of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.data.frontal import MARKS, read_landmarks
from gantools.data.prepared import INPUTS, PreparedSet, is_prepared
from gantools.data.sources.metadata import matching
from gantools.errors import ConfigError, DataError
from gantools.sampling.translate import Translator

Points = list[NDArray[np.float32] | None]


def given_marks(translator: Translator, found: Sequence[tuple[str, Any]], table: str | Path | None) -> Points | None:
    """Points float32 (5, 2) of each image, None of one that has none; None altogether where the system takes none.

    Args:
        translator: of the system.
        found: name and reader of each image; those of prepared sets have a `data` and a number `i` in it.
        table: read where it is given, in place of what the sets have.

    Raises:
        ConfigError: a table for a system that takes none. DataError: it is damaged or of other images, or a set holds
            pairs, whose landmarks are those of its inputs.
    """
    if MARKS not in translator.system.guides:
        if table is not None:
            raise ConfigError("--landmarks: this network takes none.", "Leave it out.")
        return None
    if table is not None:
        rows = read_landmarks(Path(table))
        keys = [matching(rows, name) for name, _ in found]
        if not any(keys):
            raise DataError(
                f"{table}: has landmarks of none of the images: {next(iter(rows), 'nothing')!r} is not "
                f"{found[0][0]!r}.",
                "Its first column holds their paths or file names, with or without suffix.",
            )
        return [None if key is None else rows[key].reshape(5, 2).astype(np.float32) for key in keys]
    sets: dict[Path, NDArray[np.float32] | None] = {}
    points: Points = []
    for _, read in found:
        data = getattr(read, "data", None)
        if data is None:
            points.append(None)
            continue
        if data.path not in sets:
            sets[data.path] = _of_set(data)
        marks = sets[data.path]
        points.append(None if marks is None else marks[read.i])
    return points


def _of_set(data: PreparedSet) -> NDArray[np.float32] | None:
    """The landmarks of a set's images, float32 (n, 5, 2), where it has some; of inputs those that their pairs have."""
    if data.inputs is not None and MARKS in data.annotations:
        raise DataError(
            f"{data.path}: is a set of pairs, whose landmarks are those of its inputs.",
            f"Translate these: gantools translate RUN {data.path / INPUTS}",
        )
    pairs = data.path.absolute().parent
    owner = PreparedSet(pairs) if data.path.absolute().name == INPUTS and is_prepared(pairs) else data
    marks = owner.annotations.get(MARKS)
    return None if marks is None else np.asarray(marks, np.float32).reshape(-1, 5, 2)
