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

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError, unknown_name

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
# Values that a filter passes over at a time: a strip of rows and its dozen intermediate results stay in the processor's
# cache.
_STRIP_VALUES = 1 << 15


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


#: What scores pairs of `planes`, by the name of the metric: float64 (n,).
OF_PLANES: dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]] = {
    "psnr": _psnr,
    "ssim": _ssim,
    "ms-ssim": _ms_ssim,
}
