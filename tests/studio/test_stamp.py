"""A picture carries what it is, and every reader sees the same pixels as before."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from gantools import _native
from gantools.errors import DataError
from gantools.studio.stamp import read_stamp, stamped

PNG = _native.encode_png(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
SAID = {"view": "run=ä&seed=1", "weights": "00"}


def test_pillow_reads_the_stamp_and_the_same_pixels():
    with Image.open(io.BytesIO(stamped(PNG, SAID))) as image:
        assert '"run=ä&seed=1"' in image.text["gantools"]
        np.testing.assert_array_equal(np.asarray(image), np.arange(48).reshape(4, 4, 3))


def test_it_is_read_back():
    assert read_stamp(stamped(PNG, SAID)) == SAID


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"JPEG",
        PNG,
        PNG[:20],
        stamped(PNG, SAID)[:60],
        stamped(PNG, SAID).replace(b"seed=1", b"seed=2"),  # its checksum does not fit any more
        stamped(PNG, {"view": "a" * 20000}),
        stamped(PNG, []),
    ],
    ids=["nothing", "no PNG", "no stamp", "cut", "cut in the stamp", "changed", "too long", "no object"],
)
def test_what_says_nothing_is_refused(data):
    with pytest.raises(DataError):
        read_stamp(data)


def test_nested_too_deeply_is_refused():
    text = b"gantools\0\0\0\0\0" + b"[" * 10000
    chunk = len(text).to_bytes(4, "big") + b"iTXt" + text + zlib.crc32(b"iTXt" + text).to_bytes(4, "big")
    with pytest.raises(DataError):
        read_stamp(PNG[:33] + chunk + PNG[33:])
