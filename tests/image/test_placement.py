"""Where a prepared image lies on the image that it was made of."""

import pytest

from gantools import _native
from gantools.errors import DataError

# Crop, (width, height) of the result, of the image, and the rectangle worked out by hand.
CASES = [
    ("none", (32, 32), (90, 60), (0, 0, 90, 60)),
    ("center", (32, 32), (90, 60), (15, 0, 60, 60)),
    ("center", (32, 32), (60, 91), (0, 15, 60, 60)),
    ("center", (64, 32), (90, 60), (0, 7, 90, 45)),
    ("celeba-108", (64, 64), (178, 218), (35, 55, 108, 108)),
    ("pad", (32, 32), (64, 32), (0, -16, 64, 64)),
    ("dhariwal", (32, 32), (200, 100), (50, 0, 100, 100)),
]


@pytest.mark.parametrize(("crop", "target", "size", "expected"), CASES)
def test_the_rectangle(
    crop: str, target: tuple[int, int], size: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    policy = _native.PixelPolicy(width=target[0], height=target[1], channels=3, crop=crop)
    assert _native.placement(policy, *size) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("crop", "size"), [("box", (9, 9)), ("landmarks", (9, 9)), ("celeba-108", (9, 9)), ("center", (0, 9))]
)
def test_where_there_is_none(crop: str, size: tuple[int, int]) -> None:
    with pytest.raises(DataError):
        _native.placement(_native.PixelPolicy(width=8, height=8, channels=3, crop=crop), *size)
