"""What samples are scored against, and the cache of its statistics and features.

A reference is images from anywhere (`gantools.metrics.images.open`) or a file of statistics of any kind that
`gantools.metrics.features.files` names. What was computed from images is cached under a key made of all that decides
it: the images' content, the extractor, its layer and weights, and the protocol. A changed image is another key, never a
stale number. Features of single images are cached up to `FEATURES_CACHE_BYTES`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gantools.cache import cache_folder
from gantools.data.prepared import PreparedSet
from gantools.errors import DataError, MetricError
from gantools.metrics.features import passes
from gantools.metrics.features.files import FORMAT as FORMAT
from gantools.metrics.features.files import FORMAT_VERSION as FORMAT_VERSION
from gantools.metrics.features.files import (
    Entry,
    StatisticsFile,
    is_statistics,
    open_npz,
    read_statistics,
    save_arrays,
    target_file,
    write_statistics,
)
from gantools.metrics.features.passes import Layer as Layer
from gantools.metrics.images.memory import Values
from gantools.metrics.images.open import ImageReader, Images, Prepared, open_source
from gantools.metrics.images.reader import Slice
from gantools.metrics.images.stored import open_stored
from gantools.metrics.networks import registry as extractors_module
from gantools.metrics.numbers.frechet import FeatureSums, Statistics

#: Features of one layer that take more bytes than this are not cached: 131,072 images of 2048 features are 1 GiB.
FEATURES_CACHE_BYTES = 1 << 30

#: Part of every cache key: raised whenever the same images would give other statistics, or another digest.
CACHE_VERSION = 3


@dataclass(frozen=True)
class Reference:
    """A reference that has been opened and checked; its statistics are still to be computed or read.

    Attributes:
        id: what it is, for reports: `set:NAME@FINGERPRINT`, `images:DIGEST`, `file:SHA256`, or `live:LABEL` of images
            that a program gives and that nothing is cached of.
        path: where it lies.
        source: its images; of a file of statistics those it holds as well, or None.
        stored: such a file, else None.
    """

    id: str
    path: str
    source: ImageReader | None
    stored: StatisticsFile | None


def open_reference(
    ref: Images,
    n: int | None = None,
    seed: int = 0,
    *,
    values: Values | None = None,
    device: str | None = None,
) -> Reference:
    """The reference that a file of statistics, or whatever `open_source` takes, stands for.

    Args:
        ref: a `.npz` or `.pkl` of statistics, or images.
        n: take the first n images. A file of statistics is taken as it is.
        seed, values, device: as for `open_source`.

    Raises:
        DataError: no such place, no images in it, fewer than `n`, or a damaged file.
    """
    if isinstance(ref, str | Path) and is_statistics(Path(ref)):
        path = Path(ref)
        stored = read_statistics(path)
        return Reference(f"file:{stored.sha256}", str(path), open_stored(path) if stored.images else None, stored)
    source = open_source(ref, n, seed, values=values, device=device)
    if n is not None and n < len(source):
        source = Slice(source, 0, n)
    elif isinstance(source, Prepared):
        return Reference(f"set:{source.set.name}@{source.set.fingerprint}", source.label, source, None)
    if not source.lasting:
        return Reference(f"live:{source.label}", source.label, source, None)
    return Reference(f"images:{source.digest(len(source))}", source.label, source, None)


class Made(Protocol):
    """Images that may say what their maker was trained on."""

    @property
    def label(self) -> str:
        """What to call them."""

    @property
    def trained_on(self) -> dict[str, Any] | None:
        """As `ImageReader.trained_on`."""


def default_reference(samples: Made) -> Reference:
    """What the generator that made `samples` was trained on: of a samples folder, a run or a `Generator`.

    Raises:
        DataError: nothing says it, the set is gone, or it is no longer the same images.
    """
    if samples.trained_on is None:
        raise DataError(
            f"{samples.label}: nothing says what these images are to be scored against.",
            "Give a prepared set, a folder of images or a file of statistics with --ref PATH (in Python ref=...).",
        )
    return reference_of_samples({"data": samples.trained_on}, Path(samples.label))


def reference_of_samples(manifest: dict[str, Any], samples: Path) -> Reference:
    """The prepared set that the manifest of a samples folder names: what the generator was trained on.

    Raises:
        DataError: it names none, the set is gone, or it is no longer the same images.
    """
    give = "Say what to score against with --ref PATH (in Python ref=...)."
    data = manifest.get("data")
    if not isinstance(data, dict) or not data.get("path"):
        raise DataError(f"{samples}: its manifest names no training data.", give)
    path = Path(data["path"])
    if not path.exists():
        raise DataError(f"{path}: the prepared set that {samples} was trained on is not there.", give)
    reference = open_reference(PreparedSet(path))
    found = PreparedSet(path).fingerprint
    if found != data.get("fingerprint"):
        raise DataError(
            f"{path}: not the images that {samples} was trained on (fingerprint {found}, the samples' manifest says "
            f"{data.get('fingerprint')}).",
            f"The set was prepared again in another way. Score against it all the same with --ref {path} (in Python "
            "ref=...).",
        )
    return reference


def collect(
    wanted: Sequence[Layer],
    kept: Sequence[Layer],
    source: ImageReader,
    n: int,
    batch: int,
    advance: Callable[[int], None] | None = None,
) -> tuple[list[Statistics], list[NDArray[np.float32]]]:
    """Of the first `n` images of `source` the statistics of `wanted` and the features of `kept`, from one pass.

    Args:
        wanted: of which features the mean and covariance are wanted.
        kept: of which the features themselves are.
        source: the images.
        n: how many of them.
        batch: images at a time.
        advance: called with k after every k images.

    Returns:
        A `Statistics` for each of `wanted`, float32 (n, dims) for each of `kept`.

    Raises:
        DataError: an image cannot be read. MetricError: fewer than 2 images, or features that are not finite.
    """
    layers = list(dict.fromkeys((*wanted, *kept)))
    requests = [passes.LayerRequest(w, w in kept) for w in layers]
    taken = dict(zip(layers, passes.run(requests, source, (0, n), batch, advance), strict=True))
    arrays = [array for w in kept if (array := taken[w].features) is not None]
    return [taken[w].statistics() for w in wanted], arrays


def statistics_of(
    reference: Reference,
    wanted: Sequence[Layer],
    batch: int,
    *,
    cache: bool = True,
    started: Callable[[int], Callable[[int], None]] | None = None,
) -> list[Statistics]:
    """The reference's statistics for each of `wanted`; arguments and errors as `fetch`."""
    return fetch(reference, wanted, (), batch, cache=cache, started=started)[0]


def features_of(
    reference: Reference,
    wanted: Sequence[Layer],
    batch: int,
    *,
    needed_by: str = "this metric",
    cache: bool = True,
    started: Callable[[int], Callable[[int], None]] | None = None,
) -> list[NDArray[np.float32]]:
    """The reference's features float32 (n, dims) for each of `wanted`; arguments and errors as `fetch`."""
    return fetch(reference, (), wanted, batch, needed_by=needed_by, cache=cache, started=started)[1]


def fetch(
    reference: Reference,
    statistics: Sequence[Layer],
    kept: Sequence[Layer],
    batch: int,
    *,
    needed_by: str = "this metric",
    cache: bool = True,
    cache_features: int = FEATURES_CACHE_BYTES,
    started: Callable[[int], Callable[[int], None]] | None = None,
) -> tuple[list[Statistics], list[NDArray[np.float32]]]:
    """Statistics and features of a reference: as stored in its file, from the cache, or computed and then cached.

    What neither file nor cache has is computed in one pass over the images, for all that is wanted. Features that are
    cached also serve the statistics of the same layer.

    Args:
        reference: from `open_reference`.
        statistics: of which features the mean and covariance are wanted.
        kept: of which the features themselves are.
        batch: images at a time.
        needed_by: what the features are for, for the error where a file of statistics has none.
        cache: whether to read and write the cache.
        cache_features: features of a layer that take more bytes are not written to it.
        started: called with the number of images when they must be computed; gives what is called as they are done.

    Returns:
        A `Statistics` for each of `statistics`, float32 (n, dims) for each of `kept`.

    Raises:
        MetricError: a file holds other statistics than these, or none of single images.
        DataError: an image cannot be read.
    """
    if reference.stored is not None:
        return _stored(reference, reference.stored, statistics, kept, batch, needed_by, started)
    source = reference.source
    assert source is not None
    cache = cache and source.lasting
    n = len(source)
    whole: list[NDArray[np.float32] | None] = [_cached_features(reference, w, n) if cache else None for w in kept]
    found: list[Statistics | None] = [_cached_statistics(reference, w, n) if cache else None for w in statistics]
    for i, w in enumerate(statistics):
        for k, array in zip(kept, whole, strict=True):
            if found[i] is None and array is not None and k == w:
                found[i] = FeatureSums.of(array).statistics()
    missing = [i for i, entry in enumerate(found) if entry is None]
    lacking = [i for i, array in enumerate(whole) if array is None]
    if missing or lacking:
        advance = None if started is None else started(n)
        asked, keep = [statistics[i] for i in missing], [kept[i] for i in lacking]
        made, arrays = collect(asked, keep, source, n, batch, advance)
        for i, one in zip(missing, made, strict=True):
            found[i] = one
            if cache:
                # A full disk or a read-only home must not cost the score.
                with contextlib.suppress(OSError):
                    write_statistics(
                        _cache_file(reference, statistics[i]), [entry_of(statistics[i], one)], None, reference.id
                    )
        for i, array in zip(lacking, arrays, strict=True):
            whole[i] = array
            if cache and array.nbytes <= cache_features:
                with contextlib.suppress(OSError):
                    save_arrays(_cache_file(reference, kept[i], "features"), {"features": array})
    return [entry for entry in found if entry is not None], [array for array in whole if array is not None]


def _cache_file(reference: Reference, wanted: Layer, folder: str = "statistics") -> Path:
    return cache_folder() / folder / f"{cache_key(reference, wanted)}.npz"


def _cached_statistics(reference: Reference, wanted: Layer, n: int) -> Statistics | None:
    file = _cache_file(reference, wanted)
    # Whatever is wrong with a cache entry, the images are still there.
    with contextlib.suppress(DataError, MetricError):
        if file.is_file():
            entry = read_statistics(file).entries[0]
            if entry.n == n and entry.dims == wanted.dims:
                return entry.statistics
    return None


def _cached_features(reference: Reference, wanted: Layer, n: int) -> NDArray[np.float32] | None:
    file = _cache_file(reference, wanted, "features")
    # A zip has a checksum, so what is read is what was written.
    with contextlib.suppress(Exception):
        if file.is_file():
            with open_npz(file) as z:
                array: NDArray[np.float32] = z["features"]
            if array.shape == (n, wanted.dims) and array.dtype == np.float32 and np.isfinite(array).all():
                return array
    return None


def _stored(
    reference: Reference,
    file: StatisticsFile,
    statistics: Sequence[Layer],
    kept: Sequence[Layer],
    batch: int,
    needed_by: str,
    started: Callable[[int], Callable[[int], None]] | None,
) -> tuple[list[Statistics], list[NDArray[np.float32]]]:
    every = [*statistics, *kept]
    protocols = {(w.extractor.name, w.extractor.protocol) for w in every}
    if len(protocols) > 1 and any(file.find(w.extractor, w.layer).protocol is None for w in every):
        raise MetricError(
            f"{reference.path}: a file that does not say how it was made stands for one protocol and layer, "
            f"{len(every)} were asked for.",
            "Ask for the one that the file was made with, or give the images.",
        )
    found = [file.statistics(w.extractor, w.layer) for w in statistics]
    if kept and reference.source is not None and all(file.find(w.extractor, w.layer).features is None for w in kept):
        # ADM's files have images beside the statistics, for precision and recall.
        n = len(reference.source)
        advance = None if started is None else started(n)
        return found, collect((), kept, reference.source, n, batch, advance)[1]
    return found, [file.features(w.extractor, w.layer, needed_by) for w in kept]


def entry_of(layer: Layer, statistics: Statistics) -> Entry:
    """The entry of a file for the statistics of a layer."""
    e = layer.extractor
    return Entry(layer.dims, statistics.n, e.name, layer.layer, e.protocol, e.weights_sha256, statistics)


def describe(reference: Reference, wanted: Layer) -> dict[str, Any]:
    """All that decides the statistics."""
    return {
        "format": FORMAT,
        "version": CACHE_VERSION,
        "reference": reference.id,
        "extractor": wanted.extractor.name,
        "layer": wanted.layer,
        "dims": wanted.dims,
        "weights_sha256": wanted.extractor.weights_sha256,
        "protocol": wanted.extractor.protocol,
    }


def cache_key(reference: Reference, wanted: Layer) -> str:
    """The sha256 of `describe`, by which statistics are cached."""
    return hashlib.sha256(json.dumps(describe(reference, wanted), sort_keys=True).encode()).hexdigest()


def make_statistics(
    images: Images,
    out: str | Path,
    *,
    protocol: str | Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    extractor: str = extractors_module.DEFAULT,
    weights: str | Path | None = None,
    features: bool = False,
    n: int | None = None,
    seed: int = 0,
    values: Values | None = None,
    batch: int = 32,
    device: str | None = None,
    overwrite: bool = False,
    started: Callable[[int], Callable[[int], None]] | None = None,
) -> StatisticsFile:
    """Compute the statistics of images and write them to a file that can be given as a reference.

    Args:
        images: whatever `open_source` takes.
        out: the `.npz` to write.
        protocol: one name or several; None: the extractor's default.
        layers: of the extractor; None: its default. Every layer is written by every protocol.
        extractor: name of the network.
        weights: file of its weights; None: as `gantools.pretrained.weights` looks for them.
        features: also write the features of the single images, float32, which KID and precision and recall need.
        n: take the first n images. None: all.
        seed, values: as for `open_source`.
        batch: images at a time.
        device: None for CUDA where there is any, else the CPU.
        overwrite: replace `out` where it exists.
        started: called with the number of images; gives what is called as they are done.

    Returns:
        The file as read back.

    Raises:
        DataError: images cannot be read, or `out` exists. ConfigError: an unknown name.
        MetricError: fewer than 2 images.
    """
    target = target_file(out, overwrite)
    reference = open_reference(images, n, seed, values=values, device=device)
    if reference.source is None or reference.stored is not None:
        raise DataError(
            f"{reference.path}: a file of statistics already, there are no images to make them from.",
            "Change its form with: gantools ref convert",
        )
    count = len(reference.source)
    if count < 2:
        raise MetricError(f"{reference.path}: a covariance needs at least 2 images, there is {count}.")
    networks = extractors_module.make_several(extractor, layers, weights, device, protocol=protocol)
    wanted = [Layer(network, layer) for network in networks for layer in network.layers]
    # The layer that other tools look for comes first.
    wanted.sort(key=lambda w: w.layer != extractors_module.find(extractor).default)
    networks[0].check(reference.source.shape)
    found, arrays = fetch(reference, wanted, wanted if features else (), batch, started=started)
    entries = [entry_of(layer, statistics) for layer, statistics in zip(wanted, found, strict=True)]
    write_statistics(target, entries, arrays or None, reference.id)
    return read_statistics(target)
