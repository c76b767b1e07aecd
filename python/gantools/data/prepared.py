"""A prepared set on disk, and how to open it.

A prepared set is a folder: shards of uint8 NHWC `.npy` files, or of encoded images, and a `manifest.json` that
describes them (see docs/formats.md). The shards are mapped and read by Rust threads, so opening costs nothing,
processes share the page cache, and an open set may be used after a fork or sent to another process (it is opened there
again).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.policy import Policy
from gantools.data.schema import ManifestError, check_manifest
from gantools.errors import DataError, cause
from gantools.notebook import COUNT, image, page, picture, quiet, table

if TYPE_CHECKING:
    import torch

    from gantools.data.loader import Loader, LoaderOptions
    from gantools.data.views import ImageDataset, Rows

FORMAT = "gantools-prepared-set"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
#: What could not be read, a line each.
REJECTS = "rejects.jsonl"
#: The folder of a set of pairs that holds its inputs, a prepared set of the same length.
INPUTS = "inputs"
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
        files = [self.path / s.file for s in self.shards]
        # Compares each file's length with its header before mapping it: a truncated shard is an error here, not a
        # crash later.
        self._reader = open_shards(self.manifest, files, [s.count for s in self.shards])

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

    @property
    def generated(self) -> int:
        """How many of the images are generated, those of `gantools sample --augment`; the annotation says which."""
        return sum(int(entry["count"]) for entry in self.manifest.get("generated", []))

    @cached_property
    def inputs(self) -> PreparedSet | None:
        """Of a set of pairs, what belongs to each image as an input, in the same order; None for any other set."""
        entry = self.manifest.get("inputs")
        if entry is None:
            return None
        inputs = PreparedSet(self.path / INPUTS)
        if len(inputs) != len(self) or inputs.fingerprint != entry["fingerprint"]:
            raise DataError(
                f"{inputs.path}: is not what belongs to the images of {self.path}.", "Prepare the set again."
            )
        return inputs

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """int64 (n,), or None when the set has no labels."""
        entry = self.manifest.get("labels")
        if entry is None:
            return None
        labels = self._load_side_file(entry["file"], ()).astype(np.int64)
        if labels.size and (labels.min() < 0 or labels.max() >= len(entry["classes"])):
            raise DataError(
                f"{self.path / entry['file']}: a label is none of the {len(entry['classes'])} classes.",
                "Prepare the set again.",
            )
        return labels

    @cached_property
    def annotations(self) -> dict[str, NDArray[Any]]:
        """Further per-image arrays by name; for CelebA `attributes`, `partition`, `identity`, `landmarks`, `boxes`."""
        found = self.manifest.get("annotations", {})
        widths = {name: entry.get("columns") for name, entry in found.items()}
        return {
            name: self._load_side_file(entry["file"], None if widths[name] is None else (len(widths[name]),))
            for name, entry in found.items()
        }

    @cached_property
    def sizes(self) -> NDArray[np.int32] | None:
        """Width and height of each image before it was prepared, int32 (n, 2); None when the set does not say."""
        sizes = self.manifest.get("sizes")
        return None if sizes is None else self._load_side_file(sizes["file"], (2,)).astype(np.int32)

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
        image: NDArray[np.uint8] = self.gather(np.array([index % n]))[0]
        return image

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedSet, (self.path.absolute(),)

    def __repr__(self) -> str:
        return f"PreparedSet({str(self.path)!r}, n={len(self)}, shape={self.shape})"

    @quiet
    def _repr_png_(self) -> bytes:
        return picture(self.gather(np.arange(min(COUNT, len(self)))))

    @quiet
    def _repr_html_(self) -> str:
        h, w, c = self.shape
        rows = [("folder", str(self.path)), ("images", f"{len(self):,} of {w} x {h}, {c} channels")]
        if self.classes is not None:
            rows.append(("classes", f"{len(self.classes):,}: {', '.join(self.classes[:10])}"))
        rows.append(("fingerprint", self.fingerprint))
        return page(f"Prepared set {self.name}", table(rows), image(self._repr_png_(), "The first images of the set"))

    def gather(
        self,
        indices: Sequence[int] | NDArray[np.integer[Any]],
        out: NDArray[np.uint8] | None = None,
        flip: Sequence[bool] | NDArray[np.bool_] | None = None,
    ) -> NDArray[np.uint8]:
        """The images at `indices`, in that order.

        Args:
            indices: m integers in [0, n).
            out: uint8 (m, h, w, c) to write into, for example a pinned torch tensor's `.numpy()`; made when None.
            flip: m booleans: which of the images are mirrored left to right.

        Returns:
            uint8 (m, h, w, c), `out` when it was given.

        Raises:
            IndexError: an index that is no image.
            ValueError: `out` or `flip` is of another shape or dtype.
        """
        index, mirrored = self._arguments(indices, flip)
        shape = (index.size, *self.shape)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8:
            raise ValueError(f"out must be uint8 {shape}, not {out.dtype} {out.shape}")
        if out.flags.c_contiguous:
            self._reader.gather(index, out, mirrored)
        else:
            out[...] = self.gather(index, flip=mirrored)
        return out

    def gather_float(
        self,
        indices: Sequence[int] | NDArray[np.integer[Any]],
        out: NDArray[np.float32] | None = None,
        flip: Sequence[bool] | NDArray[np.bool_] | None = None,
        *,
        layout: Literal["nchw", "nhwc"] = "nchw",
    ) -> NDArray[np.float32]:
        """As `gather`, as floats x / 127.5 - 1 in [-1, 1], which takes no second pass over the batch.

        Args:
            indices: m integers in [0, n).
            out: C-contiguous float32 of the shape of the result to write into; made when None.
            flip: m booleans: which of the images are mirrored left to right.
            layout: `nchw` or `nhwc`; the latter is what torch calls channels_last, after `permute(0, 3, 1, 2)`.

        Returns:
            float32 (m, c, h, w) or (m, h, w, c), `out` when it was given.

        Raises:
            IndexError: an index that is no image.
            ValueError: an unknown layout; `out` or `flip` is of another shape or dtype, or `out` not contiguous.
        """
        index, mirrored = self._arguments(indices, flip)
        h, w, c = self.shape
        if layout not in ("nchw", "nhwc"):
            raise ValueError(f"layout is nchw or nhwc, not {layout!r}")
        shape = (index.size, c, h, w) if layout == "nchw" else (index.size, h, w, c)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out must be contiguous float32 {shape}, not {out.dtype} {out.shape}")
        self._reader.gather_float(index, out, layout, mirrored)
        return out

    # What follows needs torch, which takes seconds to import, so it is imported when asked for.

    def loader(self, batch: int, **options: Unpack[LoaderOptions]) -> Loader:
        """One epoch in batches `(images, labels, indices)`: float32 (m, c, h, w) in [-1, 1], int64 (m,), int64 (m,).

        Exact (each image once over all ranks), resumable by `position`.

        Args:
            batch: images in a batch of one rank.
            options: the named arguments of `gantools.data.loader.Loader`, for example `seed=0, epoch=3, flip=True`.
        """
        from gantools.data.loader import Loader

        return Loader(self, batch, **options)

    def as_torch_dataset(self, transform: Callable[[torch.Tensor], Any] | None = None) -> ImageDataset:
        """A `torch.utils.data.Dataset` of uint8 (c, h, w), or of what `transform` makes of it, with labels if any."""
        from gantools.data.views import ImageDataset

        return ImageDataset(self, transform)

    def rows(self) -> Rows:
        """Rows as those of Hugging Face's datasets: `s.rows()[i]` is a dict with `image`, `name`, `label`, ..."""
        from gantools.data.views import Rows

        return Rows(self)

    def _arguments(
        self, indices: Sequence[int] | NDArray[np.integer[Any]], flip: Sequence[bool] | NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        index = np.ascontiguousarray(indices, dtype=np.int64)
        if index.ndim != 1 or (index.size and (index.min() < 0 or index.max() >= len(self))):
            raise IndexError(f"indices must be one-dimensional and in [0, {len(self)})")
        if flip is None:
            return index, None
        mirrored = np.ascontiguousarray(flip, dtype=np.bool_)
        if mirrored.shape != index.shape:
            raise ValueError(f"flip must be of shape {index.shape}, not {mirrored.shape}")
        return index, mirrored

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """All images in order, in uint8 (<= size, h, w, c) arrays; the last may be smaller, none is dropped."""
        for start in range(0, len(self), size):
            yield self.gather(np.arange(start, min(start + size, len(self))))

    def _load_side_file(self, file: str, row: tuple[int, ...] | None) -> NDArray[Any]:
        """A number, or numbers of the shape `row` (None: of any), for each image."""
        path = self.path / file
        try:
            array: NDArray[Any] = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as e:
            raise DataError(f"{path}: missing or damaged ({cause(e)}).", "Prepare the set again.") from e
        if not isinstance(array, np.ndarray) or array.ndim == 0 or array.dtype.kind not in "iufb":
            raise DataError(f"{path}: no array of numbers.", "Prepare the set again.")
        if len(array) != len(self):
            raise DataError(f"{path}: has {len(array)} rows for {len(self)} images.", "Prepare the set again.")
        if row is not None and array.shape[1:] != row:
            raise DataError(f"{path}: has rows of shape {array.shape[1:]}, not {row}.", "Prepare the set again.")
        return array


def open_shards(manifest: dict[str, Any], files: Sequence[Path], counts: Sequence[int]) -> _native.Reader:
    """A reader of some shards of the set with this manifest.

    Raises:
        DataError: a shard is missing, damaged or of another kind.
    """
    h, w, c = (int(v) for v in manifest["shape"])
    policy = manifest.get("policy", {})
    store = policy.get("store", "pixels")
    if store == "pixels":
        return _native.Reader(files, counts, (h, w, c))
    if store not in _native.STORES:
        raise DataError(f"images are stored as {store!r}, which this gantools does not know.", "Use a newer one.")
    if [policy.get(key) for key in ("height", "width", "channels")] != [h, w, c]:
        raise DataError("the manifest's shape and policy contradict each other.", "Prepare the set again.")
    return _native.Reader(files, counts, (h, w, c), store=store, policy=Policy.from_manifest(policy).native())


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
    except (ValueError, OSError, RecursionError) as e:
        raise DataError(f"{file}: damaged ({cause(e)}).", "Prepare the set again.") from e
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path}: not a prepared set (its {MANIFEST} is of another kind).", make)
    if manifest.get("version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: prepared-set format {manifest.get('version')}, this gantools reads {FORMAT_VERSION}.",
            "Use the gantools that made it, or prepare the set again.",
        )
    try:
        check_manifest(manifest)
    except ManifestError as e:
        raise DataError(f"{file}: damaged ({cause(e)}).", "Prepare the set again.") from e
    return manifest


def content_fingerprint(shape: Sequence[int], hashes: Sequence[str]) -> str:
    """The fingerprint of a set of this shape (h, w, c) whose shards have these hashes, in order."""
    return digest([list(shape), list(hashes)])[:32]


def digest(value: Any) -> str:
    """SHA-256, as 64 hexadecimal digits, of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def open_set(path: str | Path) -> PreparedSet:
    """Open a prepared set (also `gantools.open`)."""
    return PreparedSet(path)
