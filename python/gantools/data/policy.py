"""The pixel policy of a set: as it stands in the manifest, and as Rust takes it."""

from __future__ import annotations

from typing import Any

from gantools import _native
from gantools.errors import DataError

# What cannot be chosen yet, but would change pixels if it changed. Pillow 13 changed the order of the two passes of the
# resize for tall images.
FIXED_POLICY = {"resize": "pillow-13", "sixteen_bit": "high-byte", "cmyk": "pillow", "animation": "first-frame"}
# The filters of the crop that has its own.
DHARIWAL_FILTERS = "box, bicubic"
EXACT, FAST = "exact", "fast-4x"
BLACK = "#000000"


def native_policy(policy: dict[str, Any]) -> _native.PixelPolicy:
    """The policy of a manifest for Rust.

    Raises:
        DataError: a key is missing, or a value is of another kind.
    """
    try:
        filter_name = str(policy["filter"])
        red, green, blue = bytes.fromhex(policy.get("pad_color", BLACK).removeprefix("#"))
        return _native.PixelPolicy(
            width=policy["width"],
            height=policy["height"],
            channels=policy["channels"],
            crop=policy["crop"],
            band=policy.get("band"),
            background=(red, green, blue),
            filter="lanczos" if filter_name == DHARIWAL_FILTERS else filter_name,
            fast=policy["decode"] == FAST,
            alpha=policy["alpha"],
            orientation=policy["orientation"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
        raise DataError(f"the pixel policy of the manifest is damaged ({e!r}).", "Prepare the set again.") from e
