"""Adaptive discriminator augmentation: real and generated images are changed alike, at random.

Each change is made to a row with probability p, which grows while the discriminator knows the training images by heart
and shrinks while it does not (Karras et al. 2020, arXiv:2006.06676, section 3.1). Its kinds and their ranges are those
of appendix B. What differs: flips, quarter turns and whole-pixel shifts move pixels and filter nothing; the other
geometric changes sample an image that was doubled by StyleGAN2's filter, where the authors use a wavelet; a row that is
not changed is returned as it is, to the bit.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.resample import Resample

Kind = Literal["b", "g", "c", "bg", "bc", "gc", "bgc", ""]

# Standard deviations and ranges of appendix B.
SHIFT, SCALE = 0.125, 0.2 * math.log(2)
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5 * math.log(2), math.log(2)
# Steps from one change of p to the next.
EVERY = 4
# Uniform and normal numbers that a row needs.
UNIFORMS, NORMALS = 21, 7


class Draws(Protocol):
    """Where random numbers come from, a row an image; a batch is one."""

    def normal(self, *shape: int) -> Tensor:
        """N(0, 1), float (n, *shape)."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), float (n, *shape)."""
        ...


class Augment(nn.Module):
    """Changes images at random, with a strength that follows how sure the discriminator is of real ones.

    Attributes:
        p: probability of each change, a scalar in [0, 1].
        signs: sum of the means of sign(D(real)) since p was changed last, and how many there were.

    """

    p: Tensor
    signs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(2))
        self.resample = Resample()

    def forward(self, x: Tensor, draws: Draws, kind: Kind = "bgc", p: float | None = None) -> Tensor:
        """Images float (n, c, h, w) in about [-1, 1], each changed by random numbers of its row.

        Args:
            x: the images, square.
            draws: the random numbers.
            kind: blits (flips, quarter turns, whole-pixel shifts), geometry, colours: any of `bgc`.
            p: the probability of each change; None: the one that is remembered.
        """
        if not kind:
            return x
        with torch.autocast(x.device.type, enabled=False):
            x = x if x.dtype == torch.float64 else x.float()
            u, z = draws.uniform(UNIFORMS).to(x.dtype), draws.normal(NORMALS).to(x.dtype)
            strength = self.p.to(x.dtype) if p is None else torch.full((), p, dtype=x.dtype, device=x.device)
            if "b" in kind:
                x = blit(x, u[:, :7], strength)
            if "g" in kind:
                x = self._transform(x, u[:, 7:14], z[:, :4], strength)
            return colour(x, u[:, 14:21], z[:, 4:7], strength) if "c" in kind else x

    @torch.no_grad()
    def adjust(self, sign: Tensor, n: int, target: float = 0.6, kimg: float = 500.0) -> None:
        """Move p by how sure the discriminator is of real images, every `EVERY` steps; nothing waits for the device.

        Args:
            sign: mean of sign(D(real)) over a step's batch, a scalar.
            n: images of that batch.
            target: p grows while the mean is above it, and shrinks below.
            kimg: thousands of images in which p could go from 0 to 1.
        """
        self.signs += torch.stack([sign.to(self.signs.dtype), torch.ones_like(self.signs[1])])
        due = self.signs[1] >= EVERY
        move = (self.signs[0] / self.signs[1] - target).sign() * (n * EVERY / (kimg * 1000.0))
        self.p.copy_(torch.where(due, (self.p + move).clamp(0, 1), self.p))
        self.signs.copy_(torch.where(due, torch.zeros_like(self.signs), self.signs))

    def _transform(self, x: Tensor, u: Tensor, z: Tensor, p: Tensor) -> Tensor:
        matrix, changed = geometry(u, z, p)
        # Sampled from an image of twice the size, so that what is turned is not blurred by the sampling itself.
        pad = x.shape[2] // 2
        wide = self.resample.up(F.pad(x, (pad, pad, pad, pad), mode="reflect"))
        grid = F.affine_grid(matrix, [*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]], align_corners=False)
        # The middle of the padded image is the image: its coordinates are half as far out.
        grid = grid * (x.shape[3] / (x.shape[3] + 2 * pad))
        moved = self.resample.down(F.grid_sample(wide, grid, padding_mode="reflection", align_corners=False))
        return torch.where(changed[:, None, None, None], moved, x)


def blit(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    """Mirror images, turn them by quarters, shift them by whole pixels up to an eighth, each with probability `p`.

    Args:
        x: float (n, c, h, w), square.
        u: uniform in [0, 1), (n, 7).
        p: scalar.
    """
    n, _, h, w = x.shape
    x = torch.where(((u[:, 0] < p) & (u[:, 1] < 0.5))[:, None, None, None], x.flip(3), x)
    quarters = torch.where(u[:, 2] < p, (u[:, 3] * 4).floor(), 0)[:, None, None, None]
    for number in (1, 2, 3):
        x = torch.where(quarters == number, x.rot90(number, (2, 3)), x)
    shifts = torch.where((u[:, 4] < p)[:, None], ((u[:, 5:7] * 2 - 1) * SHIFT * w).round(), 0).long()
    rows = _reflected(torch.arange(h, device=x.device)[None, :] - shifts[:, :1], h)
    columns = _reflected(torch.arange(w, device=x.device)[None, :] - shifts[:, 1:], w)
    index = torch.arange(n, device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _reflected(at: Tensor, size: int) -> Tensor:
    """Indices beyond an axis of `size`, mirrored at its ends."""
    at = at.abs()
    return torch.where(at >= size, 2 * size - 2 - at, at)


def geometry(u: Tensor, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Scaling, turning, stretching and shifting: matrices float (n, 2, 3) from where each pixel comes, in [-1, 1].

    Args:
        u: uniform in [0, 1), (n, 7).
        z: N(0, 1), (n, 4).
        p: scalar.

    Returns:
        The matrices, and bool (n,): which of them are not the identity.
    """
    # Turned before and after stretching; at least one of both with probability p.
    p_turn = 1 - (1 - p).clamp(min=0).sqrt()
    scaled, first, stretched, second, shifted = (
        u[:, 0] < p,
        u[:, 1] < p_turn,
        u[:, 2] < p,
        u[:, 3] < p_turn,
        u[:, 6] < p,
    )
    scale = torch.where(scaled, (z[:, 0] * SCALE).exp(), 1)
    along = torch.where(stretched, (z[:, 1] * SCALE).exp(), 1)
    matrix = _rotation(torch.where(first, (u[:, 4] * 2 - 1) * math.pi, 0)) * scale[:, None, None]
    matrix = matrix @ torch.diag_embed(torch.stack([along, 1 / along], 1))
    matrix = matrix @ _rotation(torch.where(second, (u[:, 5] * 2 - 1) * math.pi, 0))
    # An image is 2 wide in these coordinates.
    shift = torch.where(shifted[:, None], z[:, 2:4] * (2 * SHIFT), 0)
    return torch.cat([matrix, shift[:, :, None]], 2), scaled | first | stretched | second | shifted


def _rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)


def colour(x: Tensor, u: Tensor, z: Tensor, p: Tensor) -> Tensor:
    """Brightness, contrast, an inversion of the luma, hue and saturation, each with probability `p`.

    Args:
        x: float (n, 3, h, w), or (n, 1, h, w), which has neither hue nor saturation.
        u: uniform in [0, 1), (n, 7).
        z: N(0, 1), (n, 3).
        p: scalar.
    """
    on = u[:, :5] < p
    brightness = torch.where(on[:, 0], z[:, 0] * BRIGHTNESS, 0)[:, None, None, None]
    contrast = torch.where(on[:, 1], (z[:, 1] * CONTRAST).exp(), 1)[:, None, None, None]
    changed = on.any(1) if x.shape[1] == 3 else on[:, :3].any(1)
    y = (x + brightness) * contrast
    luma = y.mean(1, keepdim=True)
    inverted = (on[:, 2] & (u[:, 5] < 0.5))[:, None, None, None]
    y = torch.where(inverted, y - 2 * luma, y)
    if x.shape[1] == 3:
        axis = torch.full((3,), 3**-0.5, dtype=x.dtype, device=x.device)
        angle = torch.where(on[:, 3], (u[:, 6] * 2 - 1) * math.pi, 0)
        y = torch.einsum("nij,njhw->nihw", _turn_about(axis, angle), y)
        luma = y.mean(1, keepdim=True)
        saturation = torch.where(on[:, 4], (z[:, 2] * SATURATION).exp(), 1)[:, None, None, None]
        y = luma + (y - luma) * saturation
    return torch.where(changed[:, None, None, None], y, x)


def _turn_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations by `angle` (n,) about a unit axis (3,), float (n, 3, 3). Source: Rodrigues' formula."""
    x, y, z = axis.unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    identity = torch.eye(3, dtype=axis.dtype, device=axis.device)
    return identity * c + cross * s + torch.outer(axis, axis) * (1 - c)
