"""The zip of StyleGAN's dataset_tool.py: stored PNGs and `dataset.json` with a label for every file, or null."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from gantools.data.exports.base import Images, image_name
from gantools.data.sources.stylegan import DATASET, VECTORS
from gantools.errors import DataError
from gantools.files import atomic_write


def write(images: Images, target: Path) -> None:
    """Writes the zip. DataError: the images are not square, which StyleGAN refuses to read."""
    h, w, _ = images.set.shape
    if h != w:
        raise DataError(f"{images.set.path}: images of {w}x{h}; StyleGAN reads square ones.")
    vectors = images.set.annotations.get(VECTORS)
    labels: list[list[Any]] = []
    with atomic_write(target) as f, zipfile.ZipFile(f, "w") as archive:
        for i, label, png in images.pngs():
            archive.writestr(_entry(image_name(i)), png)
            if label is not None:
                labels.append([image_name(i), label])
            elif vectors is not None:
                labels.append([image_name(i), vectors[i].tolist()])
        document: dict[str, Any] = {"labels": labels or None}
        if images.set.classes is not None:
            document["classes"] = images.set.classes
        archive.writestr(_entry(DATASET), json.dumps(document))


def _entry(name: str) -> zipfile.ZipInfo:
    # Without the time of day, so that equal sets give equal files; stored, as readers seek in it.
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o644 << 16
    return info
