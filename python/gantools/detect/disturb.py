"""What may happen to a picture on its way: JPEG, blur, another size. The same for real and generated ones.

Without it a detector learns how files were made and not who made the picture: one that was trained on JPEGs and PNGs
tells JPEGs from PNGs. All of it is computed where the network is, with random numbers that are handed in.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gantools.detect.networks import dct_matrix

#: Chances that a picture is scaled, blurred, and saved as a JPEG.
CHANCE = 0.5
#: Range of the scale, the largest deviation of the blur in pixels, range of the JPEG's quality.
SCALES, BLUR, QUALITIES = (0.9, 1.1), 1.5, (60, 100)
#: Deviation, in levels, of the noise that no training sees.
NOISE = 4.0

# ITU-T T.81, tables K.1 and K.2: quantisation of luminance and chrominance.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# JFIF 1.02: from red, green and blue to Y, Cb and Cr without their offset of 128.
_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))


def quantisation(quality: Tensor, table: Tensor) -> Tensor:
    """The table of a quality, as libjpeg scales it (`jpeg_quality_scaling`, `jpeg_add_quant_table`).

    s = 5000 / q below 50, else 200 - 2 q; floor((t s + 50) / 100), within 1 to 255.

    Args:
        quality: float (n,) of whole numbers 1 to 100.
        table: float (8, 8).

    Returns:
        float (n, 8, 8).
    """
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((table * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def jpeg(levels: Tensor, quality: Tensor, halved: Tensor | None = None) -> Tensor:
    """What is left of images that were saved as baseline JPEGs and opened again.

    Args:
        levels: float (n, c, h, w), whole numbers 0 to 255, c 1 or 3.
        quality: float (n,) of whole numbers 1 to 100.
        halved: whose colour is kept at half the size (4:2:0), bool (n,); None: no one's.

    Returns:
        As `levels`. In colour a few values differ from a library's by a level or two, since those round within.
    """
    _, c, h, w = levels.shape
    x = F.pad(levels, (0, -w % 16, 0, -h % 16), "replicate")
    turn = torch.tensor(_YCC, device=x.device)
    if c == 3:
        x = torch.einsum("ij,njhw->nihw", turn, x) + torch.tensor([0.0, 128, 128], device=x.device)[:, None, None]
        x = x.round()
    colour = x[:, 1:]
    luminance, chrominance = (torch.tensor(t, dtype=x.dtype, device=x.device) for t in (_LUMINANCE, _CHROMINANCE))
    y = _quantised(x[:, :1], quantisation(quality, luminance))
    if c == 3:
        tables = quantisation(quality, chrominance)
        whole = _quantised(colour, tables)
        if halved is not None:
            small = _quantised(F.avg_pool2d(colour, 2).round(), tables)
            half = F.interpolate(small, scale_factor=2, mode="bilinear").round()
            whole = torch.where(halved[:, None, None, None], half, whole)
        y = torch.cat((y, whole - 128), 1)
        y = torch.einsum("ij,njhw->nihw", torch.linalg.inv(turn.double()).to(y.dtype), y)
    return y.round().clamp(0, 255)[:, :, :h, :w]


def _quantised(x: Tensor, tables: Tensor) -> Tensor:
    """Levels (n, c, h, w) whose blocks of 8x8 were transformed, divided by (n, 8, 8), rounded and brought back."""
    n, c, h, w = x.shape
    turn = dct_matrix(8).to(x)
    blocks = x.sub(128).unfold(2, 8, 8).unfold(3, 8, 8)  # (n, c, rows, columns, 8, 8)
    table = tables[:, None, None, None]
    back = turn.T @ ((turn @ blocks @ turn.T / table).round() * table) @ turn
    whole = back.transpose(3, 4).reshape(n, c, h, w)
    return whole.add(128).round().clamp(0, 255)


def scaling(size: int, scale: Tensor) -> Tensor:
    """Rows that scale a line of pixels about its middle, linearly between neighbours: float (n, size, size).

    Args:
        size: pixels.
        scale: float (n,); beyond the ends the last pixel goes on. 1: the unit matrix.
    """
    at = torch.arange(size, device=scale.device, dtype=scale.dtype)
    middle = (size - 1) / 2
    wanted = ((at - middle) / scale[:, None] + middle).clamp(0, size - 1)
    return (1 - (wanted[:, :, None] - at).abs()).clamp_min(0)


def blurring(size: int, deviation: Tensor) -> Tensor:
    """Rows that blur a line of pixels by a Gaussian, whose weights within the line add up to 1: float (n, size, size).

    Args:
        size: pixels.
        deviation: in pixels, float (n,); 0: the unit matrix.
    """
    at = torch.arange(size, device=deviation.device, dtype=deviation.dtype)
    far = (at[:, None] - at).square()
    weights = torch.exp(-far / (2 * deviation.clamp_min(1e-3).square())[:, None, None])
    return weights / weights.sum(2, keepdim=True)


def disturb(levels: Tensor, random: Tensor) -> Tensor:
    """Images each scaled, blurred and saved as JPEGs, or not, by chance.

    Args:
        levels: float (n, c, h, w), whole numbers 0 to 255, c 1 or 3.
        random: what decides, uniform in [0, 1), float (n, 7).

    Returns:
        As `levels`.
    """
    scaled, scale, blurred, blur, saved, quality, halved = random.unbind(1)
    scale = torch.where(scaled < CHANCE, SCALES[0] + (SCALES[1] - SCALES[0]) * scale, torch.ones_like(scale))
    blur = torch.where(blurred < CHANCE, BLUR * blur, torch.zeros_like(blur))
    down, along = (blurring(size, blur) @ scaling(size, scale) for size in levels.shape[2:])
    levels = (down[:, None] @ levels @ along[:, None].transpose(2, 3)).round().clamp(0, 255)
    number = QUALITIES[0] + torch.floor((QUALITIES[1] - QUALITIES[0] + 1) * quality)
    as_jpeg = jpeg(levels, number, halved < CHANCE)
    return torch.where((saved < CHANCE)[:, None, None, None], as_jpeg, levels)


def noisy(levels: Tensor, random: Tensor) -> Tensor:
    """Images with Gaussian noise of 4 levels, which no training sees; `random` is N(0, 1) of their shape."""
    return (levels + NOISE * random).round().clamp(0, 255)


#: What may be done to levels before a network sees them, with the generator of its random numbers.
Change = Callable[[Tensor, torch.Generator], Tensor]


def by_chance(levels: Tensor, source: torch.Generator) -> Tensor:
    """`disturb` with numbers drawn from `source`, a generator of the CPU: the same on every device."""
    return disturb(levels, torch.rand(len(levels), 7, generator=source).to(levels.device))


def by_noise(levels: Tensor, source: torch.Generator) -> Tensor:
    """`noisy` with numbers drawn from `source`, likewise."""
    return noisy(levels, torch.randn(levels.shape, generator=source).to(levels.device))
