"""The `.npz` that ADM's evaluator reads: `arr_0` uint8 (n, h, w, c), `arr_1` class numbers; not compressed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.data.exports.base import Images
from gantools.files import atomic_write


def write(images: Images, target: Path) -> None:
    """Writes the file, a batch at a time; `classes` holds the class names, which the evaluator ignores."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(images.set), *images.set.shape)}
    with atomic_write(target) as f, zipfile.ZipFile(f, "w") as archive:
        # The time in a ZipInfo is 1980 unless one is given: equal sets give equal files.
        with archive.open(zipfile.ZipInfo("arr_0.npy"), "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)
            for batch in images.batches():
                entry.write(batch.tobytes())
        if images.set.labels is not None and images.set.classes is not None:
            _add(archive, "arr_1.npy", images.set.labels)
            _add(archive, "classes.npy", np.array(images.set.classes))


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(zipfile.ZipInfo(name), "w") as entry:
        np.lib.format.write_array(entry, array, allow_pickle=False)
