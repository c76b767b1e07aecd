"""The shipped Fashion-MNIST classifier as an extractor, which needs no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.device import to_device
from gantools.errors import DataError
from gantools.metrics.networks.extractor import Features
from gantools.metrics.networks.protocols import Input
from gantools.pretrained import fashion as fashion_classifier
from gantools.pretrained.loaded import loaded
from gantools.pretrained.weights import sha256_of


def _load(file: Path, device: torch.device) -> fashion_classifier.FashionClassifier:
    return fashion_classifier.load(file).to(device)


class FashionFeatures:
    """The shipped Fashion-MNIST classifier by protocol `tf1-28-grey`.

    TF1 bilinear to 28x28, then grey by ITU-R 601: 0.299 R + 0.587 G + 0.114 B, values 0..255. It knows small square
    pictures of one object on black, like its training images; colour photographs are refused.
    """

    name = "fashion-mnist"
    protocol = "tf1-28-grey"
    input = Input("tf1-bilinear", fashion_classifier.SIZE)
    #: Mean distance of a channel from grey, in levels, above which images are photographs in colour.
    MAX_CHROMA = 8.0

    def __init__(self, weights: str | Path | None, device: torch.device) -> None:
        file = fashion_classifier.weights_path() if weights is None else Path(weights)
        # Of a file that is not there, loading says so.
        self.weights_sha256 = sha256_of(file) if file.is_file() else ""
        self._net = loaded(_load, self.weights_sha256, device, file)
        self.layers = {"features": fashion_classifier.FEATURES}
        self.device = device

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Refuses images that are not square, or smaller than 8 pixels a side."""
        if shape is not None and (shape[0] != shape[1] or shape[0] < 8):
            raise DataError(
                f"the fashion-mnist extractor knows square pictures of clothes, these are {shape[0]}x{shape[1]}.",
                "Use --extractor inception (in Python extractor='inception').",
            )

    def __call__(self, batch: NDArray[np.float32]) -> Features:
        """As `Extractor.__call__`. DataError: the images are in colour."""
        x = to_device(torch.from_numpy(batch), self.device)
        grey = x @ torch.tensor([0.299, 0.587, 0.114], device=self.device)
        chroma = float((x - grey[..., None]).abs().mean())
        if chroma > self.MAX_CHROMA:
            raise DataError(
                f"the fashion-mnist extractor knows grey pictures of clothes, these are in colour "
                f"(channels differ from grey by {chroma:.0f} levels on average).",
                "Use --extractor inception (in Python extractor='inception').",
            )
        with torch.inference_mode():
            return {"features": self._net.features(grey[:, None]).cpu().numpy()}
