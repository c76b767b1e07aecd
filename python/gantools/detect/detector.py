"""A trained detector on disk, and what it says of images.

detector/
  detector.json           format, shape, thresholds, scores, settings, data: all that decided it
  detector.safetensors    weights and buffers of the network
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from gantools.detect.disturb import Change
from gantools.detect.networks import build
from gantools.detect.numbers import Scores, sigmoid
from gantools.device import find_device, full_precision
from gantools.errors import DataError
from gantools.files import write_json, write_whole
from gantools.runs.checkpoint import versions

FORMAT = "gantools-detector"
FORMAT_VERSION = 1
MANIFEST = "detector.json"
WEIGHTS = "detector.safetensors"
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
    with full_precision(device):
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
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save_safetensors(tensors)
    write_whole(folder / WEIGHTS, data)
    head = {"format": FORMAT, "version": FORMAT_VERSION, "weights": hashlib.sha256(data).hexdigest()}
    write_json(folder / MANIFEST, {**head, **record, "versions": versions()})


def read_detector(path: str | Path, *, device: str | None = None) -> Detector:
    """Load the detector in folder `path`.

    Args:
        path: the folder.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.

    Raises:
        DataError: there is none, it is damaged, or of a newer gantools.
    """
    folder = Path(path)
    file = folder / MANIFEST
    if not file.is_file():
        raise DataError(
            f"{folder}: no detector (it has no {MANIFEST}).",
            "Make one with: gantools detect train --real SET --fake NAME=SAMPLES",
        )
    damaged = "Take another copy of it, or train it again."
    try:
        record = json.loads(file.read_bytes())
        if record["format"] != FORMAT:
            raise ValueError("of another kind")
        if int(record["version"]) > FORMAT_VERSION:
            raise DataError(
                f"{folder}: written by a newer gantools (format {record['version']}, this one reads {FORMAT_VERSION}).",
                "Use the gantools that wrote it.",
            )
        h, w, c = (int(side) for side in record["shape"])
        low, high = (float(p) for p in record["unsure"])
        temperature, threshold = float(record["temperature"]), float(record["threshold"])
        with torch.random.fork_rng(devices=[]):
            network = build(str(record["network"]), (h, w, c))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise DataError(f"{file}: damaged ({e}).", damaged) from e
    try:
        data = (folder / WEIGHTS).read_bytes()
        if hashlib.sha256(data).hexdigest() != record.get("weights"):
            raise ValueError("its checksum is not that of detector.json")
        network.load_state_dict(load_safetensors(data), strict=True)
    except FileNotFoundError:
        raise DataError(f"{folder / WEIGHTS}: missing.", damaged) from None
    except (OSError, ValueError, RuntimeError) as e:
        raise DataError(f"{folder / WEIGHTS}: damaged ({e}).", damaged) from e
    where = find_device(device)
    ready = network.eval().requires_grad_(False).to(where)
    return Detector(ready, where, (h, w, c), temperature, threshold, (low, high), record)
