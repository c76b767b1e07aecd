"""One pass over a set of images for everything that is wanted of them; in parts, on several machines if need be.

A part takes a contiguous range of the images, none twice and none padded. Parts are put together exactly: counts, means
and centred sums merge (Chan, Golub and LeVeque), features are laid one after the other.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import DataError, MetricError
from gantools.files import atomic_write
from gantools.metrics.images.reader import ImageReader, batches
from gantools.metrics.networks.extractor import Extractor, Features
from gantools.metrics.numbers.frechet import FeatureSums

PART_FORMAT, PART_VERSION = "gantools-score-part", 1


@dataclass(frozen=True)
class Layer:
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


@dataclass(frozen=True)
class LayerRequest:
    """What is wanted of one layer.

    Attributes:
        layer: the layer.
        keep: whether all features are kept (4 bytes each), beside mean and covariance.
    """

    layer: Layer
    keep: bool


def bounds(n: int, part: int, parts: int) -> tuple[int, int]:
    """The images of part `part` (from 0) of `parts`: contiguous, sizes that differ by at most one."""
    return n * part // parts, n * (part + 1) // parts


def features(
    extractors: Sequence[Extractor], source: ImageReader, span: tuple[int, int], batch: int
) -> Generator[list[Features], None, None]:
    """The features of some images, `batch` images at a time, for each of `extractors`.

    Each image is decoded once, and resized once for all extractors that take the same input.

    Args:
        extractors: the networks.
        source: the images.
        span: which of them, (start, stop).
        batch: images at a time.

    Raises:
        DataError: an image cannot be read, or is one that an extractor cannot judge.
    """
    inputs = list(dict.fromkeys(e.input for e in extractors))
    with contextlib.closing(batches(source, span, batch, inputs)) as stream:
        for arrays in stream:
            by_input = dict(zip(inputs, arrays, strict=True))
            yield [e(by_input[e.input]) for e in extractors]


def run(
    requests: Sequence[LayerRequest],
    source: ImageReader,
    span: tuple[int, int],
    batch: int,
    advance: Callable[[int], None] | None = None,
) -> list[FeatureSums]:
    """What is wanted of some images, each image decoded once.

    Args:
        requests: what is wanted of each layer.
        source: the images.
        span: which of them, (start, stop).
        batch: images at a time.
        advance: called with k after every k images.

    Returns:
        The sums of each of `requests`.

    Raises:
        DataError: an image cannot be read. MetricError: features that are not finite.
    """
    n = span[1] - span[0]
    sums = [FeatureSums.empty(request.layer.dims, n, request.keep) for request in requests]
    if n == 0:
        return sums
    networks: list[Extractor] = list({id(r.layer.extractor): r.layer.extractor for r in requests}.values())
    place = {id(e): i for i, e in enumerate(networks)}
    with contextlib.closing(features(networks, source, span, batch)) as stream:
        for found in stream:
            for request, one in zip(requests, sums, strict=True):
                layer = request.layer
                try:
                    one.add(found[place[id(layer.extractor)]][layer.layer])
                except MetricError as e:  # it knows the row of the batch, not whose it is
                    raise MetricError(
                        f"{source.label}: {layer.extractor.name} features of layer {layer.layer} are not finite.",
                        e.hint,
                    ) from e
            if advance is not None:
                advance(len(next(iter(found[0].values()))))
    return sums


def merge(parts: Sequence[Sequence[FeatureSums]], requests: Sequence[LayerRequest]) -> list[FeatureSums]:
    """The parts of one pass put together, in order."""
    merged = []
    for i, request in enumerate(requests):
        takes = [part[i] for part in parts]
        moments = _native.Moments(request.layer.dims)
        for taken in takes:
            moments.merge(taken.moments)
        whole = None
        if all(taken.features is not None for taken in takes) and (request.keep or moments.n <= moments.d):
            whole = np.concatenate([taken.features for taken in takes if taken.features is not None])
        merged.append(FeatureSums(moments, whole))
    return merged


def pack(taken: Sequence[FeatureSums]) -> list[dict[str, Any]]:
    """Plain values to send to another process; `unpack` makes them again."""
    return [
        {"n": t.moments.n, "mean": t.moments.mean, "m2": t.moments.m2(), "features": t.features}
        if t.moments.n
        else {"n": 0, "d": t.moments.d}
        for t in taken
    ]


def unpack(packed: Sequence[dict[str, Any]]) -> list[FeatureSums]:
    """What `pack` packed."""
    found = []
    for p in packed:
        if p["n"]:
            moments = _native.Moments.from_state(p["n"], p["mean"], p["m2"])
            found.append(FeatureSums(moments, p["features"]))
        else:
            found.append(FeatureSums(_native.Moments(p["d"]), np.zeros((0, p["d"]), np.float32)))
    return found


def save_part(file: Path, note: dict[str, Any], taken: Sequence[FeatureSums]) -> None:
    """Write a part: `.npz` of the sums, with `note` saying what they are of, whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {}
    for i, packed in enumerate(pack(taken)):
        arrays |= {f"{i}_{key}": np.asarray(value) for key, value in packed.items() if value is not None}
    full = {"format": PART_FORMAT, "version": PART_VERSION, "layers": len(taken), **note}
    arrays["note"] = np.array(json.dumps(full, sort_keys=True))
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as f:
        np.savez(f, **arrays)  # type: ignore[arg-type]


def load_part(file: Path) -> tuple[dict[str, Any], list[FeatureSums]]:
    """What `save_part` wrote: its note and the sums. DataError: missing, damaged, or no such file."""
    hint = "Make it with: gantools score SAMPLES --shard 1/4 --part FILE"
    try:
        with np.load(file, allow_pickle=False) as z:
            note = json.loads(str(z["note"]))
            if note.get("format") != PART_FORMAT or note.get("version") != PART_VERSION:
                raise DataError(f"{file}: no part of a score that this gantools reads.", hint)
            packed = []
            for i in range(int(note["layers"])):
                keys = ("n", "mean", "m2", "features", "d")
                one: dict[str, Any] = {k: z[f"{i}_{k}"] for k in keys if f"{i}_{k}" in z}
                one = {k: int(v) if k in ("n", "d") else v for k, v in one.items()}
                packed.append({"features": None, **one})
            taken = unpack(packed)
    except FileNotFoundError:
        raise DataError(f"{file}: no such file.", hint) from None
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, MetricError) as e:
        raise DataError(f"{file}: damaged, or no part of a score ({e}).", hint) from e
    return note, taken
