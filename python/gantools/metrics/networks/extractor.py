"""What an extractor is: a network that turns images into the features a metric compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.metrics.networks.protocols import Input

#: Features as an extractor gives them: layer -> float32 (n, width).
Features = dict[str, NDArray[np.float32]]


class Extractor(Protocol):
    """Images to features.

    Attributes:
        name: its name in `EXTRACTORS`.
        protocol: name of the rule by which any image comes to what the network computes with.
        input: the part of that rule which is done before the network.
        layers: what this instance gives, and how wide each is.
        weights_sha256: hash of the weights file, 64 hexadecimal digits.
        device: where it computes.
    """

    name: str
    protocol: str
    input: Input
    layers: dict[str, int]
    weights_sha256: str
    device: torch.device

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Refuse images of `shape` (h, w, c) that this network cannot judge (DataError); None is not known."""

    def __call__(self, batch: NDArray[np.float32]) -> Features:
        """float32 (n, size, size, 3) of values 0..255, made by `input` -> float32 (n, width) for each of `layers`."""


@dataclass(frozen=True)
class ExtractorSpec:
    """A kind of extractor.

    Attributes:
        layers: all it can give, and how wide each is.
        default: the layer that a distance is taken on when none is named.
        protocols: those it knows, the default first.
        make: makes one for each of the protocols named: make(layers, weights file or None, device, protocols).
    """

    layers: dict[str, int]
    default: str
    protocols: tuple[str, ...]
    make: Callable[[Sequence[str], str | Path | None, torch.device, Sequence[str]], list[Extractor]]
