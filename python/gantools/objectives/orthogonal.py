"""Orthogonal regularisation of a network's weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from gantools.layers.precision import wide


def orthogonality(weights: Iterable[Tensor]) -> Tensor:
    """½ Σ ‖WWᵀ ⊙ (1 - I)‖²_F: how far the rows of each W are from being at right angles, whatever their lengths.

    W is a weight as a matrix with a row an output channel; tensors of fewer than two dimensions count nothing. Its
    gradient is 2 (WWᵀ ⊙ (1 - I)) W, which the reference code adds to that of the loss, times its weight.

    Where W has more rows than columns the same is computed from WᵀW: ‖WWᵀ‖_F = ‖WᵀW‖_F, less the squared diagonal.

    Source: Brock et al. 2019 (arXiv:1809.11096), equation 3, with columns for rows and without the ½; rows and factor
    as in BigGAN-PyTorch, `utils.ortho`.

    Returns:
        A scalar, in float32 at least.

    Raises:
        ValueError: no tensor has two dimensions.
    """
    terms = []
    for weight in weights:
        if weight.dim() < 2:
            continue
        matrix = wide(weight).flatten(1)
        with torch.autocast(weight.device.type, enabled=False):
            if len(matrix) <= matrix.shape[1]:
                products = matrix @ matrix.t()
                terms.append((products - products.diag().diag()).square().sum())
            else:
                terms.append((matrix.t() @ matrix).square().sum() - matrix.square().sum(1).square().sum())
    if not terms:
        raise ValueError("orthogonality: no tensor of two dimensions")
    return 0.5 * torch.stack(terms).sum()
