"""Small images and sets that several tests of sources read."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pixels(seed: int, size: tuple[int, int] = (8, 8), channels: int = 3) -> NDArray[np.uint8]:
    shape = size if channels == 1 else (*size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(seed: int, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed, **options)).save(buffer, "PNG")
    return buffer.getvalue()


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    """A folder of `files`, by their paths below it."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """A zip of `files` in the order given, with exactly these names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            # ZipInfo's constructor would replace backslashes where they are the system's own.
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, data)
    return path


def write_tar(path: Path, files: dict[str, bytes], **options) -> Path:
    """A tar of `files` in the order given, written by Python's own tarfile."""
    with tarfile.open(path, "w", **options) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
