"""A damaged file is one whose pixels are damaged."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gantools import _native
from gantools.errors import DataError

PHOTO = Image.fromarray(np.random.default_rng(2).integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((120, 90))


def saved(format: str, **options) -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, format, **options)
    return buffer.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_what_touches_no_pixel_of_a_jpeg_rejects_nothing(options):
    data = saved("JPEG", **options)
    want = _native.decode(data)
    behind = 2 + 2 + struct.unpack(">H", data[4:6])[0]  # behind JFIF
    scan = data.index(b"\xff\xda")
    harmless = {
        "a bad profile": data[:behind] + segment(0xE2, b"ICC_PROFILE\0\x05\x02no") + data[behind:],
        "two profiles of one number": data[:behind] + 2 * segment(0xE2, b"ICC_PROFILE\0\x01\x02no") + data[behind:],
        "stray bytes": data[:behind] + b"\0\0\x17" + data[behind:],
        "stray bytes before the scan": data[:scan] + b"\0\x42" + data[scan:],
        "fill bytes": data[:behind] + b"\xff\xff\xff" + data[behind:],
        "an unknown version of JFIF": data[:11] + b"\x07\x09" + data[13:],
        "a note that is no EXIF": data[:behind] + segment(0xE1, b"Exif\0\0????") + data[behind:],
        "bytes behind the end": data + b"\r\n<html>",
    }
    for what, changed in harmless.items():
        np.testing.assert_array_equal(_native.decode(changed), want, err_msg=what)


def test_damage_to_pixels_of_a_jpeg_still_rejects():
    data = saved("JPEG", quality=90)
    scan = data.index(b"\xff\xda") + 14
    stray = data[:20] + b"\0\0\x17" + data[20:]
    for what, changed in {
        "cut": data[: len(data) * 2 // 3],
        "no end": data[:-2],
        "a marker within": data[: scan + 200] + b"\xff\xd9" + data[scan + 200 :],
        "codes that are none": data[: scan + 100] + b"\xff\x00" * 60 + data[scan + 220 :],
        "stray bytes and cut": stray[: len(stray) * 2 // 3],
    }.items():
        with pytest.raises(DataError, match=r"damaged JPEG: (?!TurboJPEG)"):
            print(what, _native.decode(changed).shape)


def png(chunks: dict[bytes, bytes]) -> bytes:
    data = saved("PNG")
    packed = b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", 7) for n, b in chunks.items())
    return data[:33] + packed + data[33:]


def test_a_wrong_sum_of_a_chunk_beside_the_pixels_rejects_nothing():
    for name in (b"tEXt", b"gAMA", b"iCCP", b"prVt"):
        np.testing.assert_array_equal(_native.decode(png({name: b"note\0\0abc"})), np.asarray(PHOTO), err_msg=str(name))


def test_a_wrong_sum_of_the_pixels_or_of_their_header_rejects():
    data = saved("PNG")
    for at in (20, data.index(b"IDAT") + 40):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(DataError):
            _native.decode(bytes(broken))
    assert zlib.crc32(b"IEND") == struct.unpack(">I", data[-4:])[0]
    with pytest.raises(DataError, match=r"cut off|damaged PNG"):
        _native.decode(data[:-40])
