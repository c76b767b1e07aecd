"""The extractors by name: `EXTRACTORS` maps a name to what makes one, `make` makes it.

An extractor says which input it takes and gives any of its layers from one forward pass, so that its name, layer,
weights and protocol are all there is to know about a number made with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from gantools.device import find_device
from gantools.errors import ConfigError, unknown_name
from gantools.metrics.networks import protocols
from gantools.metrics.networks import published as networks
from gantools.metrics.networks.extractor import Extractor, ExtractorSpec
from gantools.metrics.networks.fashion import FashionFeatures
from gantools.metrics.networks.inception import InceptionFeatures
from gantools.pretrained import fashion as fashion_classifier
from gantools.pretrained import inception

#: Default extractor.
DEFAULT = "inception"


#: name -> what makes it. Further ones may be added: `networks.published.own_kind` makes them of any network.
EXTRACTORS: dict[str, ExtractorSpec] = {
    "inception": ExtractorSpec(
        {name: inception.WIDTHS[name] for name in inception.LAYERS},
        "2048",
        tuple(protocols.PROTOCOLS),
        InceptionFeatures.load,
    ),
    "fashion-mnist": ExtractorSpec(
        {"features": fashion_classifier.FEATURES},
        "features",
        (FashionFeatures.protocol,),
        lambda layers, weights, device, protocol_names: [FashionFeatures(weights, device)],
    ),
}
EXTRACTORS |= {name: networks.kind_of(published) for name, published in networks.PUBLISHED.items()}


def find(name: str) -> ExtractorSpec:
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


def protocols_of(name: str, protocol: str | Sequence[str] | None) -> tuple[str, ...]:
    """The protocols by which images come to extractor `name`: those named, its default for None.

    Raises:
        ConfigError: an unknown extractor or protocol, the same protocol twice, or none.
    """
    kind = find(name)
    names = kind.protocols[:1] if protocol is None else (protocol,) if isinstance(protocol, str) else tuple(protocol)
    for one in names:
        if one not in kind.protocols:
            raise unknown_name(f"protocol of the {name} extractor", one, kind.protocols)
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"protocols must be different names, at least one, not {list(names)}.",
            f"Known: {', '.join(kind.protocols)}.",
        )
    return names


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
    return kind.make(wanted, weights, find_device(device), protocols_of(name, protocol))


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
