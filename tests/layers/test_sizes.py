import pytest

from gantools.errors import ConfigError
from gantools.layers.sizes import doubled_sizes


@pytest.mark.parametrize(
    ("size", "sizes"), [(8, [4, 8]), (28, [7, 14, 28]), (48, [6, 12, 24, 48]), (64, [4, 8, 16, 32, 64])]
)
def test_sides_are_doubled_up_to_the_image(size, sizes):
    assert doubled_sizes(size) == sizes


@pytest.mark.parametrize("size", [-8, 0, 1, 4, 7, 9, 30, 63])
def test_sides_that_are_no_doubled_ones(size):
    with pytest.raises(ConfigError, match=f"network.size: {size} is not"):
        doubled_sizes(size)
