"""Latents, each a function of a seed and its number alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError
from gantools.files import atomic_write


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


def way(keys: NDArray[np.float32], n: int, closed: bool = True) -> NDArray[np.float32]:
    """Latents on great circles from key to key, float32 (n, dim), in even steps of the way's parts.

    Args:
        keys: (points, dim), at least 2.
        n: how many, at least 1; not closed: the first and the last key included, at least 2.
        closed: from the last key back to the first; the step after the last latent is the first again.
    """
    points = len(keys)
    if n < (1 if closed else 2) or points < 2:
        least = "1 frame" if closed else "2 frames"
        raise ConfigError(f"walk: at least {least} and 2 points, not {n} and {points}.")
    at = np.arange(n) * (points / n if closed else (points - 1) / (n - 1))
    leg = np.minimum(at.astype(np.int64), points - 1 if closed else points - 2)
    return np.concatenate([slerp(keys[i], keys[(i + 1) % points], at[leg == i] - i) for i in range(points)])


def blend(keys: NDArray[np.float32], x: float, y: float) -> NDArray[np.float32]:
    """The latent between four: on great circles along x above and below, then between these two along y.

    Args:
        keys: (4, dim): at (0, 0), (1, 0), (0, 1) and (1, 1).
        x, y: where, in [0, 1].

    Returns:
        float32 (1, dim); a key itself at a corner.
    """
    if len(keys) != 4:
        raise ConfigError(f"blend: of 4 latents, not of {len(keys)}.")
    share = np.array([x], np.float64)
    above, below = slerp(keys[0], keys[1], share)[0], slerp(keys[2], keys[3], share)[0]
    return slerp(above, below, np.array([y], np.float64))


def mix_styles(rows: NDArray[np.float32], columns: NDArray[np.float32], layers: tuple[int, int]) -> NDArray[np.float32]:
    """The styles of every row of images with some layers of every column's.

    Source: Karras et al. 2019 (arXiv:1812.04948), figure 3.

    Args:
        rows: styles (r, count, style): what is kept.
        columns: styles (c, count, style): what is taken.
        layers: the first layer that is taken and the one after the last, from 0 (coarsest) to count.

    Returns:
        float32 (r * c, count, style), row after row.
    """
    count, (low, high) = rows.shape[1], layers
    if not 0 <= low <= high <= count:
        raise ConfigError(f"layers: from 0 to {count}, the first no later than the last, not {low} to {high}.")
    mixed = np.repeat(rows, len(columns), 0)
    mixed[:, low:high] = np.tile(columns, (len(rows), 1, 1))[:, low:high]
    return mixed


def read_latents(path: Path) -> NDArray[np.float32]:
    """Latents (n, latent) or styles (n, count, style) in a `.npy` file, as float32.

    Raises:
        DataError: there is no such file, or no numbers of that many axes in it.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.", "Make one: gantools sample --save-latents") from None
    except (OSError, ValueError, EOFError) as e:
        raise DataError(f"{path}: not a readable .npy file.", "Make one: gantools sample --save-latents") from e
    if not isinstance(found, np.ndarray) or not np.issubdtype(found.dtype, np.floating) or found.ndim not in (2, 3):
        shape = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "an archive"
        raise DataError(f"{path}: expected floating point (n, latent) or (n, count, style), found {shape}.")
    if not np.isfinite(found).all():
        raise DataError(f"{path}: has numbers that are not finite.")
    return found.astype(np.float32, copy=False)


def write_array(path: Path, values: NDArray[np.float32]) -> None:
    """Writes a `.npy` file, whole or not at all."""
    with atomic_write(path) as f:
        # By bytes: numpy writes to a file of its own past Python, and a full disk is then said by no error number.
        np.lib.format.write_array_header_1_0(
            f, {"descr": values.dtype.str, "fortran_order": False, "shape": values.shape}
        )
        f.write(np.ascontiguousarray(values).data)
