"""Photographs made worse at random, on all cores in Rust: what is drawn, as numbers, and the doing.

All that is random of an image follows from a seed and a number of its own, so it depends on no other image, on no batch
and on no thread. The order of the steps and their formulas are those of Real-ESRGAN's code; the resizes are torch's
`F.interpolate` without antialiasing, as there. Three things are not: JPEGs are real ones by libjpeg-turbo with whole
qualities, each image has its own draw (there a batch shares its sizes, and a pool of 180 images brings the variety
back), and a resize by a factor is one to the whole number of pixels that it gives.
"""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.seeds import philox
from gantools.degradation import Degradation, Round

#: Uniform numbers that an image's degradation is drawn from: of each round, and of the end with two for the place.
ROUND, END = 20, 10
NUMBERS = 2 * ROUND + END
#: Unsharp masking: weight, and levels of difference from which on it works.
SHARPEN = (0.5, 10.0)
# Kernels smaller than this side have no cut-off below π/3; larger ones go to π/5.
_LARGE = 13

_STEPS = {name: float(number) for number, name in enumerate(_native.DEGRADE_STEPS)}
_SHAPES = {name: number for number, name in enumerate(_native.KERNEL_SHAPES)}
_COLUMNS = 7

Floats = NDArray[np.float64]


def numbers(seed: int, positions: NDArray[np.int64]) -> tuple[Floats, NDArray[np.uint64]]:
    """What decides the degradation of each position: uniform float64 (n, NUMBERS), and a seed for its noise, uint64."""
    uniform, seeds = np.empty((len(positions), NUMBERS)), np.empty(len(positions), np.uint64)
    for row, position in enumerate(positions.tolist()):
        source = philox(seed, position)
        uniform[row] = source.random(NUMBERS)
        seeds[row] = source.integers(0, 1 << 64, dtype=np.uint64)
    return uniform, seeds


def plan(settings: Degradation, uniform: Floats, height: int, width: int, scale: int) -> Floats:
    """The steps of each image, as `_native.degrade` takes them.

    Args:
        settings: what may happen.
        uniform: in [0, 1), float64 (n, NUMBERS).
        height: of the images, a multiple of `scale`.
        width: likewise.
        scale: by which the results are smaller.

    Returns:
        float64 (n, 11, 7).
    """
    n = len(uniform)
    first, second, end = uniform[:, :ROUND].T, uniform[:, ROUND : 2 * ROUND].T, uniform[:, 2 * ROUND :].T
    small = (height // scale, width // scale)
    sharpen = _rows(n, "sharpen", *SHARPEN) if settings.sharpen else _rows(n, "none")
    begin = [sharpen, *_round(settings.first, first, (height, width)), *_round(settings.second, second, small)]
    *begin, jpeg = begin
    sides = _side(settings.second, end[2])
    low_pass = _rows(n, "blur", float(_SHAPES["sinc"]), sides, _between(end[3], pi / 3, pi), 1.0, 0.0, 1.0)
    low_pass[end[1] >= settings.sinc] = 0.0
    back = _rows(n, "resize", np.floor(3 * end[4]), float(small[0]), float(small[1]))
    filtered_first = np.stack((back, low_pass, jpeg), 1)
    filtered_last = np.stack((jpeg, back, low_pass), 1)
    order = (end[0] < 0.5)[:, None, None]
    return np.ascontiguousarray(np.concatenate((np.stack(begin, 1), np.where(order, filtered_first, filtered_last)), 1))


def degraded(
    images: NDArray[np.uint8],
    settings: Degradation,
    scale: int,
    uniform: Floats,
    seeds: NDArray[np.uint64],
    threads: int = 0,
) -> NDArray[np.uint8]:
    """Degraded images, by what `numbers` gave.

    Args:
        images: uint8 (n, h, w, c), c 1 or 3, h and w multiples of `scale`.
        settings: what may happen.
        scale: by which the results are smaller.
        uniform: float64 (n, NUMBERS).
        seeds: uint64 (n,).
        threads: 0 for all cores; the result does not depend on it.

    Returns:
        uint8 (n, h / scale, w / scale, c).
    """
    n, h, w, c = images.shape
    out = np.empty((n, h // scale, w // scale, c), np.uint8)
    steps = plan(settings, uniform, h, w, scale)
    _native.degrade(np.ascontiguousarray(images), steps, seeds, out, threads)
    return out


def offsets(settings: Degradation, uniform: Floats, scale: int) -> NDArray[np.int64]:
    """Where in what was degraded a crop begins, row and column in pixels of the result: int64 (n, 2)."""
    room = settings.around // scale + 1
    return np.floor(room * uniform[:, -2:]).astype(np.int64)


def _round(settings: Round, u: Floats, base: tuple[int, int]) -> tuple[Floats, Floats, Floats, Floats]:
    """Blur, resize, noise and JPEG of a round, a row an image; `u` is (ROUND, n), `base` the size at factor 1."""
    n = u.shape[1]
    side = _side(settings, u[2])
    kind = _choice(u[4], settings.kernels)
    wide = kind % 2 == 1
    deviation = _between(u[5], *settings.sigma)
    other = np.where(wide, _between(u[6], *settings.sigma), deviation)
    angle = np.where(wide, _between(u[7], -pi, pi), 0.0)
    exponent = np.ones(n)
    for shape, (low, high) in ((1, settings.generalised), (2, settings.plateau)):
        drawn = np.where(u[8] < 0.5, _between(u[9], low, 1.0), _between(u[9], 1.0, high))
        exponent = np.where(kind // 2 == shape, drawn, exponent)
    shapes = np.array([_SHAPES[name] for name in ("gaussian", "generalised", "plateau")])[kind // 2]
    blur = _rows(n, "blur", shapes, side, deviation, other, angle, exponent)
    lowest = np.where(side < _LARGE, pi / 3, pi / 5)
    sinc = _rows(n, "blur", float(_SHAPES["sinc"]), side, _between(u[3], lowest, pi), 1.0, 0.0, 1.0)
    blur = np.where((u[1] < settings.sinc)[:, None], sinc, blur)
    blur[u[0] >= settings.blur] = 0.0

    way = _choice(u[10], settings.resize)
    low, high = settings.factor
    factor = np.choose(way, (_between(u[11], 1.0, high), _between(u[11], low, 1.0), np.ones(n)))
    sizes = (np.maximum(np.floor(side * factor), 1) for side in base)
    resize = _rows(n, "resize", np.floor(3 * u[12]), *sizes)

    grey = (u[15] < settings.grey).astype(np.float64)
    gaussian = _rows(n, "gaussian", _between(u[14], *settings.noise), grey)
    poisson = _rows(n, "poisson", _between(u[14], *settings.poisson), grey)
    noise = np.where((u[13] < settings.gaussian)[:, None], gaussian, poisson)
    lowest_quality, highest = settings.jpeg
    jpeg = _rows(n, "jpeg", lowest_quality + np.floor((highest - lowest_quality + 1) * u[16]))
    return blur, resize, noise, jpeg


def _rows(n: int, step: str, *values: Floats | NDArray[np.int64] | float) -> Floats:
    """float64 (n, 7): a step, with its numbers of each image or of all."""
    rows = np.zeros((n, _COLUMNS))
    rows[:, 0] = _STEPS[step]
    for column, value in enumerate(values, 1):
        rows[:, column] = value
    return rows


def _side(settings: Round, u: Floats) -> Floats:
    low, high = settings.sides
    return low + 2 * np.floor(((high - low) // 2 + 1) * u)


def _between(u: Floats, low: Floats | float, high: float) -> Floats:
    return low + (high - low) * u


def _choice(u: Floats, weights: tuple[float, ...]) -> NDArray[np.int64]:
    """Numbers of entries, each as often as its weight says; never one of weight 0."""
    sums = np.cumsum(weights)
    chosen: NDArray[np.int64] = np.searchsorted(sums[:-1], u * sums[-1], side="right")
    return chosen
