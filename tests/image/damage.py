"""Damage to encoded images that several tests do."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gantools import _native
from gantools.errors import DataError


def decoded_or_refused(data: bytes, places: Iterable[int], rng: np.random.Generator) -> None:
    """Decodes `data` with random bytes at `places`, which gives pixels or a reason, never a panic of the decoder."""
    broken = bytearray(data)
    for at in places:
        broken[at] = rng.integers(0, 256)
    try:
        _native.decode(bytes(broken), alpha="drop", max_pixels=1 << 16)
    except DataError as error:
        assert "decoder failed" not in str(error)
