"""Feature extractors: networks that turn images into the features a metric compares.

`EXTRACTORS` maps a name to what makes one. An extractor says which input it takes and gives any of its layers from one
forward pass, so that its name, layer, weights and protocol are all there is to know about a number made with it.
`features` runs several of them over the same images, each image decoded once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.device import find_device, to_device
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.metrics.images.open import Source, batches
from gantools.metrics.networks import protocols
from gantools.metrics.networks import published as networks
from gantools.metrics.networks.protocols import Input
from gantools.pretrained import fashion as fashion_classifier
from gantools.pretrained import inception
from gantools.pretrained.weights import sha256_of

#: Default extractor.
DEFAULT = "inception"
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
        net, digest = inception.load(file, device), sha256_of(file)
        return [cls(net, digest, layers, protocol) for protocol in protocol_names]

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Takes images of any size, grey or colour."""

    def __call__(self, batch: NDArray[np.float32]) -> Features:
        """As `Extractor.__call__`."""
        x = to_device(torch.from_numpy(batch), self.device)
        found = self._net(x, self._layers, offset=self._rule.offset, scale=self._rule.scale)
        return {name: value.cpu().numpy() for name, value in zip(self._layers, found, strict=True)}


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
        self._net = fashion_classifier.load(file).to(device)
        self.layers = {"features": fashion_classifier.FEATURES}
        self.weights_sha256 = sha256_of(file)
        self.device = device

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Refuses images that are not square, or smaller than 8 pixels a side."""
        if shape is not None and (shape[0] != shape[1] or shape[0] < 8):
            raise DataError(
                f"the fashion-mnist extractor knows square pictures of clothes, these are {shape[0]}x{shape[1]}.",
                "Use --extractor inception.",
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
                "Use --extractor inception.",
            )
        with torch.inference_mode():
            return {"features": self._net.features(grey[:, None]).cpu().numpy()}


@dataclass(frozen=True)
class Kind:
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


#: name -> what makes it. Further ones may be added: `networks.features.own_kind` makes them of any network.
EXTRACTORS: dict[str, Kind] = {
    "inception": Kind(
        {name: inception.WIDTHS[name] for name in inception.LAYERS},
        "2048",
        tuple(protocols.PROTOCOLS),
        InceptionFeatures.load,
    ),
    "fashion-mnist": Kind(
        {"features": fashion_classifier.FEATURES},
        "features",
        (FashionFeatures.protocol,),
        lambda layers, weights, device, protocol_names: [FashionFeatures(weights, device)],
    ),
}
EXTRACTORS |= {name: networks.kind_of(published) for name, published in networks.PUBLISHED.items()}


def find(name: str) -> Kind:
    """The kind of extractor called `name`. ConfigError: there is none."""
    if name not in EXTRACTORS:
        raise unknown_name("extractor", name, EXTRACTORS)
    return EXTRACTORS[name]


def layer_of_width(name: str, dims: int | None) -> str:
    """The pooled layer of extractor `name` that is `dims` wide; None: its default. ConfigError: there is none."""
    kind = find(name)
    if dims is None:
        return kind.default
    # Layers that are called by their width, and the default; logits have a width too, but are no features.
    widths = {width: layer for layer, width in kind.layers.items() if layer in (str(width), kind.default)}
    if dims not in widths:
        known = ", ".join(str(width) for width in sorted(widths))
        raise ConfigError(f"the {name} network has no features of width {dims}.", f"Known: {known}.")
    return widths[dims]


def make_several(
    name: str = DEFAULT,
    layers: Sequence[str] | None = None,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    *,
    protocol: str | Sequence[str] | None = None,
) -> list[Extractor]:
    """The extractor `name` once for each protocol, ready to use; the weights are loaded once.

    Args:
        name: a key of `EXTRACTORS`.
        layers: what each shall give; the extractor's default layer alone when None.
        weights: weights file; None for the shipped, cached or downloaded one.
        device: None for CUDA where there is any, else the CPU.
        protocol: how images come to it, one name or several; the extractor's default when None.

    Raises:
        ConfigError: unknown name, layer, protocol or device, or the same protocol twice.
        WeightsError, DownloadError: weights.
    """
    kind = find(name)
    wanted = (kind.default,) if layers is None else tuple(layers)
    for layer in wanted:
        if layer not in kind.layers:
            raise unknown_name(f"layer of the {name} extractor", layer, kind.layers)
    if not wanted:
        raise ConfigError("an extractor needs at least one layer to give.", f"Known: {', '.join(kind.layers)}.")
    names = kind.protocols[:1] if protocol is None else (protocol,) if isinstance(protocol, str) else tuple(protocol)
    for one in names:
        if one not in kind.protocols:
            raise unknown_name(f"protocol of the {name} extractor", one, kind.protocols)
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"protocols must be different names, at least one, not {list(names)}.",
            f"Known: {', '.join(kind.protocols)}.",
        )
    return kind.make(wanted, weights, find_device(device), names)


def make(
    name: str = DEFAULT,
    layers: Sequence[str] | None = None,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    *,
    protocol: str | None = None,
) -> Extractor:
    """The extractor `name` by one protocol; arguments and errors as `make_several`."""
    return make_several(name, layers, weights, device, protocol=protocol)[0]


def features(
    extractors: Sequence[Extractor], source: Source, n: int, batch: int
) -> Generator[list[Features], None, None]:
    """The features of the first `n` images of `source`, `batch` images at a time, for each of `extractors`.

    Each image is decoded once, and resized once for all extractors that take the same input.

    Raises:
        DataError: an image cannot be read, or is one that an extractor cannot judge.
    """
    inputs = list(dict.fromkeys(e.input for e in extractors))
    with contextlib.closing(batches(source, n, batch, inputs)) as stream:
        for arrays in stream:
            by_input = dict(zip(inputs, arrays, strict=True))
            yield [e(by_input[e.input]) for e in extractors]
