"""What can be said of images before the slow part: `preflight` looks at their headers, `compare` says what is odd.

Headers are read by Rust threads and no pixel is decoded, so that a wrong folder, a truncated download or samples of
another size are found in the first second.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gantools import _native
from gantools.data.sources.base import IMAGE_SUFFIXES
from gantools.errors import DataError
from gantools.metrics.images.open import Array
from gantools.metrics.images.reader import Census, ImageReader, Slice
from gantools.metrics.images.stored import Stored

#: Below these counts a Frechet distance is dominated by its bias, or still noticeably biased.
FEW, SOME = 2048, 10_000
#: Pixels in memory or in a `.npz` beyond this many bytes are not looked at for duplicates, which reads all of them.
MAX_HASHED_BYTES = 2 << 30
PIXELS = "pixels"
# Names in an example.
_SHOWN = 3


@dataclass(frozen=True)
class Preflight:
    """What images are, from their headers.

    Attributes:
        label: where they lie.
        count: how many there are, with those that cannot be read.
        sizes: (width, height) as stored -> images, the most first; empty where it is not known beforehand.
        modes: `grey`, `RGB`, `palette` or `CMYK` -> images.
        formats: `JPEG`, `PNG`, ... -> images; `pixels` for what is not encoded.
        sixteen_bit: images of more than 8 bits a sample.
        alpha: images with an alpha channel or a transparent colour.
        rotated: images whose EXIF orientation is not upright.
        duplicates: images that are byte for byte equal to an earlier one; None where this was not looked at.
        duplicate_examples: names of some of them, each group of equal ones together.
        unreadable: (name, reason) of images that cannot be read.
        empty_folders: sub-folders with nothing in them.
        other_folders: sub-folders that hold only files of kinds that are not read, with one of these files.
        notes: what is to be known of how they were found, a line each.
        hashes: of all images -> how many have it, to look for copies between two sets.
    """

    label: str
    count: int
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    sixteen_bit: int = 0
    alpha: int = 0
    rotated: int = 0
    duplicates: int | None = None
    duplicate_examples: tuple[tuple[str, ...], ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    empty_folders: tuple[str, ...] = ()
    other_folders: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    hashes: Mapping[bytes, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def jpeg_share(self) -> float | None:
        """Share of JPEGs among the encoded images; None where there are none, or it is not known."""
        encoded = sum(n for name, n in self.formats.items() if name != PIXELS)
        return self.formats.get("JPEG", 0) / encoded if encoded else None

    def check(self) -> None:
        """DataError: some images cannot be read; it names the first of them."""
        if self.unreadable:
            shown = "; ".join(f"{name}: {reason}" for name, reason in self.unreadable[:_SHOWN])
            more = len(self.unreadable) - _SHOWN
            rest = f"; and {more:,} more" if more > 0 else ""
            raise DataError(
                f"{self.label}: {len(self.unreadable):,} of {self.count:,} images cannot be read: {shown}{rest}.",
                "Make or fetch them again, or remove them.",
            )


def preflight(source: ImageReader, n: int | None = None) -> Preflight:
    """What the first `n` images of `source` are (all of them when None), without decoding them.

    Of images that a program gives nothing is read: only their number, and their size where it is known, is said.

    Raises:
        DataError: fewer than `n` images.
    """
    if isinstance(source, Slice) and source.start == 0:
        n = len(source) if n is None else n
        source = source.reader
    count = len(source) if n is None else n
    if count > len(source):
        raise DataError(f"{source.label}: has {len(source):,} images, {count:,} were asked for.")
    if isinstance(source, Stored) and (source.shape is None or _bytes(source.shape) * count <= MAX_HASHED_BYTES):
        found = _encoded(source, source.census(count))
        root = Path(source.label)
        if source.source.kind == "folder" and root.is_dir():
            empty, other = _folders(root)
            found = replace(found, empty_folders=empty, other_folders=other)
        return found
    if source.shape is None:
        return Preflight(source.label, count, notes=source.notes)
    h, w, c = source.shape
    known = Preflight(source.label, count, {(w, h): count}, {"grey" if c == 1 else "RGB": count}, {PIXELS: count})
    known = replace(known, notes=source.notes)
    if isinstance(source, Array) and _bytes(source.shape) * count <= MAX_HASHED_BYTES:
        images = source.images[:count]
        hashes = [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]
        return _with_duplicates(known, hashes, None)
    return known


def _bytes(shape: tuple[int, int, int]) -> int:
    return math.prod(shape)


def _encoded(source: ImageReader, census: Census) -> Preflight:
    rows, hashes, failures = census.headers, census.hashes, census.unreadable
    good = np.ones(len(rows), bool)
    good[[i for i, _ in failures]] = False
    names = source.names
    rows = rows[good]
    called = [str(i) for i in range(len(census))] if names is None else names
    sizes = Counter((int(w), int(h)) for w, h in rows[:, :2].tolist())
    formats = Counter(PIXELS if i < 0 else _native.IMAGE_FORMATS[i] for i in rows[:, 2].tolist())
    modes = Counter(_native.IMAGE_MODES[i] for i in rows[:, 3].tolist())
    kept = [called[i] for i in np.flatnonzero(good).tolist()]
    found = Preflight(
        source.label,
        len(census),
        dict(sizes.most_common()),
        dict(modes.most_common()),
        dict(formats.most_common()),
        int((rows[:, 4] > 8).sum()),
        int(rows[:, 5].sum()),
        int((rows[:, 6] > 1).sum()),
        unreadable=tuple((called[i], reason) for i, reason in failures),
        notes=source.notes,
    )
    return _with_duplicates(found, [row.tobytes() for row in hashes[good]], kept)


def _with_duplicates(found: Preflight, hashes: Sequence[bytes], names: Sequence[str] | None) -> Preflight:
    groups: dict[bytes, list[int]] = {}
    for i, h in enumerate(hashes):
        groups.setdefault(h, []).append(i)
    equal = [rows for rows in groups.values() if len(rows) > 1]
    called = names if names is not None else [f"image {i}" for i in range(len(hashes))]
    return replace(
        found,
        duplicates=len(hashes) - len(groups),
        duplicate_examples=tuple(tuple(called[i] for i in rows[:_SHOWN]) for rows in equal[:_SHOWN]),
        hashes={h: len(rows) for h, rows in groups.items()},
    )


def _folders(root: Path) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Sub-folders that are empty, and those that hold only files of other kinds; hidden ones are left out."""
    empty, other = [], []
    for place, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        seen = sorted(f for f in files if not f.startswith("."))
        if Path(place) == root:
            continue
        relative = Path(place).relative_to(root).as_posix()
        if not seen and not folders:
            empty.append(relative)
        elif seen and not any(f.lower().endswith(IMAGE_SUFFIXES) for f in seen):
            other.append((relative, seen[0]))
    return tuple(empty), tuple(other)


def summary(side: Preflight) -> dict[str, Any]:
    """What a result keeps of it: plain values, without names and hashes."""
    return {
        "count": side.count,
        "sizes": {f"{w}x{h}": n for (w, h), n in side.sizes.items()},
        "modes": side.modes,
        "formats": side.formats,
        "sixteen_bit": side.sixteen_bit,
        "alpha": side.alpha,
        "rotated": side.rotated,
        "duplicates": side.duplicates,
    }


def from_summary(label: str, kept: Mapping[str, Any]) -> Preflight:
    """What `summary` kept. KeyError, TypeError, ValueError: something else."""
    sizes = {(int(w), int(h)): int(n) for (w, _, h), n in ((k.partition("x"), v) for k, v in kept["sizes"].items())}
    return Preflight(
        label,
        int(kept["count"]),
        sizes,
        dict(kept["modes"]),
        dict(kept["formats"]),
        int(kept["sixteen_bit"]),
        int(kept["alpha"]),
        int(kept["rotated"]),
        kept["duplicates"],
    )


def compare(
    samples: Preflight,
    reference: Preflight | None,
    dims: int | None,
    *,
    n_reference: int | None = None,
    resized: bool = True,
) -> list[str]:
    """What a reader of a score must know of the images, each in one sentence.

    Args:
        samples: what is scored.
        reference: what it is scored against; None for a file of statistics.
        dims: width of the features; None where no score is biased by how many images there are.
        n_reference: images of such a file, where it says.
        resized: whether images are resized for a network, as stored; else they are taken as they are shown.
    """
    found = []
    counts = [("samples", samples.count), ("reference images", reference.count if reference else n_reference)]
    for what, n in counts:
        if n is not None and dims is not None:
            found += _too_few(what, n, dims)
    for what, side in (("samples", samples), ("reference images", reference)):
        if side is not None:
            found += _odd(what, side, resized)
    if reference is not None:
        found += _between(samples, reference, resized)
    return found


def _too_few(what: str, n: int, dims: int) -> list[str]:
    if n < dims:
        return [
            f"{n:,} {what} for {dims} features: their covariance is singular, and the distance is biased upwards. It "
            "is exact for these images, but compare it only with others of the same n."
        ]
    if n < FEW:
        return [f"only {n:,} {what}: the distance is biased upwards; compare it only with the same n."]
    if n < SOME:
        return [f"{n:,} {what}, fewer than the usual {SOME:,}: compare the number only with the same n."]
    return []


def _odd(what: str, side: Preflight, resized: bool) -> list[str]:
    """What is odd within one side."""
    found = [f"{side.label}: {note}" for note in side.notes]
    if side.unreadable:
        name, reason = side.unreadable[0]
        found.append(f"{len(side.unreadable):,} {what} cannot be read, for example {name}: {reason}.")
    if resized and len(side.sizes) > 1:
        (w, h), n = next(iter(side.sizes.items()))
        found.append(
            f"{what} are of {len(side.sizes):,} sizes, most often {w}x{h} ({n:,}): each is resized to the network's "
            "square by factors of its own, which is part of the score."
        )
    if len(side.modes) > 1:
        found.append(f"{what} are {_list(side.modes)}: all are scored as RGB.")
    if len(side.formats) > 1 and "JPEG" in side.formats:
        found.append(
            f"{what} are {_list(side.formats)}: what JPEG does to pixels is in some of them and not in others."
        )
    if side.sixteen_bit:
        found.append(f"{side.sixteen_bit:,} {what} have more than 8 bits a sample: only the high 8 are scored.")
    if side.alpha:
        found.append(f"{side.alpha:,} {what} have transparency, which is dropped: their colours count as if opaque.")
    if resized and side.rotated:
        found.append(f"{side.rotated:,} {what} are to be turned by their EXIF data: they are scored as stored.")
    if side.duplicates:
        example = f", for example {' and '.join(side.duplicate_examples[0])}" if side.duplicate_examples else ""
        found.append(f"{side.duplicates:,} of {side.count:,} {what} are exact copies of others{example}.")
    if side.empty_folders:
        found.append(f"{len(side.empty_folders):,} sub-folders of {side.label} are empty: {_some(side.empty_folders)}.")
    if side.other_folders:
        folder, file = side.other_folders[0]
        found.append(
            f"{len(side.other_folders):,} sub-folders of {side.label} hold no image of a kind that is read, for "
            f"example {folder}/ ({file})."
        )
    return found


def _between(samples: Preflight, reference: Preflight, resized: bool) -> list[str]:
    """What differs between the two sides."""
    found = []
    a, b = (next(iter(side.sizes), None) for side in (samples, reference))
    if resized and a is not None and b is not None and a != b:
        found.append(
            f"samples are {a[0]}x{a[1]} and reference images {b[0]}x{b[1]} (width x height): the two are resized by "
            "different factors, which is part of the score."
        )
    grey_a, grey_b = ({"grey"} == set(side.modes) for side in (samples, reference))
    if samples.modes and reference.modes and grey_a != grey_b:
        first, second = ("grey", "in colour") if grey_a else ("in colour", "grey")
        found.append(f"samples are {first}, reference images {second}, which is part of the score.")
    ours, theirs = samples.jpeg_share, reference.jpeg_share
    if ours is not None and theirs is not None and abs(ours - theirs) > 0.5:
        found.append(
            f"{100 * ours:.0f} % of the samples and {100 * theirs:.0f} % of the reference images are JPEG: what JPEG "
            "does to pixels is part of the score."
        )
    if both := sum(n for h, n in samples.hashes.items() if h in reference.hashes):
        one = "sample is byte for byte equal to a reference image"
        found.append(f"1 {one}." if both == 1 else f"{both:,} samples are byte for byte equal to reference images.")
    return found


def _list(counts: dict[str, int]) -> str:
    return " and ".join(f"{n:,} {name}" for name, n in counts.items())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
