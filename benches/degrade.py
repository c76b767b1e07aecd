"""Degraded crops a second of one core: gantools against the same steps by OpenCV and NumPy.

    python benches/degrade.py [--images 64] [--side 256] [--around 0] [--repeat 3] [--threads 1]

Draws Real-ESRGAN's degradations of synthetic photographs, does the same steps both ways, in turn, and prints the best
milliseconds of CPU an image of each, of all steps and of each kind of step alone. Without OpenCV SciPy filters, Pillow
resizes and writes JPEGs, which is what a script without it would do.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.degrade import NUMBERS, plan
from gantools.degradation import Degradation

STEPS, SHAPES, MODES = _native.DEGRADE_STEPS, _native.KERNEL_SHAPES, _native.DEGRADE_RESIZES
Floats = NDArray[np.float32]


def photos(n: int, side: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (n, side // 8, side // 8, 3), dtype=np.uint8)
    return small.repeat(8, 1).repeat(8, 2) // 2 + rng.integers(0, 64, (n, side, side, 3), dtype=np.uint8)


def kernel(row: NDArray[np.float64]) -> Floats:
    shape, side, first, second, angle, exponent = row[1:7]
    at = np.arange(side) - side // 2
    x, y = np.meshgrid(at, at)
    if SHAPES[int(shape)] == "sinc":
        from scipy.special import j1

        r = np.hypot(x, y)
        r[r == 0] = 1e-6
        weights = first * j1(first * r) / (2 * np.pi * r)
    else:
        cos, sin = np.cos(angle), np.sin(angle)
        q = ((cos * x + sin * y) / first) ** 2 + ((cos * y - sin * x) / second) ** 2
        name = SHAPES[int(shape)]
        weights = 1 / (1 + q**exponent) if name == "plateau" else np.exp(-0.5 * q**exponent)
    found: Floats = (weights / weights.sum()).astype(np.float32)
    return found


class Tools:
    """The steps as a script does them, on float32 (h, w, 3) in [0, 1]."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.cv2 = __import__("cv2") if importlib.util.find_spec("cv2") else None
        if self.cv2 is not None:
            self.cv2.setNumThreads(1)

    def __call__(self, image: NDArray[np.uint8], steps: NDArray[np.float64]) -> NDArray[np.uint8]:
        x = image.astype(np.float32) / 255
        for row in steps:
            x = getattr(self, STEPS[int(row[0])])(x, row)
        return (x * 255).round().clip(0, 255).astype(np.uint8)

    def none(self, x: Floats, row: NDArray[np.float64]) -> Floats:
        return x

    def _filter(self, x: Floats, weights: Floats) -> Floats:
        if self.cv2 is not None:
            return self.cv2.filter2D(x, -1, weights, borderType=self.cv2.BORDER_REFLECT_101)
        from scipy.ndimage import convolve

        return convolve(x, weights[:, :, None], mode="mirror")

    def blur(self, x: Floats, row: NDArray[np.float64]) -> Floats:
        return self._filter(x, kernel(row))

    def sharpen(self, x: Floats, row: NDArray[np.float64]) -> Floats:
        if self.cv2 is not None:
            blurred = self.cv2.GaussianBlur(x, (51, 51), 0)
            mask = self.cv2.GaussianBlur((np.abs(x - blurred) * 255 > row[2]).astype(np.float32), (51, 51), 0)
        else:
            from scipy.ndimage import gaussian_filter

            options = {"mode": "mirror", "radius": 25, "axes": (0, 1)}
            blurred = gaussian_filter(x, 8.0, **options)
            mask = gaussian_filter((np.abs(x - blurred) * 255 > row[2]).astype(np.float32), 8.0, **options)
        return mask * np.clip(x + row[1] * (x - blurred), 0, 1) + (1 - mask) * x

    def resize(self, x: Floats, row: NDArray[np.float64]) -> Floats:
        size = (int(row[3]), int(row[2]))
        if self.cv2 is not None:
            cv2 = self.cv2
            way = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
            return cv2.resize(x, size, interpolation=way[MODES[int(row[1])]])
        from PIL import Image

        filters = {"area": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR}
        chosen = filters.get(MODES[int(row[1])], Image.Resampling.BICUBIC)
        return np.stack([np.asarray(Image.fromarray(x[..., c]).resize(size, chosen)) for c in range(3)], 2)

    def gaussian(self, x: Floats, row: NDArray[np.float64]) -> Floats:
        shape = (*x.shape[:2], 1) if row[2] else x.shape
        return np.clip(x + self.rng.standard_normal(shape, dtype=np.float32) * (row[1] / 255), 0, 1)

    def poisson(self, x: Floats, row: NDArray[np.float64]) -> Floats:
        seen = x @ np.array([0.2989, 0.587, 0.114], np.float32) if row[2] else x
        seen = (seen * 255).round().clip(0, 255) / 255
        counts = 2 ** np.ceil(np.log2(len(np.unique(seen))))
        noise = self.rng.poisson(seen * counts) / counts - seen
        return np.clip(x + (noise[..., None] if row[2] else noise) * row[1], 0, 1).astype(np.float32)

    def jpeg(self, x: Floats, row: NDArray[np.float64]) -> Floats:
        levels = (x * 255).round().clip(0, 255).astype(np.uint8)
        if self.cv2 is not None:
            _, file = self.cv2.imencode(".jpg", levels, [int(self.cv2.IMWRITE_JPEG_QUALITY), int(row[1])])
            return self.cv2.imdecode(file, 1).astype(np.float32) / 255
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(levels).save(buffer, "JPEG", quality=int(row[1]))
        return np.asarray(Image.open(buffer)).astype(np.float32) / 255


def best(ways: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """CPU seconds of the fastest of the repeats, the ways in turn."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(repeat):
        for name, way in ways.items():
            start = time.process_time()
            way()
            found[name] = min(found[name], time.process_time() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 64), ("side", 256), ("around", 0), ("repeat", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    n, side = given.images, given.side + given.around
    images = photos(n, side)
    steps = plan(Degradation(), np.random.default_rng(1).random((n, NUMBERS)), side, side, 4)
    seeds = np.arange(n, dtype=np.uint64)
    tools = Tools()
    print(
        f"{n} crops of {side} px, {given.threads} thread(s); "
        f"the other way: {'OpenCV' if tools.cv2 else 'SciPy, Pillow'}"
    )
    print("| what | ms an image | the other way | times |\n|---|--:|--:|--:|")
    names = np.array(STEPS)[steps[..., 0].astype(int)]
    for what in ("all", "sharpen", "blur", "resize", "gaussian", "poisson", "jpeg"):
        # Of one kind: the first round's alone, on the whole crop.
        at = {"sharpen": 0, "blur": 1, "resize": 2, "gaussian": 3, "poisson": 3, "jpeg": 4}.get(what)
        rows = np.arange(n) if at is None else np.flatnonzero(names[:, at] == what)
        chosen = steps[rows] if at is None else np.ascontiguousarray(steps[rows][:, at : at + 1])

        def ours(
            rows: NDArray[np.int64] = rows, chosen: NDArray[np.float64] = chosen, one: bool = what == "resize"
        ) -> None:
            for i, row in zip(rows, chosen, strict=True) if one else ():
                out = np.empty((1, int(row[0, 2]), int(row[0, 3]), 3), np.uint8)
                _native.degrade(images[i : i + 1], row[None], seeds[:1], out, given.threads)
            if not one:
                end = side // 4 if len(chosen[0]) > 1 else side
                _native.degrade(
                    images[rows], chosen, seeds[rows], np.empty((len(rows), end, end, 3), np.uint8), given.threads
                )

        def theirs(rows: NDArray[np.int64] = rows, chosen: NDArray[np.float64] = chosen) -> None:
            for i, row in zip(rows, chosen, strict=True):
                tools(images[i], row)

        found = best({"ours": ours, "theirs": theirs}, given.repeat)
        a, b = (1000 * seconds / len(rows) for seconds in found.values())
        print(f"| {what} | {a:.2f} | {b:.2f} | {b / a:.1f}x |", flush=True)


if __name__ == "__main__":
    main()
