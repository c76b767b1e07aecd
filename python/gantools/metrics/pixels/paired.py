"""PSNR, SSIM and MS-SSIM of images that come in pairs: a result and the target it should equal.

All in float64, of uint8 values 0..255, each after one named reference:

- PSNR by its definition, `10 log10(255^2 / MSE)`, the mean squared error over all pixels and channels of an image.
- SSIM after Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004): an 11x11
  Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, averaged over the places where the whole window lies in the image,
  then over channels. Equal to BasicSR's `calculate_ssim`.
- MS-SSIM after Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment" (2003): five
  scales, each half the one before by the mean of 2x2 pixels, an odd last row or column repeated once; a negative
  contrast term counts as 0. Equal to piq's `multi_scale_ssim` where all sides are divisible by 16.

Two conventions move all of these numbers and are therefore stated in every result: the **channel**, `rgb` (every
channel of the file) or `y` (the luma of ITU-R BT.601 in 16..235 as MATLAB's `rgb2ycbcr`, not rounded, as BasicSR), and
the **crop**, how many pixels are cut off each border first (super-resolution papers cut off as many as the scale).
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.metrics.images.open import Array, Files, Prepared, Source, open_source

if TYPE_CHECKING:
    from gantools.data.prepared import PreparedSet
    from gantools.metrics.pixels.lpips import Lpips, Net

#: Which values of an image are compared.
Channel = Literal["rgb", "y"]
#: Names of the metrics, and whether a larger value is the better one.
METRICS: dict[str, bool] = {"psnr": True, "ssim": True, "ms-ssim": True, "lpips": False}
#: Side of the window of SSIM and its standard deviation, in pixels.
WINDOW, SIGMA = 11, 1.5
#: Exponents of the five scales, finest first (Wang et al. 2003, section 3.2).
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: Smallest side for MS-SSIM: halved four times, rounding up, it still holds one window.
MS_SSIM_SIDE = (WINDOW - 1) * 2 ** (len(SCALES) - 1) + 1
PEAK = 255.0
_C1, _C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
# Pixels that a thread takes at a time, and values that a filter passes over at a time: a strip of rows and its dozen
# intermediate results stay in the processor's cache.
_CHUNK_PIXELS, _STRIP_VALUES = 1 << 17, 1 << 15


def planes(images: NDArray[np.uint8], channel: Channel = "rgb", crop: int = 0) -> NDArray[np.float64]:
    """What is compared of images.

    Args:
        images: uint8 (n, h, w, c), c 1 or 3.
        channel: `rgb` for all channels; `y` for `16 + (65.481 R + 128.553 G + 24.966 B) / 255`. A grey image is its
            own luma and stays as it is, as in BasicSR.
        crop: pixels cut off every border.

    Returns:
        float64 (n, c', h - 2 crop, w - 2 crop), values 0..255; c' is c or, for `y`, 1.

    Raises:
        ConfigError: unknown channel or a negative crop. DataError: other images, or nothing left of them.
    """
    if channel not in get_args(Channel):
        raise unknown_name("channel", str(channel), get_args(Channel))
    if crop < 0:
        raise ConfigError(f"crop must be at least 0, not {crop}.")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(f"images must be uint8 (n, h, w, c) with c 1 or 3, not {images.dtype} {images.shape}.")
    h, w = images.shape[1:3]
    if min(h, w) <= 2 * crop:
        raise DataError(f"nothing is left of {h}x{w} pixels once {crop} are cut off every border.", "Lower the crop.")
    x = images[:, crop : h - crop, crop : w - crop].astype(np.float64)
    if channel == "y" and x.shape[3] == 3:
        # Value by value, so that equal pixels have equal luma wherever they lie in memory.
        luma: NDArray[np.float64] = 16 + (65.481 * x[..., 0] + 128.553 * x[..., 1] + 24.966 * x[..., 2]) / 255
        return luma[:, None]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def psnr(
    samples: NDArray[np.uint8], targets: NDArray[np.uint8], *, channel: Channel = "rgb", crop: int = 0
) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in decibels of each pair, float64 (n,); infinite where both images are equal.

    Args:
        samples, targets: uint8 (n, h, w, c) of one shape.
        channel, crop: as in `planes`.

    Raises:
        ConfigError, DataError: as `planes`; DataError also where the shapes differ.
    """
    return _psnr(*_pair(samples, targets, channel, crop))


def ssim(
    samples: NDArray[np.uint8], targets: NDArray[np.uint8], *, channel: Channel = "rgb", crop: int = 0
) -> NDArray[np.float64]:
    """Structural similarity of each pair, float64 (n,), at most 1, which is that of equal images.

    Args:
        samples, targets: uint8 (n, h, w, c) of one shape, sides at least 11 after the crop.
        channel, crop: as in `planes`.

    Raises:
        ConfigError, DataError: as `psnr`; DataError also for smaller images.
    """
    return _ssim(*_pair(samples, targets, channel, crop))


def ms_ssim(
    samples: NDArray[np.uint8], targets: NDArray[np.uint8], *, channel: Channel = "rgb", crop: int = 0
) -> NDArray[np.float64]:
    """Multiscale structural similarity of each pair, float64 (n,), 0..1, 1 for equal images.

    Args:
        samples, targets: uint8 (n, h, w, c) of one shape, sides at least 161 after the crop.
        channel, crop: as in `planes`.

    Raises:
        ConfigError, DataError: as `psnr`; DataError also for smaller images.
    """
    return _ms_ssim(*_pair(samples, targets, channel, crop))


def _pair(
    samples: NDArray[np.uint8], targets: NDArray[np.uint8], channel: Channel, crop: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if samples.shape != targets.shape:
        raise DataError(f"samples {samples.shape} and targets {targets.shape} differ in shape.")
    return planes(samples, channel, crop), planes(targets, channel, crop)


def _psnr(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    mse = np.square(x - y).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        out: NDArray[np.float64] = 10 * np.log10(PEAK**2 / mse)
    return out


def _ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    if min(x.shape[2:]) < WINDOW:
        raise DataError(
            f"SSIM compares windows of {WINDOW}x{WINDOW} pixels, these images have {x.shape[2]}x{x.shape[3]}.",
            "Leave out ssim, or lower the crop.",
        )
    out: NDArray[np.float64] = _similarity(x, y)[0].mean(1)
    return out


def _ms_ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    if min(x.shape[2:]) < MS_SSIM_SIDE:
        raise DataError(
            f"MS-SSIM needs sides of at least {MS_SSIM_SIDE} pixels, these images have {x.shape[2]}x{x.shape[3]}.",
            "Use ssim for smaller images.",
        )
    product = np.ones(x.shape[:2])
    for scale, weight in enumerate(SCALES):
        if scale:
            x, y = _halve(x), _halve(y)
        similarity, contrast = _similarity(x, y)
        # Luminance is compared at the coarsest scale alone (equation 7 of the paper with alpha_j = 0 for j < M).
        term = similarity if scale == len(SCALES) - 1 else contrast
        product *= np.maximum(term, 0) ** weight
    out: NDArray[np.float64] = product.mean(1)
    return out


def _halve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    h, w = x.shape[2:]
    if h % 2 or w % 2:
        x = np.pad(x, ((0, 0), (0, 0), (0, h % 2), (0, w % 2)), mode="edge")
    out: NDArray[np.float64] = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    return out


def _gaussian() -> NDArray[np.float64]:
    at = np.arange(WINDOW) - WINDOW // 2
    weights: NDArray[np.float64] = np.exp(-(at**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    return weights


_WEIGHTS = _gaussian()


def _window(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian mean at every place where the window fits; the window is a product, so rows and columns in turn."""
    for axis in (3, 2):
        size = x.shape[axis] - WINDOW + 1
        parts = (x[..., i : i + size] if axis == 3 else x[..., i : i + size, :] for i in range(WINDOW))
        out = _WEIGHTS[0] * next(parts)
        for weight, part in zip(_WEIGHTS[1:], parts, strict=True):
            out += weight * part
        x = out
    return x


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean SSIM and mean contrast-structure term of each channel, float64 (n, c) each."""
    rows, columns = x.shape[2] - WINDOW + 1, x.shape[3] - WINDOW + 1
    similarity, contrast = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    step = max(2 * WINDOW, _STRIP_VALUES // (x.shape[0] * x.shape[1] * x.shape[3]))
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows) + WINDOW - 1)
        a, b = x[:, :, part], y[:, :, part]
        ma, mb = _window(a), _window(b)
        aa, bb, ab = _window(a * a) - ma * ma, _window(b * b) - mb * mb, _window(a * b) - ma * mb
        term = (2 * ab + _C2) / (aa + bb + _C2)
        contrast += term.sum((2, 3))
        term *= (2 * ma * mb + _C1) / (ma * ma + mb * mb + _C1)
        similarity += term.sum((2, 3))
    return similarity / (rows * columns), contrast / (rows * columns)


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
    samples: str | Path | NDArray[Any] | PreparedSet,
    targets: str | Path | NDArray[Any] | PreparedSet,
    metrics: Sequence[str] = ("psnr", "ssim"),
    *,
    channel: Channel = "rgb",
    crop: int = 0,
    lpips: Net | Lpips = "alex",
    advance: Callable[[int], object] | None = None,
) -> PairedScores:
    """Compare every sample with its target.

    Two folders are matched **by name**: by the path below the folder without the suffix, so `a/1.png` is compared with
    `a/1.jpg`. Two arrays, `.npy` files or prepared sets are matched by position and have to be equally long. Files are
    decoded as they would be shown (EXIF orientation applied); transparent ones are refused.

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
    pairs = _match(open_source(samples), open_source(targets))

    def compare(start: int, stop: int) -> list[_Compared]:
        return [_compare(part, metrics, channel, crop) for part in pairs.read(start, stop)]

    found: dict[str, list[NDArray[np.float64]]] = {m: [] for m in metrics}
    identical = 0
    for compared in _ahead(compare, pairs.bounds()):
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
        by_name = {"psnr": _psnr, "ssim": _ssim, "ms-ssim": _ms_ssim}
        values = {m: by_name[m](x, y) for m in metrics if m in by_name}
    except DataError as e:
        raise DataError(f"{part.name}: {e.message}", e.hint) from e
    identical = int((x == y).all((1, 2, 3)).sum())
    return _Compared((part.samples, part.targets), values, identical)


def _ahead(work: Callable[[int, int], list[_Compared]], bounds: Sequence[tuple[int, int]]) -> Iterator[list[_Compared]]:
    """Results of `work` in order, a few computed ahead by threads: numpy gives the interpreter up in its loops."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="gantools-paired") as pool:
        running: deque[Future[list[_Compared]]] = deque()
        try:
            for start, stop in bounds:
                running.append(pool.submit(work, start, stop))
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
    samples: Source
    targets: Source
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
            a, b = read_one(self.samples, i), read_one(self.targets, j)
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


def read_one(source: Source, index: int) -> NDArray[np.uint8]:
    """Image `index` of a source at its own size, uint8 (h, w, c); files have 3 channels.

    Raises:
        DataError: it cannot be decoded, or is transparent; the message names its file.
    """
    if isinstance(source, Files):
        file = source.files[index]
        try:
            return _native.decode(file.read_bytes())
        except OSError as e:
            raise DataError(f"{file}: cannot be read ({e.strerror}).") from e
        except DataError as e:
            raise DataError(f"{file}: {e.message}", e.hint) from e
    if isinstance(source, Array):
        image: NDArray[np.uint8] = np.ascontiguousarray(source.images[index])
        return image
    if isinstance(source, Prepared):
        prepared: NDArray[np.uint8] = source.set.gather(np.array([index]))[0]
        return prepared
    raise ConfigError(f"{source.label}: images of this kind cannot be read one by one.")


def _match(samples: Source, targets: Source) -> _Pairs:
    if isinstance(samples, Files) != isinstance(targets, Files):
        by_name = samples if isinstance(samples, Files) else targets
        raise ConfigError(
            f"{by_name.label} is a folder whose images have names, the other side has only positions.",
            "Give two folders with the same file names, or two arrays in the same order.",
        )
    if not isinstance(samples, Files) or not isinstance(targets, Files):
        if len(samples) != len(targets):
            raise DataError(
                f"{len(samples):,} samples and {len(targets):,} targets: pairs are matched by position here.",
                "Give equally many, in the same order.",
            )
        count = range(len(samples))
        return _Pairs(samples, targets, [str(i) for i in count], [(i, i) for i in count])
    ours, theirs = _by_stem(samples), _by_stem(targets)
    alone = [(sorted(ours.keys() - theirs.keys()), samples, targets)]
    alone.append((sorted(theirs.keys() - ours.keys()), targets, samples))
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
    order = [(ours[stem], theirs[stem]) for stem in ours]
    return _Pairs(samples, targets, [_relative(samples, i) for i, _ in order], order)


def _relative(source: Files, index: int) -> str:
    return source.files[index].relative_to(source.root).as_posix()


def _by_stem(source: Files) -> dict[str, int]:
    stems: dict[str, int] = {}
    for i in range(len(source.files)):
        stem = PurePosixPath(_relative(source, i)).with_suffix("").as_posix()
        if stem in stems:
            raise DataError(
                f"{source.label}: {_relative(source, stems[stem])} and {_relative(source, i)} have the same name but "
                "for the suffix, and pairs are matched without it.",
                "Rename or remove one of them.",
            )
        stems[stem] = i
    return stems
