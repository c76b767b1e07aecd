"""Orientation from everything that can say it, against Pillow's `ImageOps.exif_transpose`."""

from __future__ import annotations

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from gantools import _native

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)).resize((64, 40))


def exif(value: int, kind: int = 3) -> bytes:
    packed = struct.pack("<H" if kind == 3 else "<I", value).ljust(4, b"\0")
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 0x112, kind, 1) + packed + b"\0\0\0\0"


def xmp(value: int, element: bool = False) -> bytes:
    said = f"<tiff:Orientation>{value}</tiff:Orientation>" if element else f'<x tiff:Orientation="{value}"/>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{said}</x:xmpmeta>'.encode()


def magick(value: int) -> bytes:
    data = b"Exif\0\0" + exif(value)
    return b"\nexif\n%8d\n" % len(data) + data.hex().encode() + b"\n"


def png(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "PNG")
    data = buffer.getvalue()
    packed = b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks)
    at = len(data) - 12 if behind else 33
    return data[:at] + packed + data[at:]


def jpeg(*segments: bytes) -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "JPEG")
    data = buffer.getvalue()
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments) + data[2:]


XAP = b"http://ns.adobe.com/xap/1.0/\0"
PNG_SAYS = {
    "eXIf": lambda n: (b"eXIf", exif(n)),
    "iTXt XMP": lambda n: (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(n)),
    "packed iTXt XMP": lambda n: (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(n, True))),
    "tEXt profile": lambda n: (b"tEXt", b"Raw profile type exif\0" + magick(n)),
    "zTXt profile": lambda n: (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(magick(n))),
}


def equal(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        want = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(_native.decode(data), want)


@pytest.mark.parametrize("source", PNG_SAYS)
@pytest.mark.parametrize("behind", [False, True])
def test_png_is_turned_by_everything_that_pillow_heeds(source, behind):
    for value in range(10):
        equal(png(PNG_SAYS[source](value), behind=behind))


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(PNG_SAYS, 2)))
def test_of_two_that_differ_png_heeds_the_one_that_pillow_heeds(one, other):
    equal(png(PNG_SAYS[one](6), PNG_SAYS[other](3)))


@pytest.mark.parametrize("value", range(10))
def test_jpeg_and_webp_are_turned_by_xmp_where_exif_is_silent(value):
    equal(jpeg(XAP + xmp(value)))
    equal(jpeg(XAP + xmp(value, element=True)))
    equal(jpeg(b"Exif\0\0" + exif(3), XAP + xmp(value)))
    equal(jpeg(XAP + xmp(value), b"Exif\0\0" + exif(value, kind=4)))
    for metadata in ({"xmp": xmp(value)}, {"xmp": xmp(value), "exif": exif(3)}, {"exif": exif(value)}):
        buffer = io.BytesIO()
        PHOTO.save(buffer, "WEBP", lossless=True, **metadata)
        equal(buffer.getvalue())


def test_a_profile_that_is_no_hexadecimal_is_silent():
    for profile in (b"\nexif\n 3\nzz\n", b"", b"\nexif\n", b"\nexif\n 4\n123\n"):
        data = png((b"tEXt", b"Raw profile type exif\0" + profile))
        np.testing.assert_array_equal(_native.decode(data), np.asarray(PHOTO))
