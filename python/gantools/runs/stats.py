"""The numbers of a run: `stats.jsonl`, one JSON line a tick."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantools.files import write_whole

#: Of a run.
STATS = "stats.jsonl"
# A number above it is no figure of a training, and the difference of two of them may not be finite.
LARGEST = 1e300


def append_line(path: Path, values: dict[str, Any]) -> None:
    """Append one JSON object as a line; it is on disk when this returns."""
    with path.open("a", encoding="utf-8") as f:
        f.write(json.dumps(values) + "\n")
        f.flush()
        os.fsync(f.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a stats file; a last line that was cut off by a crash is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if isinstance(line, dict):
            lines.append(line)
    return lines


def read_sound(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """What is whole of a stats file, and the numbers of the lines that are not, from 1.

    A line is whole when it is a JSON object with a count of images `nimg` above that of the line before. The last one,
    when it has no end yet, is being written and not counted as damaged. Of a line, numbers that are finite are kept,
    and words; of the others there is nothing to draw.
    """
    lines: list[dict[str, Any]] = []
    damaged: list[int] = []
    data = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
    texts = data.split("\n")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        line = _sound(text)
        if line is not None and line["nimg"] > (lines[-1]["nimg"] if lines else -1):
            lines.append(line)
        elif number < len(texts) or line is not None:
            damaged.append(number)
    return lines, damaged


@dataclass(frozen=True)
class Place:
    """How far a stats file was read.

    Attributes:
        inode: of the file: a training that resumes puts another in its place.
        offset: bytes that were read.
        nimg: of the last line that was whole.
    """

    inode: int = 0
    offset: int = 0
    nimg: int = -1


@dataclass(frozen=True)
class Part:
    """What was read of a stats file.

    Attributes:
        lines: those that are whole, as by `read_sound`.
        damaged: how many are not.
        place: where to go on.
        again: whether it was read from the beginning.
        more: whether there was more than was asked for.
    """

    lines: list[dict[str, Any]]
    damaged: int
    place: Place
    again: bool
    more: bool


def read_on(path: Path, place: Place, most: int) -> Part:
    """What came after `place`, `most` bytes of it; all from the beginning where it is another file by now.

    A line without an end is still being written, and read the next time. One that is longer than `most` is damaged.

    Raises:
        OSError: there is no file, or it cannot be read.
    """
    with path.open("rb") as f:
        found = os.fstat(f.fileno())
        if place.inode != found.st_ino or place.offset > found.st_size:
            place = Place(found.st_ino)
        f.seek(place.offset)
        data = f.read(most)
    more = len(data) == most
    end = data.rfind(b"\n") + 1 or (most if more else 0)
    lines, damaged, nimg = [], 0, place.nimg
    for text in data[:end].decode("utf-8", "replace").split("\n"):
        line = _sound(text) if text.strip() else None
        if line is not None and line["nimg"] > nimg:
            lines.append(line)
            nimg = line["nimg"]
        elif text.strip():
            damaged += 1
    return Part(lines, damaged, Place(place.inode, place.offset + end, nimg), place.offset == 0, more)


def _sound(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    nimg = line.get("nimg")
    if isinstance(nimg, bool) or not isinstance(nimg, int) or not 0 <= nimg < 1 << 53:
        return None
    kept: dict[str, Any] = {}
    for key, value in line.items():
        number = isinstance(value, int | float) and abs(value) <= LARGEST  # not NaN
        if number or isinstance(value, bool | str | dict):
            kept[key] = value
    return kept


def cut_after(path: Path, nimg: int) -> None:
    """Remove the lines of ticks later than `nimg`: a training that resumes there will write them again."""
    kept = [line for line in read_lines(path) if line.get("nimg", 0) <= nimg]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
