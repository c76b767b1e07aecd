"""Event files of TensorBoard, written without it: scalars and images beside a run's `stats.jsonl`.

A file is a series of records, each with its length and masked CRC-32C sums; a record is an `Event` message of
TensorFlow's `event.proto`, of which the few fields needed are written by hand. Records are handed to the system whole,
so a process that is killed leaves a file that reads up to its last record.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

# A reflected table of the Castagnoli polynomial.
_POLYNOMIAL = 0x82F63B78


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of `data`. Source: RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """`data` as a record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    """A field of protobuf that holds bytes, text or a message."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    """A field of protobuf that holds a whole number."""
    return _varint(number << 3) + _varint(value)


class EventFile:
    """Writes one event file into a folder; made with the first thing that is written.

    Args:
        folder: of the run, which `tensorboard --logdir` is given, or a folder of runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name, at `step` (real images shown)."""
        summaries = [
            _field(1, tag.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", value) for tag, value in values.items()
        ]
        self._event(step, b"".join(_field(1, summary) for summary in summaries))

    def image(self, step: int, tag: str, png: bytes, height: int, width: int) -> None:
        """An image in PNG, at `step` (real images shown)."""
        image = _number(1, height) + _number(2, width) + _number(3, 3) + _field(4, png)
        self._event(step, _field(1, _field(1, tag.encode()) + _field(4, image)))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _event(self, step: int, summary: bytes) -> None:
        if self._file is None:
            name = f"events.out.tfevents.{time.time_ns() // 1000}.{socket.gethostname()}"
            self._file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._write(_varint(1 << 3 | 1) + struct.pack("<d", time.time()) + _field(3, b"brain.Event:2"))
        head = _varint(1 << 3 | 1) + struct.pack("<d", time.time()) + _number(2, step)
        self._write(head + _field(5, summary))

    def _write(self, event: bytes) -> None:
        assert self._file is not None
        data = record(event)
        while data:
            data = data[os.write(self._file, data) :]
