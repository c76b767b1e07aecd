"""Films as animated PNG, which browsers play: PNG files, one after the other, in one.

Source: Portable Network Graphics specification, third edition (W3C 2025), sections 11.3.6 and 4.9: the chunks acTL,
fcTL and fdAT. A reader that knows none of these shows the first frame.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from gantools.errors import ConfigError
from gantools.files import atomic_write
from gantools.sampling.video import check_video, write_video

#: Suffixes of animated PNG files, and that of a video.
ANIMATED, VIDEO = (".png", ".apng"), ".mp4"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check_film(path: Path) -> None:
    """Refuse a file whose name says of no film that can be written.

    Args:
        path: the file.

    Raises:
        ConfigError: it is another kind, or a package is missing.
    """
    kind = path.suffix.lower()
    if kind not in (*ANIMATED, VIDEO):
        raise ConfigError(
            f"film: {path} is no .png or .mp4 file.", "Call it film.png for an animated PNG, film.mp4 for a video."
        )
    if kind == VIDEO:
        check_video()


def write_film(path: Path, frames: Iterable[bytes], n: int, fps: int) -> None:
    """Write a film, whole or not at all: an animated PNG that plays without end, or with the suffix .mp4 a video.

    Args:
        path: the file.
        frames: PNG files of one size and one kind of pixels, as `encode_png` makes them.
        n: how many there are.
        fps: frames a second, from 1 to 1000.

    Raises:
        ConfigError: `fps` is out of its range, there is no frame, or for a video PyAV is missing.
        ValueError: frames of different sizes or kinds, or not `n` of them.
    """
    if path.suffix.lower() == VIDEO:
        _check(n, fps)
        write_video(path, frames, n, fps)
        return
    with atomic_write(path) as f:
        for part in parts_of(frames, n, fps):
            f.write(part)


def film_of(frames: Iterable[bytes], n: int, fps: int) -> bytes:
    """The animated PNG that `write_film` writes."""
    return b"".join(parts_of(frames, n, fps))


def parts_of(frames: Iterable[bytes], n: int, fps: int) -> Iterator[bytes]:
    """The bytes of an animated PNG, frame after frame; as `write_film`."""
    _check(n, fps)
    header, number, count = b"", 0, 0
    for count, frame in enumerate(frames, 1):
        chunks = list(_chunks(frame))
        (head,) = (data for kind, data in chunks if kind == b"IHDR")
        if count == 1:
            header = head
            yield SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"acTL", struct.pack(">II", n, 0))
        if head != header:
            raise ValueError("frames differ in size or kind of pixels")
        width, height = struct.unpack(">II", head[:8])
        # The whole picture each time, neither disposed of nor blended, for 1/fps seconds.
        yield _chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, fps, 0, 0))
        number += 1
        for data in (data for kind, data in chunks if kind == b"IDAT"):
            if count == 1:
                yield _chunk(b"IDAT", data)
            else:
                yield _chunk(b"fdAT", struct.pack(">I", number) + data)
                number += 1
    if count != n:
        raise ValueError(f"{count} frames, not {n}")
    yield _chunk(b"IEND", b"")


def _check(n: int, fps: int) -> None:
    if not 1 <= fps <= 1000:
        raise ConfigError(f"fps: must be from 1 to 1000 frames a second, not {fps}.")
    if n < 1:
        raise ConfigError("film: has no frame.")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk of a PNG file."""
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12
