"""Whether two faces are one person's: the cosine of their vectors by MobileFaceNet, and who is found by it.

Faces are aligned as by `gantools prep frontal`; 1 is the same, unlike people are near 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.device import find_device, full_precision
from gantools.errors import DataError
from gantools.pretrained import mobilefacenet

#: Faces computed at once.
BATCH = 64


@dataclass(frozen=True, eq=False)
class IdentityScores:
    """How like the targets the people of samples are.

    Attributes:
        cosines: float64 (n,) of each pair, in [-1, 1].
        rank1: the share of samples whose own target is nearer than all others; of targets of one person each counts.
        protocol: how they were made; scores of one protocol can be compared.
    """

    cosines: NDArray[np.float64]
    rank1: float
    protocol: dict[str, Any]

    @property
    def mean(self) -> float:
        """The mean cosine."""
        return float(self.cosines.mean())


def identity_vectors(
    images: NDArray[np.uint8],
    network: mobilefacenet.MobileFaceNet,
    device: torch.device | str = "cpu",
    marks: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Vectors of length 1 of faces uint8 (n, s, s, 3), float64 (n, 128).

    Args:
        images: frontal faces aligned as by `gantools prep frontal`, or any with `marks`.
        network: MobileFaceNet.
        device: where it is computed.
        marks: landmarks in the images, (n, 5, 2); None: they are aligned and frontal.

    Raises:
        DataError: images of another kind.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise DataError(
            f"faces are uint8 (n, s, s, 3), not {images.dtype} {images.shape}.", "Make some: gantools prep frontal"
        )
    network = network.to(device)
    parts = []
    for start in range(0, len(images), BATCH):
        part = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH])).to(device)
        with torch.no_grad(), full_precision():
            x = part.permute(0, 3, 1, 2).float() / 127.5 - 1
            if marks is None:
                x = mobilefacenet.of_frontal(x)
            else:
                x = mobilefacenet.of_marks(x, torch.from_numpy(marks[start : start + BATCH]).to(device))
            parts.append(network(x).double().cpu().numpy())
    found = np.concatenate(parts) if parts else np.zeros((0, mobilefacenet.DIMS))
    out: NDArray[np.float64] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return out


def identity_scores(
    samples: NDArray[np.uint8],
    targets: NDArray[np.uint8],
    *,
    people: Sequence[int] | NDArray[np.int64] | None = None,
    marks: NDArray[np.float32] | None = None,
    weights: str | Path | None = None,
    device: str | None = None,
) -> IdentityScores:
    """Compare the person in each sample with the one in its target.

    Args:
        samples: what is judged, uint8 (n, s, s, 3).
        targets: what each should show, of the same number.
        people: who is in each pair; None: everybody once.
        marks: landmarks in the samples, (n, 5, 2), where these are turned faces; targets are frontal.
        weights: the file of MobileFaceNet; None: looked for in the usual places.
        device: "cpu", "cuda"; None: CUDA when there is one.

    Raises:
        DataError: images of another kind or number. WeightsError: no weights.
    """
    if len(samples) != len(targets) or not len(samples):
        raise DataError(f"{len(samples):,} samples and {len(targets):,} targets.", "Give equally many, at least one.")
    network = mobilefacenet.load(weights, "--weights")
    where = find_device(device)
    ours, theirs = identity_vectors(samples, network, where, marks), identity_vectors(targets, network, where)
    who = np.arange(len(ours)) if people is None else np.asarray(people)
    nearest = (ours @ theirs.T).argmax(1)
    protocol = {
        "network": mobilefacenet.FILE.what,
        "sha256": network.sha256,
        "targets": "frame of gantools prep frontal",
        "samples": "frame of gantools prep frontal" if marks is None else "five landmarks, similarity",
        "resampling": "112x112, bilinear, border repeated",
        "size": list(samples.shape[1:3]),
        "pairs": len(ours),
    }
    return IdentityScores((ours * theirs).sum(1), float((who[nearest] == who).mean()), protocol)
