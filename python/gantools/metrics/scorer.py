"""One call from images to a score that says how it was made."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools._native import __version__
from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError, MetricError, unknown_name
from gantools.metrics import extractors
from gantools.metrics.extractors import Extractor
from gantools.metrics.frechet import frechet_distance
from gantools.metrics.images import Source, open_source, samples_manifest
from gantools.metrics.references import (
    Reference,
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
        name: `tf` (TF1 bilinear to 299x299, then (x - 128) / 128) or `tf1-28-grey` (the same rule to 28x28, grey).
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
        rule = {
            "tf": "TF1 bilinear to 299x299, (x - 128) / 128",
            "tf1-28-grey": "TF1 bilinear to 28x28, ITU-R 601 grey",
        }.get(p.name, p.name)
        return "\n".join(
            [
                f"{self.name}: {self.value:.4f}",
                f"  samples    {self.n_samples:,} images, {self.samples}",
                f"  reference  {n_reference} images, {self.reference}",
                f"             {self.reference_id}",
                f"  protocol   {p.name}: {rule}",
                f"  features   {p.extractor} {p.layer}, {p.dims} wide, weights sha256 {p.weights_sha256[:16]}",
                f"  computed   {self.route}, rank {self.rank}, batch {self.batch}, {self.device}",
                f"  versions   {', '.join(f'{k} {v}' for k, v in self.versions.items())}",
            ]
        )


#: Called as progress(what, total), gives a callback for every k images done.
Progress = Callable[[str, int], Callable[[int], None]]


def score(
    samples: str | Path | NDArray[Any] | PreparedSet,
    *,
    metrics: Sequence[str] | None = None,
    ref: str | Path | NDArray[Any] | PreparedSet | None = None,
    extractor: str = extractors.DEFAULT,
    dims: int | None = None,
    weights: str | Path | None = None,
    batch: int = 32,
    device: str | torch.device | None = None,
    n: int | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Score:
    """Score images against a reference.

    Args:
        samples: a folder of images, a samples folder, a prepared set, a `.npy` file, or uint8 (n, h, w, c).
        metrics: `("fid",)` for the Frechet distance of Inception features, `("fd",)` for that of any extractor. None:
            the first for `inception`, the second for any other extractor.
        ref: what to score against: as `samples`, or a `.npz` of `mu` and `sigma`. None: what the samples' manifest
            names.
        extractor: `inception` or `fashion-mnist`.
        dims: width of the features: 64, 192, 768 or 2048 for Inception. None: the extractor's default.
        weights: file of the extractor's weights. None: as `gantools.metrics.weights` looks for them.
        batch: images a forward pass.
        device: None for CUDA where there is any, else the CPU.
        n: score only the first n images. None: all.
        cache: whether the reference's statistics are kept in the cache folder, and read from it.
        progress: True for a bar on stderr, or what makes a callback: progress(what, total) -> advance(k).

    Returns:
        The score with its protocol, counts, reference and warnings; warnings are also printed to stderr.

    Raises:
        DataError: images or the reference are missing, damaged, or not those the samples were trained on.
        ConfigError: an unknown metric, extractor or width.
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
    network = extractors.make(extractor, dims, weights, device)
    network.check(source.shape)
    warnings = _warnings(network, source, reference, count)
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)

    with _progress(progress) as started:
        n_reference = None if reference.source is None else len(reference.source)
        if n_reference is not None and n_reference < 2:
            raise MetricError(f"{reference.path}: a covariance needs at least 2 images, there is {n_reference}.")
        if reference.source is not None:
            network.check(reference.source.shape)
        wanted = statistics_of(
            reference, network, batch, cache=cache, started=lambda total: started("reference", total)
        )
        found = collect(network, source, count, batch, started("samples", count))
    result = frechet_distance(found, wanted)
    name, key = _names(metric, network)
    return Score(
        name=name,
        key=key,
        value=result.distance,
        mean_term=result.mean_term,
        protocol=Protocol(network.protocol, network.name, network.layer, network.dims, network.weights_sha256),
        n_samples=count,
        n_reference=wanted.n,
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


def _names(metric: str, network: Extractor) -> tuple[str, str]:
    if network.name != "inception":
        return f"Frechet distance ({network.name} features)", f"fd-{network.name}"
    plain = network.dims == extractors.DEFAULT_DIMS
    if metric == "fid":
        return ("FID", "fid") if plain else (f"FID ({network.dims} features)", f"fid-{network.dims}")
    return f"Frechet distance (inception, {network.dims} features)", f"fd-inception-{network.dims}"


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


def _warnings(network: Extractor, source: Source, reference: Reference, count: int) -> list[str]:
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
        if n < network.dims:
            found.append(
                f"{n:,} {what} for {network.dims} features: their covariance is singular, and the distance is biased "
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
