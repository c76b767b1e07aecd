import torch
from torch import nn

from gantools.layers.stacks import doubling, halving


def test_one_stack_undoes_the_shapes_of_the_other():
    down = nn.Sequential(*halving(3, [4, 8, 16]))
    up = nn.Sequential(*doubling(5, [16, 8, 4], 3, 4))
    x = torch.randn(2, 3, 32, 32)
    assert down(x).shape == (2, 16, 4, 4)
    images = up(torch.randn(2, 5, 1, 1))
    assert images.shape == x.shape and images.abs().max() <= 1
