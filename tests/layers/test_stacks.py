import pytest
import torch
from torch import nn

from gantools.errors import ConfigError
from gantools.layers.stacks import doubling, doublings, halving


@pytest.mark.parametrize(("size", "times"), [(8, 1), (28, 2), (32, 3), (48, 3), (64, 4), (96, 4), (256, 6)])
def test_how_often_a_size_is_doubled(size, times):
    assert doublings(size) == times
    assert 4 <= size >> times <= 7


@pytest.mark.parametrize("size", [0, 1, 4, 7, 30, 65])
def test_other_sizes_are_refused(size):
    with pytest.raises(ConfigError, match=f"network.size: {size} is not"):
        doublings(size)


def test_one_stack_undoes_the_shapes_of_the_other():
    down = nn.Sequential(*halving(3, [4, 8, 16]))
    up = nn.Sequential(*doubling(5, [16, 8, 4], 3, 4))
    x = torch.randn(2, 3, 32, 32)
    assert down(x).shape == (2, 16, 4, 4)
    images = up(torch.randn(2, 5, 1, 1))
    assert images.shape == x.shape and images.abs().max() <= 1
