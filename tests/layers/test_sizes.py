import pytest

from gantools.errors import ConfigError
from gantools.layers.sizes import SquareConfig, doubled_widths, tapered_widths


@pytest.mark.parametrize(
    ("size", "sizes"), [(8, [4, 8]), (28, [7, 14, 28]), (48, [6, 12, 24, 48]), (64, [4, 8, 16, 32, 64])]
)
def test_sides_are_doubled_up_to_the_image(size, sizes):
    config = SquareConfig(size, 3)
    config.check("channels")
    assert config.sizes == sizes and config.base == sizes[0] and config.doublings == len(sizes) - 1
    assert config.image_shape == (size, size, 3)


@pytest.mark.parametrize("size", [-8, 0, 1, 4, 7, 9, 30, 63])
def test_sides_that_are_no_doubled_ones(size):
    with pytest.raises(ConfigError, match=f"network.size: {size} is not"):
        SquareConfig(size, 3).check()


def test_fields_that_are_too_small():
    with pytest.raises(ConfigError, match=r"network.channels: must be at least 1, not 0\."):
        SquareConfig(8, 0).check("channels")
    SquareConfig(8, 0).check("channels", least=0)


def test_channels_that_get_fewer_as_maps_get_larger():
    # ProGAN's table 2, from 4x4 to 1024x1024.
    sides = [4 << i for i in range(9)]
    assert tapered_widths(sides, 16 * 1024, 512) == [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert tapered_widths([7, 14, 28], 448, 64) == [64, 32, 16]
    assert tapered_widths([4, 8], 6, 512) == [1, 0] and tapered_widths([4, 8], 6, 512, least=1) == [1, 1]


def test_channels_that_double_from_the_image_inwards():
    assert doubled_widths(64, 4) == [64, 128, 256, 512]
    assert doubled_widths(64, 5, 8) == [64, 128, 256, 512, 512] and doubled_widths(3, 3, 1) == [3, 3, 3]
