"""What `--fast` changes: the largest and the mean difference of pixels from exact preparation, for real images.

`python benches/fast.py SOURCE [SIZE ...]` prints a line for each size: how many images came out of their decoder at a
reduced size, and how far pixels are from those of exact decoding, in levels of 255. docs/formats.md has the numbers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

import gantools
from gantools.data.prepared import PreparedSet


def differences(exact: PreparedSet, fast: PreparedSet, chunk: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Largest and mean difference of each image, and how many values differ by 0, 1, ..., 255."""
    largest, means, counts = [], [], np.zeros(256, np.int64)
    for start in range(0, len(exact), chunk):
        rows = np.arange(start, min(start + chunk, len(exact)))
        apart = np.abs(exact.gather(rows).astype(np.int16) - fast.gather(rows))
        flat = apart.reshape(len(rows), -1)
        largest.append(flat.max(axis=1))
        means.append(flat.mean(axis=1))
        counts += np.bincount(flat.ravel(), minlength=256)
    return np.concatenate(largest), np.concatenate(means), counts


def main() -> None:
    """Prepares a source twice a size, and prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("sizes", type=int, nargs="*", default=[16, 32, 64])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--filter", default=None)
    options = parser.parse_args()
    print(f"{'size':>5} {'images':>7} {'changed':>8} {'largest':>8} {'mean':>7} {'99.9 %':>7}  (levels of 255)")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as place:
            arguments = {"size": size, "limit": options.limit, "filter": options.filter, "progress": False}
            try:
                exact, fast = (
                    gantools.prep(options.source, fast=fast, out=Path(place) / str(fast), **arguments)
                    for fast in (False, True)
                )
            except gantools.errors.GantoolsError as e:
                sys.exit(str(e))
            largest, means, counts = differences(exact, fast)
        changed = largest > 0
        share = np.cumsum(counts) / counts.sum()
        print(
            f"{size:5} {len(largest):7,} {changed.sum():8,} {largest.max():8} "
            f"{means[changed].mean() if changed.any() else 0:7.3f} {int(np.argmax(share >= 0.999)):7}",
            flush=True,
        )


if __name__ == "__main__":
    main()
