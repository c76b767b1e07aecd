"""Directions of a run's latents: the only place that knows what is in their file.

RUN/directions.npz
  vectors      float32 (k, dim), each of length one
  scales       float64 (k,), the standard deviation of the run's latents along each
  note         JSON: format, version, space, checkpoint, and of each direction its name, kind and value
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError, unknown_name
from gantools.files import atomic_write
from gantools.sampling.images import Move, Space

FORMAT = "gantools-directions"
FORMAT_VERSION = 1
FILE = "directions.npz"
PICTURE = "directions.png"


@dataclass(frozen=True)
class About:
    """What is known of a direction.

    Attributes:
        name: by which it is asked for.
        kind: sefa, pca or label.
        value: of sefa: the eigenvalue of AᵀA; of pca: the share of all variance; of a label: the share of images that
            were kept aside and that the probe tells right.
        chance: of a label: the share that the more frequent answer gets right; else None.
    """

    name: str
    kind: str
    value: float
    chance: float | None = None


@dataclass(frozen=True)
class Directions:
    """Directions of the latents z or the styles w of a run.

    Attributes:
        space: which of both.
        checkpoint: name of the one they were found for.
        about: k descriptions.
        vectors: float32 (k, dim), each of length one.
        scales: float64 (k,), standard deviations along them.
    """

    space: Space
    checkpoint: str
    about: tuple[About, ...]
    vectors: NDArray[np.float32]
    scales: NDArray[np.float64]

    def move(self, asked: Mapping[str, float]) -> Move:
        """So many standard deviations along the directions of these names, together.

        Raises:
            ConfigError: there is none of a name, or a strength is no finite number.
        """
        names = [about.name for about in self.about]
        by = np.zeros(self.vectors.shape[1])
        for name, strength in asked.items():
            if name not in names:
                raise unknown_name("direction", name, names)
            if not math.isfinite(strength):
                raise ConfigError(f"direction {name}: must be a finite number, not {strength:g}.", "For example 2.")
            i = names.index(name)
            by += strength * self.scales[i] * self.vectors[i]
        return Move(self.space, torch.from_numpy(by.astype(np.float32)))


def write_directions(path: Path, directions: Directions) -> None:
    """Writes the file, whole or not at all; the same directions give the same bytes."""
    note = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "space": directions.space,
        "checkpoint": directions.checkpoint,
        "directions": [asdict(about) for about in directions.about],
    }
    with atomic_write(path) as f:
        np.savez(
            f, vectors=directions.vectors, scales=directions.scales, note=np.array(json.dumps(note, ensure_ascii=False))
        )


def read_directions(path: Path) -> Directions:
    """The directions in a file.

    Raises:
        DataError: it is damaged, of another kind, or of another version.
    """
    again = f"Find them again: gantools directions {path.parent} --overwrite"
    try:
        with np.load(path, allow_pickle=False) as z:
            vectors, scales, note = z["vectors"], z["scales"], json.loads(str(z["note"]))
        if note["format"] != FORMAT:
            raise ValueError("of another kind")
        if note["version"] != FORMAT_VERSION:
            raise DataError(
                f"{path}: directions of version {note['version']}, this gantools reads {FORMAT_VERSION}.", again
            )
        about = tuple(_about(entry) for entry in note["directions"])
        if note["space"] not in get_args(Space):
            raise ValueError("its space is none")
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(about):
            raise ValueError("its vectors are none")
        if scales.shape != (len(about),) or not (np.isfinite(vectors).all() and np.isfinite(scales).all()):
            raise ValueError("its numbers are none")
        return Directions(cast(Space, note["space"]), str(note["checkpoint"]), about, vectors, scales)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, RecursionError) as e:
        raise DataError(f"{path}: damaged, or no directions of gantools.", again) from e


def _about(entry: Mapping[str, Any]) -> About:
    chance = entry["chance"]
    return About(
        str(entry["name"]), str(entry["kind"]), float(entry["value"]), None if chance is None else float(chance)
    )
