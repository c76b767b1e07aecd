"""The pixel policy of a set: as Python holds it, as it stands in the manifest, and as Rust takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gantools import _native
from gantools.errors import DataError

# What cannot be chosen yet, but would change pixels if it changed. Pillow 13 changed the order of the two passes of the
# resize for tall images.
FIXED_POLICY = {"resize": "pillow-13", "cmyk": "pillow", "animation": "first-frame"}
# The filters of the crop that has its own.
DHARIWAL_FILTERS = "box, bicubic"
EXACT, FAST = "exact", "fast-4x"
BLACK = "#000000"
#: The crop of `gantools prep tiles`, which is not asked for by name, and the others.
TILE = "tile"
CROPS = tuple(crop for crop in _native.CROPS if crop != TILE)
# How the manifest calls the policy for 16-bit samples that keeps their high byte, and how it is asked for.
HIGH_BYTE, SIXTEEN_BIT = "high-byte", "full"
PIXELS = "pixels"


@dataclass(frozen=True)
class Policy:
    """How an image becomes pixels of a set, and what is stored of it.

    Attributes:
        width: of the result, in pixels.
        height: of the result, in pixels.
        channels: 1 or 3.
        crop: a name in `_native.CROPS`.
        filter: a name in `_native.FILTERS`, or `DHARIWAL_FILTERS`.
        fast: whether large JPEGs are decoded at reduced size.
        alpha: a name in `_native.ALPHA_POLICIES`.
        orientation: a name in `_native.ORIENTATION_POLICIES`.
        pad_color: `#rrggbb`, for the crops with a background; else None.
        band: height of the picture in the square, for the crop `center-wide`; else None.
        store: a name in `_native.STORES`.
        sixteen_bit: `full`, `stretch` or `LOW:HIGH`.
        half: which half of a file that shows two images: `whole`, `left` or `right`.
        effect: a name in `_native.EFFECTS`, done to the finished pixels.
    """

    width: int
    height: int
    channels: int
    crop: str
    filter: str
    fast: bool
    alpha: str
    orientation: str
    pad_color: str | None = None
    band: int | None = None
    store: str = PIXELS
    sixteen_bit: str = SIXTEEN_BIT
    half: str = "whole"
    effect: str = "none"

    def to_manifest(self) -> dict[str, Any]:
        """The policy as it is written: what was chosen, then what cannot be."""
        chosen: dict[str, Any] = {
            "width": self.width,
            "height": self.height,
            "channels": self.channels,
            "crop": self.crop,
            "filter": self.filter,
            "decode": FAST if self.fast else EXACT,
            "alpha": self.alpha,
            "orientation": self.orientation,
        }
        if self.pad_color is not None:
            chosen["pad_color"] = self.pad_color
        if self.band is not None:
            chosen["band"] = self.band
        if self.half != "whole":
            chosen["half"] = self.half
        if self.effect != "none":
            chosen["effect"] = self.effect
        if self.store != PIXELS:
            chosen["store"] = self.store
        chosen["sixteen_bit"] = HIGH_BYTE if self.sixteen_bit == SIXTEEN_BIT else self.sixteen_bit
        return {**chosen, **FIXED_POLICY}

    @staticmethod
    def from_manifest(manifest: dict[str, Any]) -> Policy:
        """The policy that stands in a manifest, whatever else stands there.

        Raises:
            DataError: a key is missing, or a value is of another kind.
        """
        try:
            policy = Policy(
                width=manifest["width"],
                height=manifest["height"],
                channels=manifest["channels"],
                crop=manifest["crop"],
                filter=str(manifest["filter"]),
                fast=manifest["decode"] == FAST,
                alpha=manifest["alpha"],
                orientation=manifest["orientation"],
                pad_color=manifest.get("pad_color"),
                band=manifest.get("band"),
                store=manifest.get("store", PIXELS),
                half=manifest.get("half", "whole"),
                effect=manifest.get("effect", "none"),
                sixteen_bit=str(manifest.get("sixteen_bit", HIGH_BYTE)).replace(HIGH_BYTE, SIXTEEN_BIT),
            )
            # The one that knows which values there are.
            policy.native()
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
            raise DataError(f"the pixel policy of the manifest is damaged ({e!r}).", "Prepare the set again.") from e
        return policy

    def native(self) -> _native.PixelPolicy:
        """The policy for Rust. ValueError and its like: a value that is none."""
        red, green, blue = bytes.fromhex((self.pad_color or BLACK).removeprefix("#"))
        return _native.PixelPolicy(
            width=self.width,
            height=self.height,
            channels=self.channels,
            crop=self.crop,
            band=self.band,
            background=(red, green, blue),
            filter="lanczos" if self.filter == DHARIWAL_FILTERS else self.filter,
            fast=self.fast,
            alpha=self.alpha,
            orientation=self.orientation,
            sixteen_bit=self.sixteen_bit,
            half=self.half,
            effect=self.effect,
        )
