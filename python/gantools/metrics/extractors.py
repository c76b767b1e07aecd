"""Feature extractors: networks that turn images into the features a metric compares.

`EXTRACTORS` maps a name to what makes one. An extractor says which size it takes and by which protocol images come to
that size, so that its name, layer, weights and protocol are all there is to know about a number made with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.device import find_device
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.metrics import fashion_classifier, inception
from gantools.metrics.weights import inception_weights, sha256_of

#: Default extractor and its width: what the word FID without a qualifier means.
DEFAULT, DEFAULT_DIMS = "inception", 2048


class Extractor(Protocol):
    """Images to features.

    Attributes:
        name: its name in `EXTRACTORS`.
        layer: where in the network the features are taken.
        dims: width of the features.
        size: side of the square images it takes.
        protocol: name of the rule by which any image comes to its input.
        weights_sha256: hash of the weights file, 64 hexadecimal digits.
        device: where it computes.
    """

    name: str
    layer: str
    dims: int
    size: int
    protocol: str
    weights_sha256: str
    device: torch.device

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Refuse images of `shape` (h, w, c) that this network cannot judge (DataError); None is not known."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (n, size, size, 3) of values 0..255 -> float32 (n, dims)."""


class InceptionFeatures:
    """The Inception network of 2015-12-05 by protocol `tf`: TF1 bilinear to 299x299, then (x - 128) / 128."""

    name = "inception"
    size = inception.SIZE
    protocol = "tf"

    def __init__(self, dims: int, weights: str | Path | None, device: torch.device) -> None:
        layers: dict[int, inception.Layer] = {64: "64", 192: "192", 768: "768", 2048: "2048"}
        if dims not in layers:
            raise ConfigError(f"the Inception network has no features of width {dims}.", "Known: 64, 192, 768, 2048.")
        file = inception_weights(weights)
        self._net = inception.load(file, device)
        self._layers = (layers[dims],)
        self.layer = {64: "max_pool_1", 192: "max_pool_2", 768: "mixed_6e", 2048: "pool3"}[dims]
        self.dims = dims
        self.weights_sha256 = sha256_of(file)
        self.device = device

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Takes images of any size, grey or colour."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Extractor.__call__`."""
        x = torch.from_numpy(batch).to(self.device, non_blocking=True)
        features: NDArray[np.float32] = self._net(x, self._layers)[0].cpu().numpy()
        return features


class FashionFeatures:
    """The shipped Fashion-MNIST classifier by protocol `tf1-28-grey`.

    TF1 bilinear to 28x28, then grey by ITU-R 601: 0.299 R + 0.587 G + 0.114 B, values 0..255. It knows small square
    pictures of one object on black, like its training images; colour photographs are refused.
    """

    name = "fashion-mnist"
    layer = "features"
    dims = fashion_classifier.FEATURES
    size = fashion_classifier.SIZE
    protocol = "tf1-28-grey"
    #: Mean distance of a channel from grey, in levels, above which images are photographs in colour.
    MAX_CHROMA = 8.0

    def __init__(self, dims: int | None, weights: str | Path | None, device: torch.device) -> None:
        if dims is not None and dims != self.dims:
            raise ConfigError(f"the fashion-mnist features have width {self.dims}, not {dims}.", "Leave out --dims.")
        file = fashion_classifier.weights_path() if weights is None else Path(weights)
        self._net = fashion_classifier.load(file).to(device)
        self.weights_sha256 = sha256_of(file)
        self.device = device

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Refuses images that are not square, or smaller than 8 pixels a side."""
        if shape is not None and (shape[0] != shape[1] or shape[0] < 8):
            raise DataError(
                f"the fashion-mnist extractor knows square pictures of clothes, these are {shape[0]}x{shape[1]}.",
                "Use --extractor inception.",
            )

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Extractor.__call__`. DataError: the images are in colour."""
        x = torch.from_numpy(batch).to(self.device, non_blocking=True)
        grey = x @ torch.tensor([0.299, 0.587, 0.114], device=self.device)
        chroma = float((x - grey[..., None]).abs().mean())
        if chroma > self.MAX_CHROMA:
            raise DataError(
                f"the fashion-mnist extractor knows grey pictures of clothes, these are in colour "
                f"(channels differ from grey by {chroma:.0f} levels on average).",
                "Use --extractor inception.",
            )
        with torch.no_grad():
            features: NDArray[np.float32] = self._net.features(grey[:, None]).cpu().numpy()
        return features


#: name -> constructor(dims or None for its default, weights path or None, device).
EXTRACTORS: dict[str, Callable[[int | None, str | Path | None, torch.device], Extractor]] = {
    "inception": lambda dims, weights, device: InceptionFeatures(dims or DEFAULT_DIMS, weights, device),
    "fashion-mnist": FashionFeatures,
}


def make(
    name: str = DEFAULT,
    dims: int | None = None,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
) -> Extractor:
    """The extractor `name`, ready to use.

    Args:
        name: a key of `EXTRACTORS`.
        dims: width of the features; the extractor's default when None.
        weights: weights file; None for the shipped, cached or downloaded one.
        device: None for CUDA where there is any, else the CPU.

    Raises:
        ConfigError: unknown name, width or device. WeightsError, DownloadError: weights.
    """
    if name not in EXTRACTORS:
        raise unknown_name("extractor", name, EXTRACTORS)
    return EXTRACTORS[name](dims, weights, find_device(device))
