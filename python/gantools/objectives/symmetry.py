"""How unlike the two halves of a face are.

Images are float (n, c, h, w) with an even w; every value is a mean, computed in float32, a scalar.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def asymmetry(x: Tensor) -> Tensor:
    """E|x[i, w - 1 - j] - sg(x[i, j])| over the left half's columns j: the right half, mirrored, is drawn to the left.

    sg takes no gradient: the left half is what is seen of a face that looks to the right, and is not to be spoiled by
    the right half, which is made up. Source: Huang et al. 2017 (arXiv:1704.04086), equation 6; the stop as in the
    authors' code (`symL1`), which the paper does not mention.
    """
    left, right = x.float().chunk(2, 3)
    return (right.flip(3) - left.detach()).abs().mean()


def with_edges(x: Tensor) -> Tensor:
    """Images (n, c, h, w) beside 8 x[i, j] - Σ of the eight neighbours, of each channel, zeros around: (n, 2c, h, w).

    The Laplacian that the authors' code has beside the images of half and quarter size in the symmetry loss.
    """
    c = x.shape[1]
    kernel = -torch.ones(c, 1, 3, 3, dtype=x.dtype, device=x.device)
    kernel[:, :, 1, 1] = 8
    return torch.cat((x, F.conv2d(x, kernel, padding=1, groups=c)), 1)
