"""Compares every image below a folder, and in the tar files there, with Pillow: `python tests/wild.py FOLDER`.

Each file is equal, differs, is refused by one of the two or by both. Counts by format and reason are printed,
and with `--list` the files that are not equal. Pixels are those of `convert("RGB")` after `exif_transpose`, alpha
dropped. One difference is meant and counted as equal: 16-bit grey keeps its high byte, where Pillow clips.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tarfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gantools import _native
from gantools.errors import DataError

MAX_PIXELS = 1 << 26
"""Larger images are left to both: neither is asked."""


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every regular file below `folder` and of every one in a tar file there."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if path.suffix == ".tar":
            with tarfile.open(path) as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    if content is not None:
                        yield f"{path}:{member.name}", content.read()
        else:
            yield str(path), path.read_bytes()


def by_pillow(data: bytes) -> tuple[str, np.ndarray | None, str]:
    """Format, uint8 (h, w, 3) or None, and why there is none."""
    name = ""
    try:
        with Image.open(io.BytesIO(data)) as image:
            name = image.format or ""
            if image.width * image.height > MAX_PIXELS:
                return name, None, "too large"
            deep = image.mode.startswith("I;16") or (image.mode == "I" and name in ("PNG", "PPM", "TIFF"))
            turned = ImageOps.exif_transpose(image)
            if deep:
                values = np.asarray(turned).astype(np.int64)
                if values.min() < 0 or values.max() > 65535:
                    return name, None, "samples of more than 16 bits"
                high = (values >> 8).astype(np.uint8)
                return name, np.repeat(high[:, :, None], 3, axis=2), ""
            return name, np.asarray(turned.convert("RGB")), ""
    except Exception as error:
        return name, None, f"{type(error).__name__}: {error}"


def by_us(data: bytes) -> tuple[np.ndarray | None, str]:
    """uint8 (h, w, 3) or None, and why there is none."""
    try:
        return _native.decode(data, alpha="drop", max_pixels=MAX_PIXELS), ""
    except DataError as error:
        return None, str(error)


def kind(reason: str) -> str:
    """A reason without the numbers of one file, so that alike ones are counted together."""
    return re.sub(r"0x[0-9a-f]+|\d+", "N", reason)[:100]


def compare(name: str, data: bytes) -> tuple[str, str, str]:
    """Format, one of equal, differs, refused by ..., and the reason."""
    format, theirs, why = by_pillow(data)
    ours, reason = by_us(data)
    if ours is None and theirs is None:
        return format or "no image", "refused by both", kind(reason)
    if ours is None:
        return format, "refused by gantools", kind(reason)
    if theirs is None:
        return format or "?", "refused by Pillow", kind(why)
    if ours.shape != theirs.shape:
        return format, "differs", f"size {ours.shape[1]}x{ours.shape[0]}, Pillow {theirs.shape[1]}x{theirs.shape[0]}"
    most = int(np.abs(ours.astype(int) - theirs).max())
    return format, "differs" if most else "equal", f"by {most} levels" if most else ""


def main() -> int:
    """Prints the table; 1 where a file differs or is refused by gantools alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true", help="name the files that are not equal")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table: Counter[tuple[str, str, str]] = Counter()
    for name, data in files(arguments.folder):
        row = compare(name, data)
        if row[0] == "no image" and "not an image" in row[2]:
            row = ("no image", "refused by both", "not an image")
        table[row] += 1
        if arguments.list and row[1] != "equal" and row[0] != "no image":
            print(f"{row[1]}: {name} ({row[0]}): {row[2]}")
    for (format, result, reason), count in sorted(table.items()):
        print(f"{count:6}  {format:9}  {result:20}  {reason}")
    return int(any(result in ("differs", "refused by gantools") for _, result, _ in table))


if __name__ == "__main__":
    sys.exit(main())
