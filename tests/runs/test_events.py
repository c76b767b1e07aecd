from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gantools import _native
from gantools.runs.events import EventFile, crc32c, record


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        # RFC 3720, B.4, and the check value of the polynomial.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_crc32c(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


def test_a_record_is_that_of_tensorflow() -> None:
    # The record of the file version with which every event file begins, at time 0.
    event = b"\x09" + bytes(8) + b"\x1a\x0dbrain.Event:2"
    found = record(event)
    assert found[:8] == struct.pack("<Q", 24) and found[12:36] == event
    # Length 24's masked sum, as in every event file that TensorFlow writes.
    assert found[8:12] == bytes.fromhex("a37f4b22")


def records(data: bytes) -> Iterator[bytes]:
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert record(data[12 : 12 + length]) == data[: length + 16]
        yield data[12 : 12 + length]
        data = data[length + 16 :]


def fields(message: bytes) -> dict[int, list[bytes | int]]:
    """A reader of protobuf of the test's own."""
    found: dict[int, list[bytes | int]] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        size = {1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            found.setdefault(key >> 3, []).append(varint())
            continue
        size = varint() if size is None else size
        found.setdefault(key >> 3, []).append(message[at : at + size])
        at += size
    return found


def test_scalars_and_images_read_back(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    assert not list(tmp_path.iterdir())  # nothing until there is something to write
    png = bytes(_native.encode_png(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)))
    events.scalars(64_000, {"loss_g": 1.5, "fd": 12.25})
    events.image(300, "grid", png, 2, 2)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("events.out.tfevents.")
    version, scalars, image = map(fields, records(file.read_bytes()))  # whole before it is closed
    events.close()
    assert version[3] == [b"brain.Event:2"]
    assert scalars[2] == [64_000]
    (summary,) = scalars[5]
    assert isinstance(summary, bytes)
    values = [fields(v) for v in fields(summary)[1] if isinstance(v, bytes)]
    assert [v[1] for v in values] == [[b"loss_g"], [b"fd"]]
    assert [v[2] for v in values] == [[struct.pack("<f", 1.5)], [struct.pack("<f", 12.25)]]
    (summary,) = image[5]
    assert isinstance(summary, bytes)
    (value,) = fields(summary)[1]
    assert isinstance(value, bytes) and fields(value)[1] == [b"grid"]
    (picture,) = fields(value)[4]
    assert isinstance(picture, bytes)
    assert fields(picture) == {1: [2], 2: [2], 3: [3], 4: [png]}
