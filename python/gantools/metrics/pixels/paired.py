"""Scores of images that come in pairs, a result and the target it should equal: which belongs to which, and the scores.

What is compared of a pair is in `gantools.metrics.pixels.similarity`.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError, unknown_name
from gantools.metrics.images.open import ImageReader, Images, open_source
from gantools.metrics.pixels import similarity
from gantools.metrics.pixels.similarity import METRICS, Channel, planes

if TYPE_CHECKING:
    from gantools.metrics.pixels.lpips import Lpips, Net

# Pixels that a thread takes at a time.
_CHUNK_PIXELS = 1 << 17


@dataclass(frozen=True, eq=False)
class PairedScores:
    """Scores of pairs of images, and by which conventions they were made.

    Attributes:
        values: float64 (n,) by metric, in the order of `names`. PSNR of a pair without any difference is infinite.
        mean: of `values`. **PSNR is averaged over the pairs that differ**, since one equal pair would make the mean
            infinite; None where all are equal. `identical` says how many are left out.
        identical: pairs without any difference in what is compared.
        names: of the pairs: relative path of the sample's file, or its number.
        channel: `rgb` or `y`.
        crop: pixels cut off every border.
        samples, targets: where the images lie.
        lpips: how LPIPS was made (`net`, hashes of its weights), or None without it.
        inputs: how the inputs were made that belong to the targets (`operation`, `scale`, `kernel`), where these are a
            set of pairs, which says so; else None.
    """

    values: dict[str, NDArray[np.float64]]
    mean: dict[str, float | None]
    identical: int
    names: tuple[str, ...]
    channel: Channel
    crop: int
    samples: str
    targets: str
    lpips: dict[str, str] | None = None
    inputs: dict[str, Any] | None = None

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.names)

    def worst(self, metric: str, k: int = 10) -> list[tuple[str, float]]:
        """Name and value of the `k` worst pairs, worst first; ties in the order of the names."""
        if metric not in self.values:
            raise unknown_name("metric", metric, self.values)
        values = self.values[metric]
        order = np.argsort(-values if not METRICS[metric] else values, kind="stable")[: max(k, 0)]
        return [(self.names[i], float(values[i])) for i in order]

    def to_dict(self, k: int = 10) -> dict[str, Any]:
        """Plain values for JSON, which knows no infinity: it is None, here only ever the PSNR of an equal pair.

        Args:
            k: how many of the worst pairs are listed for each metric.
        """
        return {
            "format": "gantools-paired-scores",
            "version": 1,
            "n": self.n,
            "identical": self.identical,
            "channel": self.channel,
            "crop": self.crop,
            "inputs": self.inputs,
            "samples": self.samples,
            "targets": self.targets,
            "lpips": self.lpips,
            "mean": dict(self.mean),
            "worst": {m: [[name, _finite(v)] for name, v in self.worst(m, k)] for m in self.values},
            "names": list(self.names),
            "values": {m: [_finite(float(v)) for v in values] for m, values in self.values.items()},
        }

    def to_json(self) -> str:
        """`to_dict` as one JSON object; numbers at full precision."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def paired_scores(
    samples: Images,
    targets: Images,
    metrics: Sequence[str] = ("psnr", "ssim"),
    *,
    channel: Channel = "rgb",
    crop: int = 0,
    lpips: Net | Lpips = "alex",
    advance: Callable[[int], object] | None = None,
) -> PairedScores:
    """Compare every sample with its target.

    Where both sides have names (folders, archives, prepared sets, ...) pairs are matched **by name**, without the
    suffix where it differs, so `a/1.png` is compared with `a/1.jpg`. Where neither has, as arrays, they are matched by
    position and have to be equally many. Files are decoded as they would be shown (EXIF orientation applied);
    of transparent ones alpha is dropped, as for every other score.

    Args:
        samples: what is judged.
        targets: what each should be.
        metrics: names among `METRICS`.
        channel: `rgb` or `y`, as in `planes`. LPIPS always compares RGB.
        crop: pixels cut off every border first, for all metrics.
        lpips: the network of LPIPS, or a ready `Lpips` with weights and device of one's choice.
        advance: called with a number of pairs whenever so many are done.

    Raises:
        ConfigError: an unknown metric, channel or network, or a folder against an array.
        DataError: unmatched or unreadable images, or a pair of different sizes; the message names it.
        WeightsError, DownloadError: weights of LPIPS.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
    if not metrics:
        raise ConfigError("no metric was asked for.", f"Known: {', '.join(METRICS)}.")
    network = _lpips(lpips) if "lpips" in metrics else None
    pairs = match(open_source(samples), open_source(targets))

    def compare(parts: Iterable[_Part]) -> list[_Compared]:
        return [_compare(part, metrics, channel, crop) for part in parts]

    # Files are read by the threads that compare them, what a program gives is asked for here and in order.
    read = pairs.read if pairs.samples.parallel and pairs.targets.parallel else lambda *at: list(pairs.read(*at))
    found: dict[str, list[NDArray[np.float64]]] = {m: [] for m in metrics}
    identical = 0
    for compared in _ahead(compare, (read(*at) for at in pairs.bounds())):
        for part in compared:
            if network is not None:
                a, b = part.images
                h, w = a.shape[1:3]
                inner = (slice(None), slice(crop, h - crop), slice(crop, w - crop))
                part.values["lpips"] = network(a[inner], b[inner])
            for metric in found:
                found[metric].append(part.values[metric])
            identical += part.identical
            if advance is not None:
                advance(len(part.images[0]))
    values = {m: np.concatenate(parts) for m, parts in found.items()}
    return PairedScores(
        values=values,
        mean={m: _mean(v) for m, v in values.items()},
        identical=identical,
        names=tuple(pairs.names),
        channel=channel,
        crop=crop,
        samples=pairs.samples.label,
        targets=pairs.targets.label,
        lpips=None if network is None else network.protocol,
        inputs=None if pairs.targets.inputs is None else dict(pairs.targets.inputs),
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _lpips(given: Net | Lpips) -> Lpips:
    from gantools.metrics.pixels.lpips import Lpips  # torch is only loaded for LPIPS

    return given if isinstance(given, Lpips) else Lpips(given)


@dataclass
class _Compared:
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    values: dict[str, NDArray[np.float64]]
    identical: int


def _compare(part: _Part, metrics: Sequence[str], channel: Channel, crop: int) -> _Compared:
    try:
        x, y = planes(part.samples, channel, crop), planes(part.targets, channel, crop)
        by_name = similarity.OF_PLANES
        values = {m: by_name[m](x, y) for m in metrics if m in by_name}
    except DataError as e:
        raise DataError(f"{part.name}: {e.message}", e.hint) from e
    identical = int((x == y).all((1, 2, 3)).sum())
    return _Compared((part.samples, part.targets), values, identical)


def _ahead(
    work: Callable[[Iterable[_Part]], list[_Compared]], parts: Iterable[Iterable[_Part]]
) -> Iterator[list[_Compared]]:
    """Results of `work` in order, a few computed ahead by threads: numpy gives the interpreter up in its loops."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="gantools-paired") as pool:
        running: deque[Future[list[_Compared]]] = deque()
        try:
            for part in parts:
                running.append(pool.submit(work, part))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


@dataclass(frozen=True)
class _Part:
    """Pairs of one size that follow each other; `name` is the first one's."""

    name: str
    samples: NDArray[np.uint8]
    targets: NDArray[np.uint8]


@dataclass(frozen=True)
class _Pairs:
    samples: ImageReader
    targets: ImageReader
    names: list[str]
    # Numbers of the matching images, of each side.
    order: list[tuple[int, int]]

    def bounds(self) -> list[tuple[int, int]]:
        shape = self.samples.shape
        at_a_time = 8 if shape is None else max(1, _CHUNK_PIXELS // (shape[0] * shape[1]))
        return [(start, min(start + at_a_time, len(self.order))) for start in range(0, len(self.order), at_a_time)]

    def read(self, start: int, stop: int) -> Iterator[_Part]:
        """The pairs start..stop, joined while their shape is the same."""
        pending: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        first = start
        for at in range(start, stop):
            i, j = self.order[at]
            a, b = self.samples.pixels(i), self.targets.pixels(j)
            if a.shape != b.shape:
                raise DataError(
                    f"{self.names[at]}: the sample is {_size(a)}, its target {_size(b)}.",
                    "Paired metrics compare pixel by pixel; resize or crop one of them first.",
                )
            if pending and pending[0][0].shape != a.shape:
                yield self._part(first, pending)
                pending, first = [], at
            pending.append((a, b))
        if pending:
            yield self._part(first, pending)

    def _part(self, first: int, pending: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> _Part:
        return _Part(self.names[first], np.stack([a for a, _ in pending]), np.stack([b for _, b in pending]))


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[0]}x{image.shape[1]} with {image.shape[2]} channels"


def match(samples: ImageReader, targets: ImageReader) -> _Pairs:
    """Which image of each side belongs to which: by name where both have names, by position where neither has.

    Raises:
        ConfigError: one side alone has names. DataError: an image without a partner.
    """
    ours, theirs = samples.names, targets.names
    if len(samples) == len(targets) == 1:
        return _Pairs(samples, targets, ["0" if ours is None else ours[0]], [(0, 0)])
    by_name, other = (targets, samples) if ours is None else (samples, targets)
    if (ours is None) != (theirs is None) and not by_name.ordered:
        raise ConfigError(
            f"{by_name.label} has images with names, {other.label} has only positions.",
            "Give two folders with the same file names, or two arrays in the same order.",
        )
    if ours is None or theirs is None:
        if len(samples) != len(targets):
            raise DataError(
                f"{len(samples):,} samples and {len(targets):,} targets: pairs are matched by position here.",
                "Give equally many, in the same order.",
            )
        count = range(len(samples))
        return _Pairs(samples, targets, [str(i) for i in count], [(i, i) for i in count])
    a, b = {name: i for i, name in enumerate(ours)}, {name: i for i, name in enumerate(theirs)}
    if a.keys() != b.keys() or len(a) < len(ours) or len(b) < len(theirs):
        a, b = _by_stem(samples.label, ours), _by_stem(targets.label, theirs)
    alone = [(sorted(a.keys() - b.keys()), samples, targets)]
    alone.append((sorted(b.keys() - a.keys()), targets, samples))
    wrong = [
        f"{len(names):,} of {len(side):,} images in {side.label} have no partner of that name in {other.label}, "
        f"the first is {names[0]!r}."
        for names, side, other in alone
        if names
    ]
    if wrong:
        raise DataError(
            " ".join(wrong),
            "Pairs are matched by their path below the folder, without the suffix; rename or remove the others.",
        )
    order = [(a[name], b[name]) for name in a]
    return _Pairs(samples, targets, [ours[i] for i, _ in order], order)


def _by_stem(label: str, names: Sequence[str]) -> dict[str, int]:
    stems: dict[str, int] = {}
    for i, name in enumerate(names):
        stem = PurePosixPath(name).with_suffix("").as_posix()
        if stem in stems:
            raise DataError(
                f"{label}: {names[stems[stem]]} and {name} have the same name but for the suffix, and pairs are "
                "matched without it.",
                "Rename or remove one of them.",
            )
        stems[stem] = i
    return stems
