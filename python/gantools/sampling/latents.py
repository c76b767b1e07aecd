"""Latents, each a function of a seed and its number alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def latents(seed: int, start: int, n: int, dim: int) -> NDArray[np.float32]:
    """Latents N(0, 1) of images start..start+n-1, float32 (n, dim); row i depends on (seed, start + i) alone."""
    rows = np.empty((n, dim), np.float32)
    for i in range(n):
        key = np.array([seed, start + i], np.uint64)
        np.random.Generator(np.random.Philox(key=key)).standard_normal(out=rows[i], dtype=np.float32)
    return rows
