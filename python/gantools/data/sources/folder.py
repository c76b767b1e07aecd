"""A folder or zip archive of images; sub-folders of the first level are classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gantools.data.sources.base import Source, find_images
from gantools.errors import ConfigError, DataError


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images below `path`.

    When every image is in a sub-folder, the sub-folders of the first level are the classes, sorted by name. An archive
    (or folder) whose images all lie in one outer folder is taken to begin below it.
    """
    if path is None:
        raise ConfigError("prep folder: which folder?", "Type: gantools prep folder --source PATH --size 64")
    if split is not None:
        raise ConfigError("prep folder: a folder has no splits.", "Give --source the folder of the split instead.")
    reader, items, names = find_images(path)
    tails = [Path(name).parts for name in names]
    while len({parts[0] for parts in tails}) == 1 and all(len(parts) > 2 for parts in tails):
        tails = [parts[1:] for parts in tails]
    depths = {len(parts) > 1 for parts in tails}
    labels = classes = None
    if depths == {True}:
        classes = sorted({parts[0] for parts in tails}, key=lambda c: c.encode("utf-8", "surrogateescape"))
        if len(classes) > 1:
            number = {name: i for i, name in enumerate(classes)}
            labels = np.array([number[parts[0]] for parts in tails], dtype=np.int64)
        else:
            classes = None
    elif depths == {True, False}:
        loose = next(name for name, parts in zip(names, tails, strict=True) if len(parts) == 1)
        raise DataError(
            f"{path}: some images are in sub-folders, some are not (for example {loose}).",
            "Sub-folders are classes: put every image into one, or point --source at one of them.",
        )
    return Source("folder", path.stem or "images", reader, items, names, 3, None, labels=labels, classes=classes)
