"""Which sides the maps of a convolutional network have."""

from __future__ import annotations

from gantools.errors import ConfigError


def doubled_sizes(size: int) -> list[int]:
    """Sides of maps from the smallest to `size`, each twice the one before: 4, 8, 16, 32, 64, or 7, 14, 28.

    Raises:
        ConfigError: `size` is not 4, 5, 6 or 7 doubled at least once.
    """
    doublings = size.bit_length() - 3
    if size < 8 or (size >> doublings) << doublings != size:
        raise ConfigError(
            f"network.size: {size} is not 4, 5, 6 or 7 doubled at least once.",
            "Sizes that work: 8, 16, 28, 32, 48, 64, 96, 128, 256, 512, 1024.",
        )
    return [size >> i for i in range(doublings, -1, -1)]
