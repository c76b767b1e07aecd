"""What samples are scored against, and the cache of its statistics.

A reference is a prepared set, a folder or array of images, or a `.npz` file with `mu` and `sigma` as pytorch-fid and
TTUR write them. Statistics that were computed from images are cached under a key made of all that decides them: the
images' content, the extractor, its layer and weights, and the protocol. A changed image is another key, never a stale
number.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.cache import cache_folder
from gantools.data.prepared import PreparedSet
from gantools.errors import DataError, MetricError
from gantools.metrics.extractors import Extractor, features
from gantools.metrics.frechet import Collector, Statistics
from gantools.metrics.images import Prepared, Source, open_source

FORMAT = "gantools-statistics"
#: Part of every key: raised whenever the same images would give other statistics.
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Reference:
    """A reference that has been opened and checked; its statistics are still to be computed or read.

    Attributes:
        id: what it is, for reports: `set:NAME@FINGERPRINT`, `images:DIGEST` or `file:SHA256`.
        path: where it lies.
        source: its images, or None when it is a file of statistics.
        stored: the statistics of such a file, else None.
    """

    id: str
    path: str
    source: Source | None
    stored: Statistics | None


def open_reference(ref: str | Path | NDArray[Any] | PreparedSet) -> Reference:
    """The reference that a path, an array or a prepared set stands for.

    Raises:
        DataError: no such place, no images in it, or a damaged file.
    """
    if isinstance(ref, (str, Path)) and Path(ref).suffix.lower() == ".npz":
        path = Path(ref)
        stored = load_statistics(path)
        return Reference(f"file:{_file_hash(path)}", str(path), None, stored)
    source = open_source(ref)
    if isinstance(source, Prepared):
        return Reference(f"set:{source.set.name}@{source.set.fingerprint}", source.label, source, None)
    return Reference(f"images:{source.digest(len(source))}", source.label, source, None)


def reference_of_samples(manifest: dict[str, Any], samples: Path) -> Reference:
    """The prepared set that the manifest of a samples folder names: what the generator was trained on.

    Raises:
        DataError: it names none, the set is gone, or it is no longer the same images.
    """
    give = "Say what to score against with: --ref PATH"
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
            f"The set was prepared again in another way. Score against it all the same with: --ref {path}",
        )
    return reference


@dataclass(frozen=True)
class Wanted:
    """Features to take statistics of: one layer of an extractor.

    Attributes:
        extractor: what computes them; with its protocol and weights.
        layer: one of `extractor.layers`.
    """

    extractor: Extractor
    layer: str

    def __post_init__(self) -> None:
        if self.layer not in self.extractor.layers:
            raise ValueError(f"the extractor gives {', '.join(self.extractor.layers)}, not {self.layer}")

    @property
    def dims(self) -> int:
        """Width of the features."""
        return self.extractor.layers[self.layer]


def collect(
    wanted: Sequence[Wanted],
    source: Source,
    n: int,
    batch: int,
    advance: Callable[[int], None] | None = None,
) -> list[Statistics]:
    """The statistics of the first `n` images of `source`, for each of `wanted`, from one pass over the images.

    `advance(k)` is called after every k images.

    Raises:
        DataError: an image cannot be read. MetricError: fewer than 2 images, or features that are not finite.
    """
    networks = list({id(w.extractor): w.extractor for w in wanted}.values())
    place = {id(e): i for i, e in enumerate(networks)}
    collectors = [Collector(w.dims) for w in wanted]
    with contextlib.closing(features(networks, source, n, batch)) as stream:
        for found in stream:
            for w, collector in zip(wanted, collectors, strict=True):
                collector.add(found[place[id(w.extractor)]][w.layer])
            if advance is not None:
                advance(len(next(iter(found[0].values()))))
    return [collector.statistics() for collector in collectors]


def statistics_of(
    reference: Reference,
    wanted: Sequence[Wanted],
    batch: int,
    *,
    cache: bool = True,
    started: Callable[[int], Callable[[int], None]] | None = None,
) -> list[Statistics]:
    """The reference's statistics for each of `wanted`: as stored, from the cache, or computed and then cached.

    What the cache does not have is computed in one pass over the images.

    Args:
        reference: from `open_reference`.
        wanted: which features.
        batch: images at a time.
        cache: whether to read and write the cache.
        started: called with the number of images when they must be computed; gives what is called as they are done.

    Raises:
        MetricError: stored statistics of another width, or asked for as more than one kind of features.
        DataError: an image cannot be read.
    """
    if reference.stored is not None:
        return _stored(reference, reference.stored, wanted)
    source = reference.source
    assert source is not None
    found: list[Statistics | None] = [None] * len(wanted)
    files = [cache_folder() / "statistics" / f"{cache_key(reference, w)}.npz" for w in wanted]
    if cache:
        for i, (w, file) in enumerate(zip(wanted, files, strict=True)):
            # Whatever is wrong with a cache entry, the images are still there.
            with contextlib.suppress(DataError, MetricError):
                if file.is_file():
                    entry = load_statistics(file)
                    if entry.n == len(source) and entry.dims == w.dims:
                        found[i] = entry
    missing = [i for i, entry in enumerate(found) if entry is None]
    if missing:
        advance = None if started is None else started(len(source))
        computed = collect([wanted[i] for i in missing], source, len(source), batch, advance)
        for i, statistics in zip(missing, computed, strict=True):
            found[i] = statistics
            if cache:
                # A full disk or a read-only home must not cost the score.
                with contextlib.suppress(OSError):
                    save_statistics(files[i], statistics, describe(reference, wanted[i]))
    return [entry for entry in found if entry is not None]


def _stored(reference: Reference, stored: Statistics, wanted: Sequence[Wanted]) -> list[Statistics]:
    if len(wanted) != 1:
        raise MetricError(
            f"{reference.path}: a file of statistics stands for one protocol and layer, {len(wanted)} were asked for.",
            "Ask for the one that the file was made with, or give the images.",
        )
    if stored.dims != wanted[0].dims:
        raise MetricError(
            f"{reference.path}: statistics of width {stored.dims}, the {wanted[0].extractor.name} features have "
            f"{wanted[0].dims}.",
            "Choose the extractor and --dims that the file was made with.",
        )
    return [stored]


def describe(reference: Reference, wanted: Wanted) -> dict[str, Any]:
    """All that decides the statistics."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "reference": reference.id,
        "extractor": wanted.extractor.name,
        "layer": wanted.layer,
        "dims": wanted.dims,
        "weights_sha256": wanted.extractor.weights_sha256,
        "protocol": wanted.extractor.protocol,
    }


def cache_key(reference: Reference, wanted: Wanted) -> str:
    """The sha256 of `describe`, by which statistics are cached."""
    return hashlib.sha256(json.dumps(describe(reference, wanted), sort_keys=True).encode()).hexdigest()


def save_statistics(file: Path, statistics: Statistics, note: dict[str, Any]) -> None:
    """Write `.npz`: `mu` and `sigma` as pytorch-fid reads them, `n`, `features` where they are few, `note` as JSON.

    Written under a temporary name and renamed, so a reader never sees half a file. OSError: it cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "mu": statistics.mean,
        "sigma": statistics.covariance,
        "n": np.array(-1 if statistics.n is None else statistics.n),
        "note": np.array(json.dumps(note, sort_keys=True)),
    }
    if statistics.features is not None:
        arrays["features"] = statistics.features
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as f:
            np.savez(f, **arrays)  # type: ignore[arg-type]
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def load_statistics(file: Path) -> Statistics:
    """Read `.npz` with `mu` (d,) and `sigma` (d, d): of `save_statistics`, pytorch-fid or TTUR. No pickled code is run.

    Raises:
        DataError: missing, damaged, or without these arrays.
    """
    hint = "Give a .npz with mu (d,) and sigma (d, d), or the images themselves."
    try:
        with _npz(file) as z:
            missing = [k for k in ("mu", "sigma") if k not in z]
            if missing:
                raise DataError(f"{file}: has no array {missing[0]!r} (it has {', '.join(z) or 'nothing'}).", hint)
            mean, covariance = np.asarray(z["mu"], np.float64), np.asarray(z["sigma"], np.float64)
            n = int(z["n"]) if "n" in z else -1
            features = np.asarray(z["features"], np.float32) if "features" in z else None
    except FileNotFoundError:
        raise DataError(f"{file}: no such file.", hint) from None
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as e:
        raise DataError(f"{file}: damaged, or not a .npz file ({e}).", hint) from e
    d = mean.size
    fits = mean.shape == (d,) and d > 0 and covariance.shape == (d, d)
    if not fits or (features is not None and features.shape != (n, d)):
        raise DataError(f"{file}: mu {mean.shape} and sigma {covariance.shape} do not go together.", hint)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{file}: mu or sigma is not finite.", hint)
    return Statistics(n if n >= 0 else None, mean, covariance, features)


@contextlib.contextmanager
def _npz(file: Path) -> Iterator[Any]:
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with loaded:
        yield loaded


def _file_hash(file: Path) -> str:
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
