"""In which precision a layer computes what half precision would spoil."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """`x` in float32; float64 stays what it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
