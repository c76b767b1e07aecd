"""Warps of a foreground onto a background: parameters that are 0 for none, grids to sample by, and how to compose.

Coordinates are normalised as `grid_sample` has them without aligned corners: (-1, -1) is the upper left corner of the
frame, (1, 1) the lower right one, and the centres of pixels lie half a pixel inside. A warp leads from places of the
frame to places of the foreground's canvas, so what is to be small on the frame is stretched.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.precision import wide

Kind = Literal["homography", "affine", "tps"]

#: Terms of the series of a matrix's exponential, the identity counted. Source: the code of ST-GAN (arXiv:1803.01837).
TERMS = 20
#: Homogeneous coordinates below this are behind the eye.
_NEAR = 1e-3
#: Where places behind the eye are sent: outside any canvas, all to one, so that they count as folded.
_FAR = 1e3
#: How many times the frame's side `outside` looks at.
_EXTENT = 3.0


def exponential(a: Tensor, terms: int = TERMS) -> Tensor:
    """Σ_k Aᵏ / k! over k < `terms`, of matrices float (n, d, d), in float32 at least."""
    a = wide(a)
    total = term = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand_as(a)
    for k in range(1, terms):
        # Products by elements: a matrix product might be computed in half precision.
        term = (term[..., :, :, None] * a[..., None, :, :]).sum(-2) / k
        total = total + term
    return total


def homography_matrix(p: Tensor) -> Tensor:
    """exp A(p), float (n, 3, 3) of determinant 1, of p float (n, 8) in the algebra sl(3); p = 0 is the identity.

    A = [[p1, p2, p3], [p4, -p1 - p8, p5], [p6, p7, p8]]. Two warps are composed by adding their p, which is the product
    of the matrices where these commute, and near it where they are near the identity.
    Source: Lin et al. 2018 (arXiv:1803.01837), section 3.1; Mei et al. 2008 for the algebra.
    """
    p1, p2, p3, p4, p5, p6, p7, p8 = wide(p).unbind(1)
    return exponential(torch.stack((p1, p2, p3, p4, -p1 - p8, p5, p6, p7, p8), 1).reshape(-1, 3, 3))


def affine_matrix(p: Tensor) -> Tensor:
    """exp [[p1, p2, p3], [p4, p5, p6], [0, 0, 0]], float (n, 3, 3), of p float (n, 6): never mirrored, never folded."""
    p1, p2, p3, p4, p5, p6 = wide(p).unbind(1)
    nought = torch.zeros_like(p1)
    return exponential(torch.stack((p1, p2, p3, p4, p5, p6, nought, nought, nought), 1).reshape(-1, 3, 3))


def frame(height: int, width: int, like: Tensor, extent: float = 1.0) -> tuple[Tensor, Tensor]:
    """x float (width,) and y (height,): centres of the pixels of a frame whose sides are `extent` times 2 long."""
    x = (2 * torch.arange(width, device=like.device, dtype=like.dtype) + 1) / width - 1
    y = (2 * torch.arange(height, device=like.device, dtype=like.dtype) + 1) / height - 1
    return extent * x, extent * y


class MatrixWarp(nn.Module):
    """A warp by a matrix: of 8 numbers (`homography`) or 6 (`affine`)."""

    def __init__(self, kind: Literal["homography", "affine"]) -> None:
        super().__init__()
        self.kind = kind
        self.count = 8 if kind == "homography" else 6

    def forward(self, p: Tensor, height: int, width: int, extent: float = 1.0) -> Tensor:
        """Places float (n, height, width, 2) of the canvas, for parameters float (n, count)."""
        m = (homography_matrix if self.kind == "homography" else affine_matrix)(p)[..., None, None]
        x, y = frame(height, width, m, extent)
        y = y[:, None]
        rows = [m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in range(3)]
        front = rows[2] > _NEAR
        # What is not chosen must not be divided by 0 either: its gradient would be no number.
        depth = torch.where(front, rows[2], torch.ones_like(rows[2]))
        return torch.stack([torch.where(front, row / depth, _FAR) for row in rows[:2]], -1)


class SplineWarp(nn.Module):
    """A thin-plate spline: 2 `points`² numbers, how far each of a lattice of places of the frame is led astray.

    f(v) = v + Σ_i w_i U(|v - c_i|) + A (1, v), U(r) = r² log r², which bends least of all that lead each c_i to c_i +
    d_i. Source: Bookstein 1989, Principal warps.
    """

    solve: Tensor
    centres: Tensor

    def __init__(self, points: int) -> None:
        super().__init__()
        if points < 2:
            raise ValueError("a spline needs at least 2 points a side")
        self.count = 2 * points * points
        at = torch.linspace(-1, 1, points, dtype=torch.float64, device="cpu")
        centres = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).reshape(-1, 2)
        n = len(centres)
        affine = torch.cat((torch.ones(n, 1, dtype=centres.dtype, device="cpu"), centres), 1)
        system = torch.zeros(n + 3, n + 3, dtype=centres.dtype, device="cpu")
        system[:n, :n] = _bending(centres, centres)
        system[:n, n:], system[n:, :n] = affine, affine.T
        solved = torch.linalg.inv(system)[:, :n].to(torch.get_default_dtype())
        # Not saved: they follow from the number of points.
        self.register_buffer("solve", solved, persistent=False)
        self.register_buffer("centres", centres.to(torch.get_default_dtype()), persistent=False)

    def forward(self, p: Tensor, height: int, width: int, extent: float = 1.0) -> Tensor:
        """Places float (n, height, width, 2) of the canvas, for parameters float (n, count): x and y of each point."""
        p = wide(p)
        x, y = frame(height, width, p, extent)
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
        basis = torch.cat((_bending(places, self.centres), torch.ones_like(places[:, :1]), places), 1)
        weights = basis @ self.solve
        moved = (weights[None, :, :, None] * p.reshape(len(p), 1, -1, 2)).sum(2)
        return (places + moved).reshape(len(p), height, width, 2)


def _bending(a: Tensor, b: Tensor) -> Tensor:
    square = (a[:, None] - b[None]).square().sum(-1)
    return square * (square + 1e-12).log()


Warp = MatrixWarp | SplineWarp


def make_warp(kind: Kind, points: int = 6) -> Warp:
    """The warp of this kind; `points` a side of the lattice of a spline."""
    return SplineWarp(points) if kind == "tps" else MatrixWarp(kind)


def sample(images: Tensor, grid: Tensor) -> Tensor:
    """Images float (n, c, h, w) at places (n, h', w', 2), bilinear; 0 outside, corners not aligned."""
    return F.grid_sample(wide(images), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class Composed(NamedTuple):
    """A foreground on its background.

    Attributes:
        images: float (n, c, h, w).
        alpha: the warped opacity float (n, 1, h, w).
    """

    images: Tensor
    alpha: Tensor


def lay(warped: Tensor, background: Tensor) -> Composed:
    """α F + (1 - α) B of a warped foreground float (n, c + 1, h, w): c channels α F, then α, warped as they are.

    Colours are multiplied by α before they are warped, so that those of transparent pixels do not bleed into the edges;
    where α is 0, the background keeps its bits.
    """
    alpha = warped[:, -1:]
    return Composed(warped[:, :-1] + (1 - alpha) * wide(background), alpha)


def folded(grid: Tensor) -> Tensor:
    """The share of a grid's cells that are turned over, float (n,): those whose Jacobian is not above 0."""
    right = grid[:, :-1, 1:] - grid[:, :-1, :-1]
    down = grid[:, 1:, :-1] - grid[:, :-1, :-1]
    jacobian = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    return (jacobian <= 0).to(grid.dtype).mean((1, 2))


def wider(height: int, width: int) -> tuple[int, int, float]:
    """(height, width, extent) of a grid on which `outside` looks beyond the frame."""
    return 2 * height, 2 * width, _EXTENT


def outside(alpha: Tensor) -> Tensor:
    """The share of an opacity float (n, 1, h, w) on a `wider` grid that lies outside the frame, float (n,).

    0 where there is none at all, or where all of it is beyond the wider grid, too.
    """
    x, y = (c.abs() <= 1 for c in frame(alpha.shape[2], alpha.shape[3], alpha, _EXTENT))
    inside = (y[:, None] & x[None]).to(alpha.dtype)
    total = alpha.sum((1, 2, 3))
    return 1 - torch.where(total > 0, (alpha * inside).sum((1, 2, 3)) / total.clamp(min=1e-12), torch.ones_like(total))


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images float (n, c, h, w) under a Gaussian of `sigma` pixels, cut at 3 sigma, its edge pixels repeated beyond."""
    if sigma <= 0:
        return images
    radius = math.ceil(3 * sigma)
    at = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (at / sigma).square())
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    x = F.pad(images, (radius, radius, radius, radius), mode="replicate")
    x = F.conv2d(x, kernel, groups=images.shape[1])
    return F.conv2d(x, kernel.transpose(2, 3), groups=images.shape[1])
