"""LSUN: a folder with `data.mdb`, an LMDB of image files by key. Read with the `lmdb` package.

Yu et al., "LSUN: Construction of a Large-scale Image Dataset using Deep Learning", 2015 (arXiv 1506.03365).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from gantools import _native
from gantools.data.sources.base import Source, nearby
from gantools.data.sources.splits import ALL
from gantools.errors import ConfigError, DataError, cause

DATA = "data.mdb"
# The environments in use, by their folders.
_OPEN: WeakValueDictionary[str, Any] = WeakValueDictionary()


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images of an LMDB, in the order of its keys; every value is an image file."""
    if path is None:
        raise ConfigError("prep lmdb: which folder?", "Type: gantools prep lmdb --source bedroom_train_lmdb --size 64")
    if split not in (None, ALL):
        raise ConfigError("prep lmdb: an LMDB has no splits.", "Give --source the LMDB of the split instead.")
    folder = path.parent if path.name == DATA else path
    if not (folder / DATA).is_file():
        raise DataError(f"{path}: no {DATA} in it.", nearby(folder / DATA))
    try:
        import lmdb
    except ImportError as e:
        raise DataError("reading an LMDB needs the package lmdb.", "Type: pip install 'gantools[lmdb]'") from e
    try:
        # Without a lock file: the folder may be read-only, and nobody writes to a published set.
        # A process may not open one twice, and both sides of a comparison may be the same.
        environment = _OPEN.get(os.path.realpath(folder))
        if environment is None:
            environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False)
            _OPEN[os.path.realpath(folder)] = environment
        with environment.begin() as transaction:
            keys = list(transaction.cursor().iternext(keys=True, values=False))
    except lmdb.Error as e:
        raise DataError(f"{folder / DATA}: not a readable LMDB ({cause(e)}).", "Fetch or unpack it again.") from e
    if not keys:
        raise DataError(f"{folder / DATA}: holds nothing.")

    def fetch(index: int) -> bytes:
        with environment.begin() as transaction:
            value: bytes | None = transaction.get(keys[index])
        if value is None:
            raise KeyError("the key is gone")
        return value

    # The values are not read for it: they are the whole set.
    digest = hashlib.sha256(str((folder / DATA).stat().st_size).encode())
    names = [key.decode("utf-8", "backslashreplace") for key in keys]
    reader = _native.Source.fetched(names, digest.hexdigest(), fetch)
    name = folder.resolve().name.removesuffix("_lmdb").removesuffix(".lmdb")
    return Source("lmdb", name or "images", reader, np.arange(len(keys), dtype=np.int64), names, 3, None)
