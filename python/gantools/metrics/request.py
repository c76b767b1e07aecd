"""What is asked for of images, checked before the first of them is read, and the networks that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gantools.errors import ConfigError, DataError, MetricError
from gantools.metrics import registry
from gantools.metrics.features import passes
from gantools.metrics.features.passes import Layer
from gantools.metrics.features.reference import Reference
from gantools.metrics.images.reader import ImageReader
from gantools.metrics.networks import protocols
from gantools.metrics.networks import registry as extractors
from gantools.metrics.numbers import inception_score
from gantools.metrics.options import Options, check_options
from gantools.metrics.registry import Metric

#: Width of the features of which a Frechet distance is called FID without more words.
FID_WIDTH = 2048


@dataclass(frozen=True)
class Request:
    """Which scores, by which networks, and how; `plan` loads the networks.

    Attributes:
        metrics: keys of `gantools.metrics.registry.METRICS`, for example `("fid", "kid", "psnr")`, or as one text,
            `"fid"` or `"fid,kid"`; those that take the same features share a forward pass. None: `fid`, or `fd` where
            another extractor is named.
        extractor: the network for the metrics that may take any, a key of
            `gantools.metrics.networks.registry.EXTRACTORS`; None: each metric's own.
        protocol: how images come to the Inception network: `tf` (None), `pytorch-fid`, `clean`, `torchmetrics` or
            `studiogan` (see `gantools.metrics.networks.protocols`), or several: each image is then decoded once, the
            network runs once for each.
        dims: width of the features for `fid` and `fd`: 64, 192, 768 or 2048 for Inception. None: the default.
        weights: file of the network's weights, or a file for each extractor's name. None: as
            `gantools.pretrained.weights` looks for them.
        batch: images a forward pass.
        device: None for CUDA where there is any, else the CPU.
        options: the metrics' switches.

    Raises:
        ConfigError: an unknown metric, extractor, width, protocol or switch, or metrics that take no such extractor.
    """

    metrics: str | Sequence[str] | None = None
    extractor: str | None = None
    protocol: str | Sequence[str] | None = None
    dims: int | None = None
    weights: str | Path | Mapping[str, str | Path] | None = None
    batch: int = 32
    device: str | torch.device | None = None
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, not {self.batch}.")
        check_options(self.options)
        _ = self.keys  # names every extractor, width and protocol that is needed

    @cached_property
    def chosen(self) -> tuple[Metric, ...]:
        """The metrics, each once."""
        keys = self.metrics
        if isinstance(keys, str):
            keys = [key.strip() for key in keys.split(",") if key.strip()]
        if keys is None:
            keys = ("fid",) if self.extractor in (None, extractors.DEFAULT) else ("fd",)
        if not keys:
            raise ConfigError("no metric.", f"Known: {', '.join(registry.METRICS)}.")
        return tuple(registry.find(key) for key in dict.fromkeys(keys))

    def of(self, takes: str) -> tuple[Metric, ...]:
        """Those of the metrics that take `features`, `pairs` or `images`."""
        return tuple(metric for metric in self.chosen if metric.takes == takes)

    @property
    def of_pixels(self) -> tuple[Metric, ...]:
        """Those of the metrics that are computed from pixels, in the order asked for."""
        return tuple(metric for metric in self.chosen if metric.takes != "features")

    @property
    def needs_reference(self) -> bool:
        """Whether any of the metrics compares with something."""
        return any(metric.reference != "no" for metric in self.chosen)

    @cached_property
    def layers(self) -> dict[str, list[tuple[Metric, str]]]:
        """For each extractor that is needed the metrics that take its features, with the layer that each takes."""
        found: dict[str, list[tuple[Metric, str]]] = {}
        for metric in self.of("features"):
            name = metric.extractor
            if self.extractor is not None and self.extractor != name:
                if metric.key == "fid":
                    raise ConfigError(
                        f"FID is defined with the Inception network; with {self.extractor!r} features the number is a "
                        "Frechet distance.",
                        "On the command line: --fd instead of --fid. In Python: metrics=('fd',).",
                    )
                name = self.extractor if metric.any_extractor else name
            layer = metric.layer
            if layer is None:
                layer = extractors.layer_of_width(name, self.dims if metric.key in ("fid", "fd") else None)
            found.setdefault(name, []).append((metric, layer))
        if found and self.extractor is not None and self.extractor not in found:
            extractors.find(self.extractor)
            raise ConfigError(
                f"none of {', '.join(m.key for m in self.of('features'))} takes another extractor.",
                "Leave --extractor out (in Python extractor=None), or add fd.",
            )
        return found

    def protocols_of(self, extractor: str) -> tuple[str, ...]:
        """The protocols by which images come to one of the extractors that are needed."""
        # A protocol is one of the Inception network; other extractors bring their own.
        asked = extractor == extractors.DEFAULT or len(self.layers) == 1
        return extractors.protocols_of(extractor, self.protocol if asked else None)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of the scores that will come, in their order, for example `fid`, `fid-clean`, `precision`."""
        extractor_of = {metric.key: name for name, uses in self.layers.items() for metric, _ in uses}
        layer_of = {metric.key: layer for uses in self.layers.values() for metric, layer in uses}
        found = []
        for metric in self.of("features"):
            name = extractor_of[metric.key]
            width = extractors.find(name).layers[layer_of[metric.key]]
            for protocol in self.protocols_of(name):
                found += [key_of(metric, one, name, protocol, width) for one in metric.gives or (metric.key,)]
        return (*found, *(metric.key for metric in self.of_pixels))

    def plan(self) -> Plan:
        """Loads the networks.

        Raises:
            ConfigError: an unknown protocol or device, or weights that are of no network here.
            WeightsError, DownloadError: no weights.
        """
        tasks: dict[str, list[Task]] = {}
        for name, uses in self.layers.items():
            networks = extractors.make_several(
                name,
                tuple(dict.fromkeys(layer for _, layer in uses)),
                self._weights_of(name),
                self.device,
                protocol=self.protocols_of(name),
            )
            for metric, layer in uses:
                other = name != metric.extractor
                tasks[metric.key] = [Task(metric, Layer(network, layer), other) for network in networks]
        return Plan(self, tuple(task for metric in self.of("features") for task in tasks[metric.key]))

    def _weights_of(self, name: str) -> str | Path | None:
        if isinstance(self.weights, Mapping):
            for given in self.weights:
                extractors.find(given)
            return self.weights.get(name)
        if self.weights is not None and len(self.layers) > 1:
            raise ConfigError(
                f"there are {len(self.layers)} networks, and {self.weights} is the file of one.",
                "Say of which: --weights inception=FILE (in Python weights={'inception': FILE}).",
            )
        return self.weights


def key_of(metric: Metric, key: str, extractor: str, protocol: str, width: int) -> str:
    """What a score is called in JSON: its key, and behind it all in which it differs from the metric's default.

    Args:
        metric: whose number it is.
        key: of the metric, or of one of its numbers where it gives several.
        extractor: the network.
        protocol: how images came to it.
        width: of its features.
    """
    said = [key]
    if metric.key == "fd" or extractor != metric.extractor:
        said.append(extractor)
    if extractor == extractors.DEFAULT:
        if metric.key == "fd" or (metric.key == "fid" and width != FID_WIDTH):
            said.append(str(width))
        if protocol != protocols.DEFAULT:
            said.append(protocol)
    return "-".join(said)


@dataclass(frozen=True)
class Task:
    """One metric of one network's features.

    Attributes:
        metric: what is computed.
        layer: of which features.
        other: whether the metric was asked for with this extractor, not its own.
    """

    metric: Metric
    layer: Layer
    other: bool


@dataclass(frozen=True)
class Plan:
    """All that is to be computed, with the networks that it takes.

    Attributes:
        request: what was asked for.
        tasks: the metrics of features, once for each network and protocol.
    """

    request: Request
    tasks: tuple[Task, ...]

    @property
    def options(self) -> Options:
        """The metrics' switches."""
        return self.request.options

    def layers(self, *, reference: bool) -> list[passes.LayerRequest]:
        """What is wanted of each layer of one side, the samples or the reference; each layer once."""
        keep: dict[Layer, bool] = {}
        for task in self.tasks:
            need = task.metric.reference
            if reference and need == "no":
                continue
            # The samples' own features are also what an interval leaves some of out.
            all_of_them = need == "features" if reference else True
            if not reference and need == "statistics" and not self.options.interval:
                all_of_them = task.metric.key == "fid-inf"
            keep[task.layer] = keep.get(task.layer, False) or all_of_them
        return [passes.LayerRequest(layer, kept) for layer, kept in keep.items()]

    def identity(self) -> list[dict[str, Any]]:
        """All that decides the samples' features, by layer; parts of a score belong together where it is equal."""
        return [
            {
                "extractor": layer.extractor.name,
                "protocol": layer.extractor.protocol,
                "layer": layer.layer,
                "dims": layer.dims,
                "weights_sha256": layer.extractor.weights_sha256,
            }
            for layer in (wanted.layer for wanted in self.layers(reference=False))
        ]

    def check(self, samples: ImageReader, reference: Reference | None) -> None:
        """Refuse what would only fail after the samples had been read.

        Raises:
            DataError: images that a network cannot judge.
            MetricError: a reference that does not have what a metric needs.
        """
        if reference is not None and reference.source is None:
            for metric in self.request.of("pairs"):
                raise MetricError(
                    f"{metric.key} needs the images of the reference, and {reference.path} has statistics only.",
                    "Give the targets with --ref PATH (in Python ref=...).",
                )
        for task in self.tasks:
            task.layer.extractor.check(samples.shape)
            if reference is not None and reference.source is not None and self.takes_images_of(reference):
                task.layer.extractor.check(reference.source.shape)
            if reference is not None and reference.stored is not None and task.metric.reference != "no":
                # What a file holds is known before the samples are looked at.
                entry = reference.stored.find(task.layer.extractor, task.layer.layer)
                if task.metric.reference == "features" and entry.features is None and reference.source is None:
                    raise MetricError(
                        f"{task.metric.key} needs the images of the reference, and {reference.path} has statistics "
                        "only.",
                        "Give the images with --ref (in Python ref=...), or ask for Frechet distances only.",
                    )

    def takes_images_of(self, reference: Reference) -> bool:
        """Whether any number is computed from the images of the reference, not only from statistics in its file."""
        if reference.source is None:
            return False
        if reference.stored is None or self.request.of("pairs"):
            return True
        needing = [task.layer for task in self.tasks if task.metric.reference == "features"]
        return any(reference.stored.find(layer.extractor, layer.layer).features is None for layer in needing)


def count_of(images: ImageReader, n: int | None, request: Request) -> int:
    """How many of the images are scored.

    Raises:
        DataError: fewer than `n`. MetricError: fewer than a metric needs.
    """
    count = len(images) if n is None else n
    if count > len(images):
        raise DataError(f"{images.label}: has {len(images):,} images, {count:,} were asked for.")
    check_count(images.label, count, request.chosen)
    if registry.METRICS["is"] in request.chosen:
        inception_score.check_splits(count, request.options.is_convention, request.options.is_splits)
    return count


def check_count(label: str, count: int, metrics: Sequence[Metric]) -> None:
    """MetricError: fewer images than one of `metrics` needs."""
    for metric in metrics:
        if count < metric.least:
            why = "a covariance needs" if metric.reference == "statistics" else f"{metric.key} needs"
            raise MetricError(
                f"{label}: {metric.key} of {count} image is not defined: {why} at least {metric.least} images.",
                "Give more images; of single images or pairs there are psnr, ssim, lpips, niqe.",
            )
