"""Directions from linear algebra: of weights, and of how features vary. All in float64, all deterministic."""

from __future__ import annotations

import torch
from torch import Tensor


def oriented(vectors: Tensor) -> Tensor:
    """Rows of length one, the largest entry of each positive: eigenvectors have no sign of their own."""
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors)


def closed_form(weights: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The n eigenvectors of AᵀA with the largest eigenvalues: the directions by which A changes its output the most.

    Source: Shen and Zhou 2021 (arXiv:2007.06600), equations 4 to 6. The authors' code makes each row of A one long
    first; the paper, and this, does not.

    Args:
        weights: A, float (out, dim).
        n: at most so many; those with an eigenvalue of 0 are left out.

    Returns:
        float64 (k, dim), each of length one, and their eigenvalues (k,).
    """
    a = weights.double()
    values, vectors = torch.linalg.eigh(a.T @ a)
    values, vectors = values.flip(0)[:n], vectors.flip(1)[:, :n]
    keep = values > values[:1] * 1e-10
    return oriented(vectors.T[keep]), values[keep]


def principal(points: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components of points.

    Source: Härkönen et al. 2020 (arXiv:2004.02546), section 3.1.

    Args:
        points: float (m, dim), m >= 2.
        n: at most so many; those without variance are left out.

    Returns:
        float64 (k, dim), each of length one; the share of all variance of each (k,); and the coordinates of the points
        along them (m, k), around their mean.
    """
    x = points.double()
    x = x - x.mean(0)
    m, dim = x.shape
    # The smaller one of both problems.
    values, vectors = torch.linalg.eigh(x.T @ x if dim <= m else x @ x.T)
    values, vectors = values.flip(0), vectors.flip(1)
    total = values.clamp(min=0).sum()
    keep = values[:n] > total * 1e-12
    values, vectors = values[:n][keep], vectors[:, :n][:, keep]
    components = oriented((vectors if dim <= m else x.T @ vectors).T)
    return components, values / total, x @ components.T


def regressed(latents: Tensor, coordinates: Tensor) -> Tensor:
    """The latents' directions along which coordinates grow: U of min Σ ‖z - U x‖², columns as rows, each of length one.

    Source: Härkönen et al. 2020 (arXiv:2004.02546), section 3.1, "Isotropic latent": equation 2.

    Args:
        latents: float (m, dim).
        coordinates: float (m, k), of mean 0.

    Returns:
        float64 (k, dim).
    """
    z = latents.double()
    solution: Tensor = torch.linalg.lstsq(coordinates.double(), z - z.mean(0)).solution
    lengths: Tensor = solution.norm(dim=1, keepdim=True)
    return solution / lengths
