"""Images from files, cut and resized as `gantools prep` does it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepared import PreparedSet, is_prepared
from gantools.data.sources import open_source
from gantools.errors import ConfigError, DataError


def read_pictures(
    paths: Sequence[str | Path],
    shape: tuple[int, int, int],
    *,
    n: int | None = None,
    crop: str = "center",
    alpha: str = "error",
) -> tuple[list[str], NDArray[np.uint8]]:
    """Images of one shape, by the same code as those of a prepared set.

    Args:
        paths: image files, folders or archives of them, or prepared sets of that shape.
        shape: (h, w, c).
        n: at most so many, the first; None: all.
        crop: `center` (the largest centred square), `none` (squeezed) or `pad` (on black).
        alpha: of transparent images: `error`, `drop`, `white` or `black`.

    Returns:
        Their names, and uint8 (m, h, w, c).

    Raises:
        DataError: there is no such file, one is no image or is damaged, or a set is of another shape.
        ConfigError: no path, or an unknown crop or policy.
    """
    if not paths:
        raise ConfigError("which images?", "For example: gantools project RUN photo.png")
    if n is not None and n < 1:
        raise ConfigError(f"n: must be at least 1, not {n}.")
    for what, value, known in (("crop", crop, ("center", "none", "pad")), ("alpha", alpha, _native.ALPHA_POLICIES)):
        if value not in known:
            raise ConfigError(f"{what}: expected one of {', '.join(known)}, found {value!r}.")
    names: list[str] = []
    parts: list[NDArray[np.uint8]] = []
    for path in map(Path, paths):
        left = None if n is None else n - len(names)
        if left == 0:
            break
        found, images = _read(path, shape, left, crop, alpha)
        names += found
        parts.append(images)
    return names, np.concatenate(parts)


def _read(
    path: Path, shape: tuple[int, int, int], n: int | None, crop: str, alpha: str
) -> tuple[list[str], NDArray[np.uint8]]:
    h, w, c = shape
    if is_prepared(path):
        data = PreparedSet(path)
        if tuple(data.shape) != tuple(shape):
            raise DataError(
                f"{path}: has images of {_words(data.shape)}, the run makes {_words(shape)}.",
                f"Prepare them so: gantools prep --size {h} --channels {c}",
            )
        m = len(data) if n is None else min(n, len(data))
        return data.names[:m], data.gather(np.arange(m))
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.", "Give images, for example photo.png, or a folder of them.")
    if path.is_file() and path.suffix.lower() not in (".zip", ".tar", ".tgz", ".gz", ".zst"):
        reader, items, names = _native.Source.files(path.parent, [path.name]), np.zeros(1, np.int64), [path.name]
    else:
        source = open_source(path, "all", loose=True)
        reader, items, names = source.reader, source.items[:n], list(source.names[:n])
    policy = _native.PixelPolicy(width=w, height=h, channels=c, crop=crop, alpha=alpha)
    with tempfile.TemporaryDirectory(prefix="gantools-") as folder:
        file = Path(folder) / "images.npy"
        _, _, rejects, *_ = _native.prepare_shard(reader, items, policy, file)
        if rejects:
            at, kind, reason = rejects[0]
            where = str(path) if len(names) == 1 else f"{path}: {names[at]}"
            hint = "Say what becomes of what is see-through: --alpha white" if kind == "transparent" else None
            raise DataError(f"{where}: {reason.rstrip('.')}.", hint)
        return names, np.load(file)


def _words(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
