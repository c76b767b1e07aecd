"""Pictures that know what they are: a PNG file with one more chunk of text, and the text read back.

Source: Portable Network Graphics specification, third edition (W3C 2025), section 11.3.3.4: the chunk iTXt.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

from gantools.errors import DataError
from gantools.sampling.film import SIGNATURE

KEYWORD = b"gantools"
#: Bytes of what is said at most.
LONGEST = 16384
# Signature and IHDR, which comes first.
HEAD = len(SIGNATURE) + 25


def stamped(png: bytes, said: dict[str, Any]) -> bytes:
    """A PNG file with `said` in it; the pixels are the same."""
    data = KEYWORD + b"\0\0\0\0\0" + json.dumps(said, ensure_ascii=False).encode()
    chunk = struct.pack(">I", len(data)) + b"iTXt" + data + struct.pack(">I", zlib.crc32(b"iTXt" + data))
    return png[:HEAD] + chunk + png[HEAD:]


def read_stamp(png: bytes) -> dict[str, Any]:
    """What a PNG file says of itself.

    Raises:
        DataError: it is no PNG file, says nothing, or is damaged.
    """
    if not png.startswith(SIGNATURE):
        raise DataError("this is no PNG file.", "Drop a picture that was saved here.")
    at = len(SIGNATURE)
    while at + 12 <= len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + length]
        if kind == b"iTXt" and data.startswith(KEYWORD + b"\0"):
            whole = len(data) == length <= LONGEST and png[at + 8 + length : at + 12 + length] == struct.pack(
                ">I", zlib.crc32(kind + data)
            )
            try:
                said = json.loads(data[len(KEYWORD) + 5 :]) if whole else None
            except (ValueError, RecursionError):
                said = None
            if not isinstance(said, dict):
                raise DataError("what this picture says of itself is damaged.")
            return said
        at += 12 + length
    raise DataError(
        "this picture does not say what it is.", "Only pictures that were saved in the studio do, not those of samples."
    )
