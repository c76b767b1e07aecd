"""Images with transparency that a system puts on others, from a file of the user's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools._native import decode
from gantools.errors import ConfigError, GantoolsError


def read_foregrounds(
    path: str | Path | None, count: int, side: int, key: str = "game.foregrounds"
) -> tuple[NDArray[np.uint8], str]:
    """Foregrounds of a file or a folder: uint8 (count, side, side, 4), and the sha256 of these bytes.

    Args:
        path: a .npy of uint8 (count, side, side, 4), or a folder of PNG files with transparency, taken in the order of
            their names.
        count, side: what they must be.
        key: what names them in a recipe, for errors.

    Raises:
        ConfigError: there are none, others than asked for, or none that can be read.
    """
    give = f"Set {key}=PATH: a .npy of uint8 (n, side, side, 4), or a folder of PNG files with transparency"
    if path is None:
        raise ConfigError(f"{key}: what is to be put on the images?", f"{give}.")
    place = Path(path)
    if not place.exists():
        raise ConfigError(f"{key}: {place}: no such file or folder.", f"{give}.")
    levels = _of_folder(place, key) if place.is_dir() else _of_array(place, key)
    n, h, w, c = levels.shape
    if levels.dtype != np.uint8 or c != 4 or h != w or n < 1:
        raise ConfigError(
            f"{key}: {place}: holds {levels.dtype} {levels.shape}, and uint8 (n, side, side, 4) is wanted.", f"{give}."
        )
    if (n, h) != (count, side):
        raise ConfigError(
            f"{key}: {place}: holds {n} of {h}x{h} pixels, and the networks take {count} of {side}x{side}.",
            f"Set network.foregrounds={n} and network.canvas={h}.",
        )
    if not levels[..., 3].any(axis=(1, 2)).all():
        raise ConfigError(f"{key}: {place}: one of them is transparent everywhere.", "Take it out.")
    levels = np.ascontiguousarray(levels)
    return levels, hashlib.sha256(levels.tobytes()).hexdigest()


def _of_array(path: Path, key: str) -> NDArray[np.uint8]:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as e:
        raise ConfigError(f"{key}: {path}: no array that can be read: {' '.join(str(e).split())}") from None
    if not isinstance(found, np.ndarray) or found.ndim != 4:
        shape = getattr(found, "shape", "no array")
        raise ConfigError(f"{key}: {path}: holds {shape}, and uint8 (n, side, side, 4) is wanted.")
    return found


def _of_folder(path: Path, key: str) -> NDArray[np.uint8]:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() == ".png")
    if not files:
        raise ConfigError(f"{key}: {path}: has no PNG files.", "Give a folder of PNG files with transparency.")
    found = []
    for file in files:
        try:
            black, white = (decode(file.read_bytes(), alpha=on).astype(np.int64) for on in ("black", "white"))
        except (GantoolsError, OSError) as e:
            raise ConfigError(f"{key}: {file}: {getattr(e, 'message', e)}") from None
        # On black lies α F, on white α F + 1 - α: both are known then.
        alpha = 255 - (white - black).max(2, keepdims=True)
        colour = np.where(alpha > 0, (255 * black + alpha // 2) // np.maximum(alpha, 1), 0)
        found.append(np.concatenate((colour.clip(0, 255), alpha), 2).astype(np.uint8))
    if len({image.shape for image in found}) > 1:
        raise ConfigError(f"{key}: {path}: its images are of different sizes.", "Make them squares of one size.")
    return np.stack(found)
