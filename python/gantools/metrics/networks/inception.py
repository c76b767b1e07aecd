"""The Inception network as an extractor, by each of its protocols."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.device import to_device
from gantools.metrics.networks import protocols
from gantools.metrics.networks.extractor import Extractor, Features
from gantools.pretrained import inception
from gantools.pretrained.loaded import loaded
from gantools.pretrained.weights import sha256_of


class InceptionFeatures:
    """The Inception network of 2015-12-05 by one of `protocols.PROTOCOLS`.

    Layers are those of `inception.LAYERS`: `64`, `192`, `768` and `2048` (pool3, what FID means), `spatial` (2023 wide,
    for sFID), `logits_unbiased` and `logits`.
    """

    name = "inception"

    def __init__(
        self,
        net: inception.Inception,
        weights_sha256: str,
        layers: Sequence[str],
        protocol: str = protocols.DEFAULT,
    ) -> None:
        self._net = net
        self._rule = protocols.find(protocol)
        self._layers = tuple(name for name in inception.LAYERS if name in layers)
        self.layers: dict[str, int] = {name: inception.WIDTHS[name] for name in self._layers}
        self.protocol = self._rule.name
        self.input = self._rule.input
        self.weights_sha256 = weights_sha256
        self.device = net.fc.weight.device

    @classmethod
    def load(
        cls, layers: Sequence[str], weights: str | Path | None, device: torch.device, protocol_names: Sequence[str]
    ) -> list[Extractor]:
        """One for each protocol, all with one network. WeightsError, DownloadError: weights."""
        file = inception.WEIGHTS.find(weights)
        digest = sha256_of(file)
        net = loaded(inception.load, digest, device, file)
        return [cls(net, digest, layers, protocol) for protocol in protocol_names]

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Takes images of any size, grey or colour."""

    def __call__(self, batch: NDArray[np.float32]) -> Features:
        """As `Extractor.__call__`."""
        x = to_device(torch.from_numpy(batch), self.device)
        found = self._net(x, self._layers, offset=self._rule.offset, scale=self._rule.scale)
        return {name: value.cpu().numpy() for name, value in zip(self._layers, found, strict=True)}
