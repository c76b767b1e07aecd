"""One call from images to a score that says how it was made."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from gantools._native import __version__
from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError, MetricError, unknown_name
from gantools.metrics import extractors, inception, protocols
from gantools.metrics.frechet import frechet_distance
from gantools.metrics.images import Source, open_source, samples_manifest
from gantools.metrics.references import (
    Reference,
    Wanted,
    collect,
    open_reference,
    reference_of_samples,
    statistics_of,
)
from gantools.progress import Progress as ProgressBar

#: Version of the JSON that `Score.to_json` writes; fields are only ever added within a version.
JSON_VERSION = 1
#: `fid` is the Frechet distance of Inception features, `fd` that of any extractor.
METRICS = ("fid", "fd")
#: Below these counts a Frechet distance is dominated by its bias, or still noticeably biased.
FEW, SOME = 2048, 10_000


@dataclass(frozen=True)
class Protocol:
    """How images became features: two numbers compare only where all of this is equal.

    Attributes:
        name: one of `gantools.metrics.protocols.PROTOCOLS`, for example `tf` (TF1 bilinear to 299x299, then
            (x - 128) / 128), or that of another extractor, for example `tf1-28-grey` (the same rule to 28x28, grey).
        extractor: name of the network.
        layer: where its features are taken.
        dims: their width.
        weights_sha256: hash of its weights file.
    """

    name: str
    extractor: str
    layer: str
    dims: int
    weights_sha256: str


@dataclass(frozen=True)
class Score:
    """A score and where it came from.

    Attributes:
        name: what it is called in a sentence, for example `FID` or `FID (768 features)`.
        key: what it is called in JSON, for example `fid`, `fid-768`, `fd-fashion-mnist`.
        value: the number; smaller is better.
        mean_term: the share of it that is due to the means alone.
        protocol: how images became features.
        n_samples: images scored.
        n_reference: images of the reference, or None where its file does not say.
        samples: where they lie.
        reference: where the reference lies.
        reference_id: what it is: `set:NAME@FINGERPRINT`, `images:DIGEST` or `file:SHA256`.
        route: how the trace of the matrix square root was computed.
        rank: numerical rank of the product of the two covariances.
        batch: images a forward pass (features move in the last digits with it).
        device: where the network ran.
        versions: of gantools, torch, numpy and Python.
        warnings: what a reader of the number must know.
    """

    name: str
    key: str
    value: float
    mean_term: float
    protocol: Protocol
    n_samples: int
    n_reference: int | None
    samples: str
    reference: str
    reference_id: str
    route: str
    rank: int
    batch: int
    device: str
    versions: dict[str, str]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, with `format` and `version` of this layout first."""
        return {"format": "gantools-score", "version": JSON_VERSION, **asdict(self), "warnings": list(self.warnings)}

    def to_json(self) -> str:
        """`to_dict` as one JSON object; numbers at full precision."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        """The number and, under it, how it was made."""
        p = self.protocol
        n_reference = "an unstated number of" if self.n_reference is None else f"{self.n_reference:,}"
        rules = {"tf1-28-grey": "TF1 bilinear to 28x28, ITU-R 601 grey"}
        rules |= {rule.name: rule.words for rule in protocols.PROTOCOLS.values()}
        return "\n".join(
            [
                f"{self.name}: {self.value:.4f}",
                f"  samples    {self.n_samples:,} images, {self.samples}",
                f"  reference  {n_reference} images, {self.reference}",
                f"             {self.reference_id}",
                f"  protocol   {p.name}: {rules.get(p.name, p.name)}",
                f"  features   {p.extractor} {p.layer}, {p.dims} wide, weights sha256 {p.weights_sha256[:16]}",
                f"  computed   {self.route}, rank {self.rank}, batch {self.batch}, {self.device}",
                f"  versions   {', '.join(f'{k} {v}' for k, v in self.versions.items())}",
            ]
        )


#: Called as progress(what, total), gives a callback for every k images done.
Progress = Callable[[str, int], Callable[[int], None]]


@overload
def score(
    samples: str | Path | NDArray[Any] | PreparedSet,
    *,
    metrics: Sequence[str] | None = None,
    ref: str | Path | NDArray[Any] | PreparedSet | None = None,
    protocol: str | None = None,
    extractor: str = extractors.DEFAULT,
    dims: int | None = None,
    weights: str | Path | None = None,
    batch: int = 32,
    device: str | torch.device | None = None,
    n: int | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Score: ...
@overload
def score(
    samples: str | Path | NDArray[Any] | PreparedSet,
    *,
    metrics: Sequence[str] | None = None,
    ref: str | Path | NDArray[Any] | PreparedSet | None = None,
    protocol: list[str] | tuple[str, ...],
    extractor: str = extractors.DEFAULT,
    dims: int | None = None,
    weights: str | Path | None = None,
    batch: int = 32,
    device: str | torch.device | None = None,
    n: int | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> list[Score]: ...
def score(
    samples: str | Path | NDArray[Any] | PreparedSet,
    *,
    metrics: Sequence[str] | None = None,
    ref: str | Path | NDArray[Any] | PreparedSet | None = None,
    protocol: str | list[str] | tuple[str, ...] | None = None,
    extractor: str = extractors.DEFAULT,
    dims: int | None = None,
    weights: str | Path | None = None,
    batch: int = 32,
    device: str | torch.device | None = None,
    n: int | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Score | list[Score]:
    """Score images against a reference.

    Args:
        samples: a folder of images, a samples folder, a prepared set, a `.npy` file, or uint8 (n, h, w, c).
        metrics: `("fid",)` for the Frechet distance of Inception features, `("fd",)` for that of any extractor. None:
            the first for `inception`, the second for any other extractor.
        ref: what to score against: as `samples`, or a `.npz` of `mu` and `sigma`. None: what the samples' manifest
            names.
        protocol: how images come to the network: `tf`, `pytorch-fid`, `clean`, `torchmetrics` or `studiogan` (see
            `gantools.metrics.protocols`), or several of them: each image is then decoded once, the network runs once
            for each. None: `tf`, or the other extractor's own.
        extractor: `inception` or `fashion-mnist`.
        dims: width of the features: 64, 192, 768 or 2048 for Inception. None: the extractor's default.
        weights: file of the extractor's weights. None: as `gantools.metrics.weights` looks for them.
        batch: images a forward pass.
        device: None for CUDA where there is any, else the CPU.
        n: score only the first n images. None: all.
        cache: whether the reference's statistics are kept in the cache folder, and read from it.
        progress: True for a bar on stderr, or what makes a callback: progress(what, total) -> advance(k).

    Returns:
        The score with its protocol, counts, reference and warnings; warnings are also printed to stderr. Where several
        protocols were given, a score for each, in their order.

    Raises:
        DataError: images or the reference are missing, damaged, or not those the samples were trained on.
        ConfigError: an unknown metric, extractor, width or protocol.
        WeightsError, DownloadError: no weights.
        MetricError: fewer than 2 images, or statistics that do not fit.
    """
    metric = _metric(metrics, extractor)
    if batch < 1:
        raise ConfigError(f"batch must be at least 1, not {batch}.")
    # Everything that can be wrong is looked at before the slow part, the reference first.
    source = open_source(samples)
    count = _count(source, n)
    reference = _reference(samples, ref)
    layer = extractors.layer_of_width(extractor, dims)
    networks = extractors.make_several(extractor, (layer,), weights, device, protocol=protocol)
    wanted = [Wanted(network, layer) for network in networks]
    networks[0].check(source.shape)
    warnings = _warnings(wanted[0], source, reference, count)
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)

    with _progress(progress) as started:
        n_reference = None if reference.source is None else len(reference.source)
        if n_reference is not None and n_reference < 2:
            raise MetricError(f"{reference.path}: a covariance needs at least 2 images, there is {n_reference}.")
        if reference.source is not None:
            networks[0].check(reference.source.shape)
        theirs = statistics_of(reference, wanted, batch, cache=cache, started=lambda total: started("reference", total))
        ours = collect(wanted, source, count, batch, started("samples", count))
    scores = []
    for w, a, b in zip(wanted, ours, theirs, strict=True):
        result = frechet_distance(a, b)
        network = w.extractor
        name, key = _names(metric, w)
        scores.append(
            Score(
                name=name,
                key=key,
                value=result.distance,
                mean_term=result.mean_term,
                protocol=Protocol(network.protocol, network.name, _place(w), w.dims, network.weights_sha256),
                n_samples=count,
                n_reference=b.n,
                samples=source.label,
                reference=reference.path,
                reference_id=reference.id,
                route=result.route,
                rank=result.rank,
                batch=batch,
                device=str(network.device),
                versions={
                    "gantools": __version__,
                    "torch": torch.__version__,
                    "numpy": np.__version__,
                    "python": platform.python_version(),
                },
                warnings=tuple(warnings),
            )
        )
    return scores[0] if protocol is None or isinstance(protocol, str) else scores


def _metric(metrics: Sequence[str] | None, extractor: str) -> str:
    if metrics is None:
        return "fid" if extractor == "inception" else "fd"
    for metric in metrics:
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
    if len(metrics) != 1:
        raise ConfigError(f"one metric at a time, not {len(metrics)}.", f"Known: {', '.join(METRICS)}.")
    if metrics[0] == "fid" and extractor != "inception":
        raise ConfigError(
            f"FID is defined with the Inception network; with {extractor!r} features the number is a Frechet distance.",
            "On the command line: --fd instead of --fid. In Python: metrics=('fd',).",
        )
    return metrics[0]


def _names(metric: str, wanted: Wanted) -> tuple[str, str]:
    network, width = wanted.extractor, wanted.dims
    if network.name != "inception":
        return f"Frechet distance ({network.name} features)", f"fd-{network.name}"
    # A plain name means the default of everything; what differs from it is said.
    said = [] if metric == "fid" and width == 2048 else [str(width)]
    words = [f"{width} features" for _ in said]
    if network.protocol != protocols.DEFAULT:
        said.append(network.protocol)
        words.append(network.protocol)
    if metric == "fid":
        return f"FID ({', '.join(words)})" if words else "FID", "-".join(["fid", *said])
    return f"Frechet distance ({', '.join(['inception', *words])})", "-".join(["fd", "inception", *said])


def _place(wanted: Wanted) -> str:
    """Where in the network the features are taken."""
    places: dict[Any, str] = inception.PLACES if wanted.extractor.name == "inception" else {}
    return places.get(wanted.layer, wanted.layer)


def _count(source: Source, n: int | None) -> int:
    count = len(source) if n is None else n
    if count > len(source):
        raise DataError(f"{source.label}: has {len(source):,} images, {count:,} were asked for.")
    if count < 2:
        raise MetricError(
            f"{source.label}: a covariance needs at least 2 images, there is {count}.",
            "Make more, for example: gantools sample -n 10000",
        )
    return count


def _reference(samples: Any, ref: Any) -> Reference:
    if ref is not None:
        return open_reference(ref)
    manifest = None
    if isinstance(samples, (str, Path)) and Path(samples).is_dir():
        manifest = samples_manifest(Path(samples))
    if manifest is None:
        raise DataError(
            "there is nothing to score against: the images are no folder made by `gantools sample`, which would say.",
            "Give a prepared set, a folder of images or a .npz of statistics with: --ref PATH",
        )
    return reference_of_samples(manifest, Path(samples))


def _warnings(wanted: Wanted, source: Source, reference: Reference, count: int) -> list[str]:
    found = []
    n_reference = len(reference.source) if reference.source is not None else None
    if reference.stored is not None:
        n_reference = reference.stored.n
        found.append(
            f"{reference.path} does not say with which weights and protocol it was made; the number is only right if "
            f"they are those below."
        )
    for what, n in (("samples", count), ("reference images", n_reference)):
        if n is None:
            continue
        if n < wanted.dims:
            found.append(
                f"{n:,} {what} for {wanted.dims} features: their covariance is singular, and the distance is biased "
                "upwards. It is exact for these images, but compare it only with others of the same n."
            )
        elif n < FEW:
            found.append(f"only {n:,} {what}: the distance is biased upwards; compare it only with the same n.")
        elif n < SOME:
            found.append(f"{n:,} {what}, fewer than the usual {SOME:,}: compare the number only with the same n.")
    a, b = source.shape, None if reference.source is None else reference.source.shape
    if a is not None and b is not None and a[:2] != b[:2]:
        found.append(
            f"samples are {a[0]}x{a[1]}, the reference {b[0]}x{b[1]}: the two are resized by different factors, which "
            "is part of the distance."
        )
    return found


@contextmanager
def _progress(progress: bool | Progress) -> Iterator[Progress]:
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield lambda what, total: lambda k: None
        return
    with ExitStack() as bars:

        def started(what: str, total: int) -> Callable[[int], None]:
            bars.close()  # one bar at a time
            bar = bars.enter_context(ProgressBar(what, total))
            return bar.advance

        yield started
