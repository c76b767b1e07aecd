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


def slerp(start: NDArray[np.float32], end: NDArray[np.float32], share: NDArray[np.float64]) -> NDArray[np.float32]:
    """Latents on the great circle from `start` to `end`: sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end.

    w is the angle between the two. On a straight line the middle would be shorter than latents N(0, 1) ever are, and
    its images poor. Source: White 2016 (arXiv:1609.04468), section 2.1.

    Args:
        start, end: (dim,).
        share: t of each, (n,), from 0 (start) to 1 (end).

    Returns:
        float32 (n, dim); `start` at 0 and `end` at 1. On a straight line where the two point the same way or opposite.
    """
    a, b, t = start.astype(np.float64), end.astype(np.float64), np.asarray(share, np.float64)[:, None]
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / lengths, -1.0, 1.0)) if lengths > 0 else 0.0
    if np.sin(angle) < 1e-6:
        weights = (1 - t, t)
    else:
        weights = (np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle))
    path: NDArray[np.float32] = (weights[0] * a + weights[1] * b).astype(np.float32)
    return path
