"""What configs of networks have in common whose maps are doubled from a small square to the image's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gantools.errors import ConfigError, check_least


@dataclass(frozen=True)
class SquareConfig:
    """Square images whose side is 4, 5, 6 or 7 pixels doubled at least once; a system's config adds to it.

    Attributes:
        size: side of the images.
        channels: of the images.
    """

    size: int
    channels: int

    def check(self, *names: str, least: int = 1) -> None:
        """Refuse fields below `least`, and a size that is no doubled one.

        Raises:
            ConfigError: there is one.
        """
        check_least("network", self, *names, least=least)
        if self.size < 8 or self.base << self.doublings != self.size:
            raise ConfigError(
                f"network.size: {self.size} is not 4, 5, 6 or 7 doubled at least once.",
                "Sizes that work: 8, 16, 28, 32, 48, 64, 96, 128, 256, 512, 1024.",
            )

    @property
    def doublings(self) -> int:
        """How many times the smallest map is doubled: 4 for 64, 2 for 28."""
        return max(0, self.size.bit_length() - 3)

    @property
    def base(self) -> int:
        """Side of the smallest map: 4 for 64, 7 for 28."""
        return self.size >> self.doublings

    @property
    def sizes(self) -> list[int]:
        """Sides of the maps from the smallest to the image's: 7, 14, 28."""
        return [self.base << i for i in range(self.doublings + 1)]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (self.size, self.size, self.channels)


def tapered_widths(sides: Iterable[int], numbers: int, widest: int, least: int = 0) -> list[int]:
    """Channels of maps that get narrower as they get larger: `numbers` / side, from `least` to `widest`.

    Source: Karras et al. 2018 (arXiv:1710.10196), table 2; 16 · 512 numbers, at most 512 channels there.
    """
    return [max(least, min(numbers // side, widest)) for side in sides]


def doubled_widths(width: int, count: int, times: int | None = None) -> list[int]:
    """Channels of `count` maps from the image inwards: `width`, doubled at each, at most `times` as many."""
    return [width * min(1 << i, times or 1 << i) for i in range(count)]
