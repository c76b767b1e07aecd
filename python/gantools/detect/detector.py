"""A trained detector on disk, and what it says of images.

detector/
  detector.json           format, shape, thresholds, scores, settings, data: all that decided it
  detector.safetensors    weights and buffers of the network
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.detect.disk import read_networks, read_record, reading, write_networks
from gantools.detect.disturb import Change
from gantools.detect.networks import build
from gantools.detect.numbers import Scores, sigmoid
from gantools.device import find_device, full_precision
from gantools.errors import DataError

FORMAT = "gantools-detector"
FORMAT_VERSION = 1
MANIFEST = "detector.json"
# Images through the network at once.
BATCH = 128

Answer = Literal["real", "unsure", "generated"]


def to_network(levels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (n, h, w, c) as levels float32 (n, c, h, w) on the device."""
    return torch.from_numpy(np.ascontiguousarray(levels)).to(device).permute(0, 3, 1, 2).float().contiguous()


@torch.no_grad()
def logits_of(
    network: nn.Module,
    levels: NDArray[np.uint8],
    device: torch.device,
    change: Change | None = None,
    seed: int = 0,
) -> Scores:
    """The logits of images, float64 (n,); those of an image do not depend on the others.

    Args:
        network: in evaluation mode.
        levels: uint8 (n, h, w, c).
        device: where the network is.
        change: what is done to them before; None: nothing.
        seed: of the change's random numbers.
    """
    source = torch.Generator().manual_seed(seed)
    found = []
    with full_precision():
        for start in range(0, len(levels), BATCH):
            x = to_network(levels[start : start + BATCH], device)
            x = x if change is None else change(x, source)
            found.append(network(x / 127.5 - 1).double().cpu().numpy())
    logits: Scores = np.concatenate(found)
    return logits


@dataclass(frozen=True)
class Detector:
    """A trained detector. Make one with `read_detector`.

    Attributes:
        network: in evaluation mode, on its device.
        device: where it is.
        shape: (h, w, c) of the images it was trained on; of others it says nothing.
        temperature: what logits are divided by.
        threshold: the probability above which an image is called generated.
        unsure: two probabilities between which an image is called neither.
        record: all of `detector.json`.
    """

    network: nn.Module
    device: torch.device
    shape: tuple[int, int, int]
    temperature: float
    threshold: float
    unsure: tuple[float, float]
    record: Mapping[str, Any]

    def probabilities(self, levels: NDArray[np.uint8]) -> Scores:
        """How probable it is that each image was generated, were half of all images: float64 (n,).

        Args:
            levels: uint8 (n, h, w, c) of `shape`.

        Raises:
            DataError: of another shape.
        """
        if levels.dtype != np.uint8 or levels.ndim != 4 or levels.shape[1:] != self.shape:
            raise DataError(
                f"images are {levels.dtype} {levels.shape}; this detector takes uint8 (n, "
                f"{', '.join(map(str, self.shape))}) and says nothing of others."
            )
        return sigmoid(logits_of(self.network, levels, self.device) / self.temperature)

    def answer(self, probability: float) -> Answer:
        """What to call an image of this probability."""
        low, high = self.unsure
        return "real" if probability < low else "generated" if probability > high else "unsure"


def write_detector(folder: Path, network: nn.Module, record: Mapping[str, Any]) -> None:
    """Write a detector into `folder`, which exists; `record` is plain values."""
    write_networks(folder / MANIFEST, {"detector": network}, {"format": FORMAT, "version": FORMAT_VERSION, **record})


def read_detector(path: str | Path, *, device: str | None = None) -> Detector:
    """Load the detector in folder `path`.

    Args:
        path: the folder.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.

    Raises:
        DataError: there is none, it is damaged, or of a newer gantools.
    """
    file = Path(path) / MANIFEST
    with reading(file):
        make = "gantools detect train --real SET --fake NAME=SAMPLES"
        record = read_record(file, FORMAT, FORMAT_VERSION, "detector", make)
        h, w, c = (int(side) for side in record["shape"])
        low, high = (float(p) for p in record["unsure"])
        temperature, threshold = float(record["temperature"]), float(record["threshold"])
        with torch.random.fork_rng(devices=[]):
            network = build(str(record["network"]), (h, w, c))
        read_networks(file, record, {"detector": network})
    where = find_device(device)
    ready = network.eval().requires_grad_(False).to(where)
    return Detector(ready, where, (h, w, c), temperature, threshold, (low, high), record)
