"""NIQE: how natural a single image looks, without a reference image and without people's opinions.

Mittal, Soundararajan and Bovik, "Making a 'completely blind' image quality analyzer" (IEEE SPL 20(3), 2013), with the
choices of the authors' MATLAB release: luma of ITU-R BT.601 rounded to whole levels; blocks of 96x96 without overlap,
what does not fill a block is left out; two scales, the second by MATLAB's bicubic `imresize` to half; 18 features a
block and scale. Equal to BasicSR's `calculate_niqe`, except that everything here is float64 as in MATLAB, and that
pixels in flat surroundings are exactly 0 instead of rounding noise of either sign.

The image's blocks are described by a Gaussian, and NIQE is its distance from one of pristine photographs (equation
10)::

    sqrt((m1 - m2)^T pinv((S1 + S2) / 2) (m1 - m2))

Smaller is more natural; published super-resolution results lie between about 2 and 10. The pristine Gaussian is a file
of parameters (`PristineModel.load`), or fitted to images of one's own (`PristineModel.fit`): numbers of different
models do not compare. An image needs at least two blocks, so with the published model 96x192 pixels.
"""

from __future__ import annotations

import functools
import math
import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError, MetricError, WeightsError
from gantools.metrics.images.open import Images, open_source
from gantools.metrics.pixels.similarity import planes
from gantools.pretrained.weights import WeightsFile, sha256_of

#: The authors' model of 125 pristine photographs, as BasicSR publishes it: mean (36,) and covariance (36, 36).
PRISTINE = WeightsFile(
    "NIQE's pristine model",
    "niqe_pris_params.npz",
    "GANTOOLS_NIQE_MODEL",
    "https://github.com/XPixelGroup/BasicSR/raw/v1.4.2/basicsr/metrics/niqe_pris_params.npz",
    "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
)
#: Side of a block at the finer scale, in pixels; half of that at the coarser one.
BLOCK = 96
#: Of a block at both scales.
FEATURES = 36
#: A pristine image's blocks count where their sharpness is above this share of the image's sharpest (section 2.2).
SHARPNESS = 0.75
# The 7x7 Gaussian window of local means and deviations.
_WINDOW, _SIGMA = 7, 7 / 6
# Equation 1 gives whole levels either 0 or more than 1e-5; what lies below this is rounding, whose sign means nothing.
_ROUNDING = 1e-9
# Neighbours that products are taken with: right, below, and both diagonals.
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, eq=False)
class PristineModel:
    """The Gaussian of what natural blocks look like.

    Attributes:
        mean: float64 (36,).
        covariance: float64 (36, 36).
        block: side of the blocks it was made of, and of those an image is cut into.
        label: where it came from.
        sha256: of its file, or None for one that was fitted and not yet saved.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    block: int = BLOCK
    label: str = "fitted"
    sha256: str | None = None

    @staticmethod
    def load(path: str | Path | None = None) -> PristineModel:
        """The model in a `.npz` file: BasicSR's, or one that `save` wrote.

        Args:
            path: the file. None: what `GANTOOLS_NIQE_MODEL` names, the cached one, or a download of the authors' model.

        Raises:
            WeightsError: missing, damaged, or something else. DownloadError: there is none and no network.
        """
        file = PRISTINE.find(path, "model")
        try:
            with np.load(file, allow_pickle=False) as stored:
                mean = np.asarray(stored["mu_pris_param"], np.float64).ravel()
                covariance = np.asarray(stored["cov_pris_param"], np.float64)
                block = int(stored["block"]) if "block" in stored else BLOCK
        except (KeyError, ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as e:
            raise WeightsError(f"{file}: no pristine model of NIQE ({e}).", PRISTINE.where()) from e
        if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
            raise WeightsError(
                f"{file}: no pristine model of NIQE, its shapes are {mean.shape} and {covariance.shape}.",
                PRISTINE.where(),
            )
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise WeightsError(f"{file}: has values that are not finite.", PRISTINE.where())
        _check_block(block, WeightsError)
        return PristineModel(mean, covariance, block, str(file), sha256_of(file))

    @staticmethod
    def fit(
        images: Images,
        *,
        block: int = BLOCK,
        advance: Callable[[int], object] | None = None,
    ) -> PristineModel:
        """The model of given photographs: undistorted ones, and many more blocks than features (the authors' had 125).

        Of each image the blocks count whose mean local deviation at the finer scale is above 0.75 of the image's
        largest; mean and covariance are those of all such blocks of all images.

        Args:
            images: a folder, a `.npy` file, a prepared set or uint8 (n, h, w, c).
            block: side of a block, even; smaller than 96 for smaller images, at the price of another number.
            advance: called with 1 after each image.

        Raises:
            ConfigError: the block's side. DataError: unreadable images, or smaller than a block.
            MetricError: fewer blocks than features plus one.
        """
        _check_block(block, ConfigError)
        source = open_source(images)
        kept = []
        for i in range(len(source)):
            name = source.called(i)
            features, sharpness = _blocks(luma(source.pixels(i)), block, name, 1)
            kept.append(features[sharpness > SHARPNESS * sharpness.max()])
            if advance is not None:
                advance(1)
        rows = np.concatenate(kept)
        whole = rows[~np.isnan(rows).any(1)]
        if len(whole) <= FEATURES:
            raise MetricError(
                f"{source.label}: has {len(whole)} sharp blocks of {block}x{block}, and a model of {FEATURES} features "
                f"needs more than {FEATURES}.",
                "Give more or larger photographs.",
            )
        return PristineModel(np.nanmean(rows, 0), np.cov(whole, rowvar=False), block, f"fitted to {source.label}")

    def save(self, path: str | Path) -> None:
        """Write the model as a `.npz` file, under a temporary name first."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as f:
                np.savez(f, mu_pris_param=self.mean, cov_pris_param=self.covariance, block=np.int64(self.block))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _check_block(block: int, error: type[ConfigError] | type[WeightsError]) -> None:
    if block < 8 or block % 2:
        raise error(f"a block's side must be even and at least 8, not {block}.")


def luma(image: NDArray[np.uint8], crop: int = 0) -> NDArray[np.float64]:
    """What NIQE looks at of uint8 (h, w, c): BT.601 luma rounded to whole levels, float64 (h, w); grey stays."""
    rounded: NDArray[np.float64] = np.round(planes(image[None], "y", crop)[0, 0])
    return rounded


def niqe(image: NDArray[np.uint8], model: PristineModel, *, crop: int = 0, name: str = "image") -> float:
    """NIQE of one image.

    Args:
        image: uint8 (h, w, c), c 1 or 3.
        model: what it is compared with.
        crop: pixels cut off every border first.
        name: what to call it in a message.

    Raises:
        DataError: another array, or fewer than two blocks. ConfigError: a negative crop.
        MetricError: every block is flat, so that nothing can be said.
    """
    if image.ndim != 3:
        raise DataError(f"{name}: an image is uint8 (h, w, c), not {image.dtype} {image.shape}.")
    grey = luma(image, crop)
    features, _ = _blocks(grey, model.block, name, 2)
    whole = features[~np.isnan(features).any(1)]
    if len(whole) < 2:
        raise MetricError(
            f"{name}: {len(features) - len(whole)} of {len(features)} blocks are flat; NIQE needs 2 with structure."
        )
    mean, covariance = np.nanmean(features, 0), np.cov(whole, rowvar=False)
    difference = model.mean - mean
    return float(np.sqrt(difference @ np.linalg.pinv((model.covariance + covariance) / 2) @ difference))


@dataclass(frozen=True, eq=False)
class NiqeScores:
    """NIQE of each image of a set.

    Attributes:
        values: float64 (n,); smaller is more natural.
        mean: of `values`.
        names: relative path of each file, or its number.
        crop: pixels cut off every border.
        block: side of a block.
        model: where the pristine model came from.
        model_sha256: of its file, or None for one that was fitted in this process.
    """

    values: NDArray[np.float64]
    mean: float
    names: tuple[str, ...]
    crop: int
    block: int
    model: str
    model_sha256: str | None

    def worst(self, k: int = 10) -> list[tuple[str, float]]:
        """Name and value of the `k` least natural images, worst first."""
        order = np.argsort(-self.values, kind="stable")[: max(k, 0)]
        return [(self.names[i], float(self.values[i])) for i in order]


def niqe_scores(
    images: Images,
    model: PristineModel | str | Path | None = None,
    *,
    crop: int = 0,
    advance: Callable[[int], object] | None = None,
) -> NiqeScores:
    """NIQE of every image of a set.

    Args:
        images: a folder, a `.npy` file, a prepared set or uint8 (n, h, w, c).
        model: a model, its file, or None as in `PristineModel.load`.
        crop: pixels cut off every border.
        advance: called with 1 after each image.

    Raises:
        DataError, ConfigError, MetricError: as `niqe`. WeightsError, DownloadError: the model.
    """
    source = open_source(images)
    model = model if isinstance(model, PristineModel) else PristineModel.load(model)
    values = []
    for i in range(len(source)):
        values.append(niqe(source.pixels(i), model, crop=crop, name=source.called(i)))
        if advance is not None:
            advance(1)
    names: Iterable[str] = map(str, range(len(source))) if source.names is None else source.names
    return NiqeScores(
        np.array(values), float(np.mean(values)), tuple(names), crop, model.block, model.label, model.sha256
    )


def block_features(grey: NDArray[np.float64], block: int = BLOCK) -> NDArray[np.float64]:
    """The 36 features of each block, float64 (blocks, 36): 18 at full size, 18 at half; nan in a flat block.

    Args:
        grey: float64 (h, w), values 0..255.
        block: side of a block, even.

    Raises:
        DataError: smaller than a block.
    """
    return _blocks(grey, block, "image", 1)[0]


def _blocks(
    grey: NDArray[np.float64], block: int, name: str, least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features (blocks, 36) and sharpness (blocks,), that is the mean local deviation at the finer scale."""
    rows, columns = grey.shape[0] // block, grey.shape[1] // block
    if rows * columns < least:
        raise DataError(
            f"{name}: {grey.shape[0]}x{grey.shape[1]} pixels hold {rows * columns} blocks of {block}x{block}, NIQE "
            f"needs {least}.",
            "Judge larger images, or fit a model with smaller blocks: PristineModel.fit(..., block=...)",
        )
    grey = grey[: rows * block, : columns * block]
    features = []
    sharpness = np.zeros(0)
    for side in (block, block // 2):
        mean = _local_mean(grey)
        deviation = np.sqrt(np.abs(_local_mean(grey * grey) - mean * mean))
        normal = (grey - mean) / (deviation + 1)
        normal[np.abs(normal) < _ROUNDING] = 0
        features.append(_describe(_cut(normal, side)))
        if side == block:
            sharpness = _cut(deviation, side).mean((1, 2))
            # MATLAB resizes values 0..1; a linear filter does not mind.
            grey = _half(_half(grey).T).T
    return np.concatenate(features, 1), sharpness


def _cut(x: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """(rows * side, columns * side) -> (rows * columns, side, side)."""
    rows, columns = x.shape[0] // side, x.shape[1] // side
    return x.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _local_mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian mean around every pixel, border pixels repeated outwards."""
    at = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(at**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    x = np.pad(x, _WINDOW // 2, mode="edge")
    for _ in range(2):  # rows, then columns
        size = len(x) - _WINDOW + 1
        out = weights[0] * x[:size]
        for i in range(1, _WINDOW):
            out += weights[i] * x[i : i + size]
        x = out.T
    return x


def _cubic(x: float) -> float:
    """Keys' kernel with a = -0.5, MATLAB's `cubic`."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


# Pixel k of the half image lies between pixels 2k and 2k + 1; the kernel is stretched by 2 and reaches four each way.
_HALF = tuple(0.5 * _cubic((i - 3.5) / 2) for i in range(8))


def _half(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half as many rows, by MATLAB's antialiased bicubic with mirrored borders; the number of rows is even."""
    x = np.pad(x, ((3, 4), (0, 0)), mode="symmetric")
    size = len(x) - 7
    total = sum(_HALF)
    out = _HALF[0] / total * x[:size:2]
    for i in range(1, 8):
        out += _HALF[i] / total * x[i : i + size : 2]
    return out


def _describe(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """18 features of blocks (n, side, side): fits of the values and of the products with four neighbours."""
    shape, left, right = _fit(blocks)
    columns = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _fit(blocks * np.roll(blocks, shift, (1, 2)))
        # Equation 8: the mean of the fitted distribution.
        mean = (right - left) * _gamma_of(2 / shape) / _gamma_of(1 / shape)
        columns += [shape, mean, left, right]
    return np.stack(columns, 1)


def _fit(blocks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shape and two scales, (n,) each, of the asymmetric generalised Gaussian of each block's values.

    Equation 7, by moments (Lasmar, Stitou and Berthoumieu 2009); shapes from a table of 0.2 to 10 in steps of 0.001.
    """
    x = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):  # a flat block has neither side: nan, which is dropped later
        left = np.sqrt((x * x * (x < 0)).sum(1) / (x < 0).sum(1))
        right = np.sqrt((x * x * (x > 0)).sum(1) / (x > 0).sum(1))
        ratio = left / right
        moments = np.abs(x).mean(1) ** 2 / (x * x).mean(1)
        wanted = moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios = _table()
    # argmin takes the first entry for nan, as the originals do.
    shape = np.array([shapes[np.argmin((ratios - value) ** 2)] for value in wanted])
    scale = np.sqrt(_gamma_of(1 / shape) / _gamma_of(3 / shape))
    return shape, left * scale, right * scale


def _gamma_of(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([math.gamma(value) for value in x])


@functools.cache
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, _gamma_of(2 / shapes) ** 2 / (_gamma_of(1 / shapes) * _gamma_of(3 / shapes))
