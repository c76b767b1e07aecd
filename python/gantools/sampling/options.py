"""What all ways to make images may be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from gantools.sampling.images import Label, Move


class Options(TypedDict, total=False):
    """Keywords of `Generator.sample` and its like.

    Attributes:
        batch: images computed at once, 64 where not given; another batch size may change a pixel by 1.
        class_: number or name of the class of all images; None: image i has class i modulo their number.
        labels: numbers or names of classes: image i has that of i modulo how many there are.
        controls: what the system lets a user turn, by name: {"truncation": 0.7}.
        truncation: the same as the control of this name.
        directions: how far all images are moved along directions of the run, in standard deviations of its latents:
            {"pca0": 2}; `gantools directions` finds them.
    """

    batch: int
    class_: int | str | None
    labels: Sequence[int | str] | None
    controls: Mapping[str, float] | None
    truncation: float | None
    directions: Mapping[str, float] | None


@dataclass(frozen=True)
class Chosen:
    """`Options`, checked: nothing in them is a name any more."""

    batch: int
    label: Label
    controls: dict[str, float]
    move: Move | None


class TranslateOptions(TypedDict, total=False):
    """What every way to make images from images takes.

    Attributes:
        tile, pad: as in `Translator.translate`.
        controls: what the system lets a user turn, by name: {"interpolation": 0.8}.
        marks: as in `Translator.translate`.
    """

    tile: int | None
    pad: bool
    controls: Mapping[str, float] | None
    marks: NDArray[np.float32] | None
