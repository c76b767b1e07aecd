"""Adaptive discriminator augmentation: pixel blitting, geometry and colour, as often as the discriminator overfits.

Source: Karras et al. 2020 (arXiv:2006.06676), section 3 and appendix B; the pipe that they call `bgc`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.precision import wide

#: The low-pass filter of the wavelet sym6: orthonormal to its own even shifts, so that doubling an image with it and
#: halving again changes nothing (Daubechies 1992, Ten Lectures on Wavelets, table 6.3).
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)

#: Random numbers that `Ada` takes for an image: uniform ones (13 that decide what is applied, then 8), and normal ones.
UNIFORMS, NORMALS = 21, 7


class Affine(NamedTuple):
    """x' = a x + b y + c, y' = d x + e y + f of each sample: float (n,) each.

    Written out, because products of matrices may be rounded to ten bits on a GPU: half a pixel of a large image.
    """

    a: Tensor
    b: Tensor
    c: Tensor
    d: Tensor
    e: Tensor
    f: Tensor

    def after(self, g: Affine) -> Affine:
        """First `g`, then this."""
        return Affine(
            self.a * g.a + self.b * g.d,
            self.a * g.b + self.b * g.e,
            self.a * g.c + self.b * g.f + self.c,
            self.d * g.a + self.e * g.d,
            self.d * g.b + self.e * g.e,
            self.d * g.c + self.e * g.f + self.f,
        )

    def at(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Where it takes x (w,) and y (h,): float (n, h, w) each."""
        a, b, c, d, e, f = (t[:, None, None] for t in self)
        x, y = x[None, None, :], y[None, :, None]
        return a * x + b * y + c, d * x + e * y + f


def scaled(x: Tensor, y: Tensor) -> Affine:
    """Scaling by `x` and `y`, float (n,)."""
    zero = torch.zeros_like(x)
    return Affine(x, zero, zero, zero, y, zero)


def moved(x: Tensor, y: Tensor) -> Affine:
    """Translation by `x` and `y`, float (n,)."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return Affine(one, zero, x, zero, one, y)


def turned(cos: Tensor, sin: Tensor) -> Affine:
    """Rotation by an angle with these `cos` and `sin`, float (n,)."""
    zero = torch.zeros_like(cos)
    return Affine(cos, -sin, zero, sin, cos, zero)


def reflected(at: Tensor, size: int) -> Tensor:
    """Places `at` in pixels, mirrored at the centres of the first and last one until they are in [0, size - 1]."""
    period = 2 * (size - 1)
    at = torch.remainder(at, period)
    return torch.minimum(at, period - at)


def blitted(x: Tensor, back: Affine) -> Tensor:
    """`x` moved by whole pixels: float (n, c, h, w), each pixel a copy of one.

    Args:
        x: images.
        back: for each pixel of the result, in pixels from the centre, where it comes from.
    """
    n, c, h, w = x.shape
    columns, rows = (torch.arange(size, device=x.device, dtype=x.dtype) - (size - 1) / 2 for size in (w, h))
    at_x, at_y = back.at(columns, rows)
    column = reflected(at_x + (w - 1) / 2, w).round().long()
    row = reflected(at_y + (h - 1) / 2, h).round().long()
    at = (row * w + column).flatten(1)[:, None].expand(n, c, h * w)
    return x.flatten(2).gather(2, at).reshape(n, c, h, w)


def warped(x: Tensor, back: Affine, taps: Tensor) -> Tensor:
    """`x` under an affine map, mirrored at its border: float (n, c, h, w).

    The image is doubled, sampled bilinearly at twice its resolution and halved, with a wavelet's filter both times: an
    interpolation nearly without blur, whose identity is the identity.

    Args:
        x: images.
        back: for each pixel of the result, in pixels from the centre, where it comes from.
        taps: `SYM6`, float (12,).
    """
    c, h, w = x.shape[1:]
    kernel = taps.to(x.dtype)
    across, down = kernel.expand(c, 1, 1, -1), kernel[:, None].expand(c, 1, -1, 1)
    root = math.sqrt(2.0)
    # Pixel k of a doubled image is at (k - 1/2) / 2; five more on each side, which the halving filter reaches.
    large = F.pad(x, (6, 6, 6, 6), mode="reflect")
    large = F.conv_transpose2d(large, across * root, stride=(1, 2), groups=c)
    large = F.conv_transpose2d(large, down * root, stride=(2, 1), groups=c)[..., 12 : 22 + 2 * h, 12 : 22 + 2 * w]
    columns, rows = (
        (torch.arange(-5, 2 * size + 5, device=x.device, dtype=x.dtype) - 0.5) / 2 - (size - 1) / 2 for size in (w, h)
    )
    at_x, at_y = back.at(columns, rows)
    at_x, at_y = (
        2 * torch.where((at < -2.75) | (at > size + 1.75), reflected(at, size), at) + 5.5
        for at, size in ((at_x + (w - 1) / 2, w), (at_y + (h - 1) / 2, h))
    )
    grid = torch.stack([2 * at_x / (2 * w + 9) - 1, 2 * at_y / (2 * h + 9) - 1], 3)
    large = F.grid_sample(large, grid, mode="bilinear", padding_mode="border", align_corners=True)
    large = F.conv2d(large, across / root, stride=(1, 2), groups=c)
    return F.conv2d(large, down / root, stride=(2, 1), groups=c)


class Ada(nn.Module):
    """Augments images, each step with strength `p`, and adjusts `p` to how the discriminator fares on real images.

    With strength p a flip, a rotation by quarters and each further step are applied with probability p. At p = 0 images
    stay what they are, to the bit.

    Attributes:
        p: the strength, a number in [0, 1].
        signs, rows, steps: sum of sign(D(real)), images and steps since `p` was last adjusted.
    """

    p: Tensor
    signs: Tensor
    rows: Tensor
    steps: Tensor
    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("p", "signs", "rows", "steps"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("taps", torch.tensor(SYM6), persistent=False)

    def forward(self, x: Tensor, uniform: Tensor, normal: Tensor, p: Tensor | None = None) -> Tensor:
        """Augmented images.

        Args:
            x: float (n, c, h, w) in [-1, 1], h = w, c 1 or 3.
            uniform: numbers in [0, 1), float (n, UNIFORMS).
            normal: numbers N(0, 1), float (n, NORMALS).
            p: the strength in place of its own, a 0-dim tensor.

        Returns:
            float (n, c, h, w), at least float32; twice differentiable with respect to `x`.
        """
        p = self.p if p is None else p
        with torch.autocast(x.device.type, enabled=False):
            x = wide(x)
            return coloured(placed(x, uniform, normal, p, self.taps), uniform, normal, p)

    def adjust(self, sign: Tensor, n: int, target: float, kimg: float, every: int = 4) -> None:
        """Move `p` towards where E[sign(D(real))] is `target`, so fast that it goes from 0 to 1 in `kimg`.

        Source: Karras et al. 2020 (arXiv:2006.06676), section 3.1, r_t; every four batches as there.

        Args:
            sign: mean of sign(D(real)) over a batch, 0-dim.
            n: images of the batch.
            target: of r_t, 0.6 in the paper.
            kimg: thousand images from 0 to 1.
            every: steps between two adjustments.
        """
        self.signs.add_(sign.to(self.signs.dtype) * n)
        self.rows.add_(n)
        self.steps.add_(1)
        due = (self.steps >= every).to(self.p.dtype)
        step = torch.sign(self.signs / self.rows - target) * self.rows / (kimg * 1000)
        self.p.add_(due * step).clamp_(0, 1)
        for memory in (self.signs, self.rows, self.steps):
            memory.mul_(1 - due)


def placed(x: Tensor, uniform: Tensor, normal: Tensor, p: Tensor, taps: Tensor) -> Tensor:
    """`x` flipped, turned by quarters, moved by whole pixels; then scaled, turned, stretched and moved by any amount."""
    size = x.shape[-1]
    apply = uniform[:, :8] < p
    flip, quarter, right, below, before, after = uniform[:, 13:19].unbind(1)
    scale, stretch, across, down = normal[:, :4].unbind(1)
    one, zero = torch.ones_like(flip), torch.zeros_like(flip)

    flip = torch.where(apply[:, 0], 1 - 2 * (2 * flip).floor(), one)
    quarter = torch.where(apply[:, 1], (4 * quarter).floor(), zero) * (math.pi / 2)
    # Up to an eighth of the image, by whole pixels.
    right, below = (torch.where(apply[:, 2], ((2 * t - 1) * (size / 8)).round(), zero) for t in (right, below))
    back = scaled(flip, one)
    back = back.after(turned(quarter.cos().round(), quarter.sin().round()))
    back = back.after(moved(-right, -below))
    exact = blitted(x, back)

    # Both rotations together are applied with probability p.
    once = 1 - (1 - p).clamp(0, 1).sqrt()
    rotate = uniform[:, (4, 6)] < once
    scale = torch.where(apply[:, 3], torch.exp2(0.2 * scale), one)
    before, after = (torch.where(rotate[:, i], (2 * t - 1) * math.pi, zero) for i, t in enumerate((before, after)))
    stretch = torch.where(apply[:, 5], torch.exp2(0.2 * stretch), one)
    across, down = (torch.where(apply[:, 7], 0.125 * size * t, zero) for t in (across, down))
    back = back.after(scaled(1 / scale, 1 / scale))
    back = back.after(turned(before.cos(), before.sin()))
    back = back.after(scaled(1 / stretch, stretch))
    back = back.after(turned(after.cos(), after.sin()))
    back = back.after(moved(-across, -down))
    bent = apply[:, 3] | rotate.any(1) | apply[:, 5] | apply[:, 7]
    return torch.where(bent[:, None, None, None], warped(x, back, taps), exact)


def coloured(x: Tensor, uniform: Tensor, normal: Tensor, p: Tensor) -> Tensor:
    """`x` with another brightness and contrast; of colours, the luma inverted, hue turned, saturation changed."""
    apply = (uniform[:, 8:13] < p)[:, :, None, None, None]
    luma, hue = uniform[:, 19:21, None, None, None].unbind(1)
    brightness, contrast, saturation = normal[:, 4:7, None, None, None].unbind(1)
    x = torch.where(apply[:, 0], x + 0.2 * brightness, x)
    x = torch.where(apply[:, 1], x * torch.exp2(0.5 * contrast), x)
    if x.shape[1] == 1:
        return x
    x = torch.where(apply[:, 2], x - 2 * (2 * luma).floor() * x.mean(1, keepdim=True), x)
    # Rodrigues' rotation about the axis of greys.
    angle = (2 * hue - 1) * math.pi
    product = (x.roll(1, 1) - x.roll(-1, 1)) / math.sqrt(3.0)
    turned_hue = angle.cos() * x + angle.sin() * product + (1 - angle.cos()) * x.mean(1, keepdim=True)
    x = torch.where(apply[:, 3], turned_hue, x)
    grey = x.mean(1, keepdim=True)
    return torch.where(apply[:, 4], grey + (x - grey) * torch.exp2(saturation), x)
