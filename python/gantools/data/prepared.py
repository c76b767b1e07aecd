"""A prepared set on disk, and how to open it.

A prepared set is a folder: shards of uint8 NHWC `.npy` files and a `manifest.json` that describes them (see
docs/formats.md). The shards are read through a memory map, so opening costs nothing and processes share the page cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.errors import DataError

FORMAT = "gantools-prepared-set"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
# A manifest lists its shards; even 100,000 shards stay far below this, so a larger file is not a manifest.
MAX_MANIFEST_BYTES = 64 << 20


@dataclass(frozen=True)
class Shard:
    """One `.npy` file of a prepared set."""

    file: str
    count: int
    xxh3: str


class PreparedSet:
    """A prepared set: `len(s)` images, `s.shape` (h, w, c), `s[i]` uint8 (h, w, c), `s.gather(indices)` a batch.

    Args:
        path: the folder with `manifest.json`.

    Raises:
        DataError: no such folder, no manifest, a damaged or truncated shard, a newer format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        h, w, c = (int(v) for v in self.manifest["shape"])
        self.shape: tuple[int, int, int] = (h, w, c)
        self.shards = [Shard(s["file"], int(s["count"]), s["xxh3"]) for s in self.manifest["shards"]]
        self._starts = np.cumsum([0, *(s.count for s in self.shards)])
        if self._starts[-1] != self.manifest["count"]:
            raise DataError(
                f"{self.path / MANIFEST}: says {self.manifest['count']} images, its shards have {self._starts[-1]}.",
                "The manifest was edited or damaged; prepare the set again.",
            )
        self._maps = [self._open_shard(s) for s in self.shards]

    @property
    def name(self) -> str:
        """The set's name, for example `celeba-64`."""
        return str(self.manifest["name"])

    @property
    def fingerprint(self) -> str:
        """A hash of the pixels: of the shape and the hashes of all shards, in order."""
        return str(self.manifest["fingerprint"])

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes, in the order of their label numbers, or None when the set has no labels."""
        labels = self.manifest.get("labels")
        return list(labels["classes"]) if labels else None

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """int64 (n,), or None when the set has no labels."""
        labels = self.manifest.get("labels")
        return None if labels is None else self._load_side_file(labels["file"]).astype(np.int64)

    @cached_property
    def annotations(self) -> dict[str, NDArray[Any]]:
        """Further per-image arrays by name; for CelebA `attributes`, `partition`, `identity`, `landmarks`, `boxes`."""
        found = self.manifest.get("annotations", {})
        return {name: self._load_side_file(entry["file"]) for name, entry in found.items()}

    @cached_property
    def names(self) -> list[str]:
        """The name of each image in its source, in the order of the set."""
        with (self.path / "names.jsonl").open(encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"image {index} of a set of {n}")
        index %= n
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        return np.array(self._maps[shard][index - self._starts[shard]])

    def __repr__(self) -> str:
        return f"PreparedSet({str(self.path)!r}, n={len(self)}, shape={self.shape})"

    def gather(
        self, indices: Sequence[int] | NDArray[np.integer[Any]], out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """The images at `indices`, in that order.

        Args:
            indices: m integers in [0, n).
            out: uint8 (m, h, w, c) to write into, for example a pinned torch tensor's `.numpy()`; made when None.

        Returns:
            uint8 (m, h, w, c), `out` when it was given.
        """
        index = np.asarray(indices, dtype=np.int64)
        if index.ndim != 1 or (index.size and (index.min() < 0 or index.max() >= len(self))):
            raise IndexError(f"indices must be one-dimensional and in [0, {len(self)})")
        if out is None:
            out = np.empty((index.size, *self.shape), np.uint8)
        elif out.shape != (index.size, *self.shape) or out.dtype != np.uint8:
            raise ValueError(f"out must be uint8 {(index.size, *self.shape)}, not {out.dtype} {out.shape}")
        shard_of = np.searchsorted(self._starts, index, side="right") - 1
        for shard in np.unique(shard_of):
            rows = np.flatnonzero(shard_of == shard)
            out[rows] = self._maps[shard][index[rows] - self._starts[shard]]
        return out

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """All images in order, in uint8 (<= size, h, w, c) arrays; the last may be smaller, none is dropped."""
        for start in range(0, len(self), size):
            yield self.gather(np.arange(start, min(start + size, len(self))))

    def _open_shard(self, shard: Shard) -> NDArray[np.uint8]:
        path = self.path / shard.file
        hint = f"Prepare the set again, or restore {shard.file} from where it was copied."
        try:
            # numpy checks the file's length against the header before mapping: a truncated shard is an error here,
            # not a SIGBUS later.
            array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise DataError(f"{path}: the shard is missing.", hint) from None
        except (ValueError, EOFError, OSError) as e:
            raise DataError(f"{path}: the shard is damaged ({e}).", hint) from e
        if array.dtype != np.uint8 or array.shape != (shard.count, *self.shape):
            raise DataError(
                f"{path}: holds {array.dtype} {array.shape}, the manifest says uint8 {(shard.count, *self.shape)}.",
                hint,
            )
        return array

    def _load_side_file(self, file: str) -> NDArray[Any]:
        path = self.path / file
        try:
            array: NDArray[Any] = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as e:
            raise DataError(f"{path}: missing or damaged ({e}).", "Prepare the set again.") from e
        if len(array) != len(self):
            raise DataError(f"{path}: has {len(array)} rows for {len(self)} images.", "Prepare the set again.")
        return array


def is_prepared(path: str | Path) -> bool:
    """Whether `path` is a folder with a gantools manifest of a prepared set."""
    try:
        read_manifest(Path(path))
    except DataError:
        return False
    return True


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the prepared set in folder `path`, its format and version checked."""
    file = path / MANIFEST
    make = "Make one with: gantools prep SOURCE --size 64"
    if not path.exists():
        raise DataError(f"{path}: no such folder.", make)
    if not file.is_file():
        raise DataError(f"{path}: not a prepared set (it has no {MANIFEST}).", make)
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise DataError(f"{file}: too large for a manifest.", make)
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as e:
        raise DataError(f"{file}: damaged ({e}).", "Prepare the set again.") from e
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path}: not a prepared set (its {MANIFEST} is of another kind).", make)
    if manifest.get("version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: prepared-set format {manifest.get('version')}, this gantools reads {FORMAT_VERSION}.",
            "Use the gantools that made it, or prepare the set again.",
        )
    return manifest


def open_set(path: str | Path) -> PreparedSet:
    """Open a prepared set (also `gantools.open`)."""
    return PreparedSet(path)
