import pytest
import torch

from gantools.augment.diffaugment import UNIFORMS, cut, diffaugment, shifted


@pytest.fixture
def x():
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) + 0.1


def test_a_shift_moves_by_whole_pixels_with_zeros_behind(x):
    # 5 places from -2 to 2, an eighth of 16.
    y = shifted(x, torch.tensor([[0.5, 0.5], [0.99, 0.5], [0.0, 0.5], [0.5, 0.99]]))
    assert torch.equal(y[0], x[0])
    assert torch.equal(y[1, :, :-2], x[1, :, 2:]) and (y[1, :, -2:] == 0).all()
    assert torch.equal(y[2, :, 2:], x[2, :, :-2]) and (y[2, :, :2] == 0).all()
    assert torch.equal(y[3, :, :, :-2], x[3, :, :, 2:]) and (y[3, :, :, -2:] == 0).all()


def test_a_hole_has_half_the_sides_and_its_centre_in_the_image(x):
    y = cut(x, torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.999, 0.5], [0.5, 0.999]]))
    assert torch.equal(y[0] == 0, hole(4, 4))
    assert torch.equal(y[1] == 0, hole(-4, -4))
    assert torch.equal(y[2] == 0, hole(12, 4))
    assert torch.equal(y[3] == 0, hole(4, 12))


def hole(top, left):
    rows = torch.arange(16)
    return (((rows >= top) & (rows < top + 8))[:, None] & ((rows >= left) & (rows < left + 8))[None, :]).expand(
        3, 16, 16
    )


def test_colours_are_those_of_the_formulas(x):
    uniform = torch.tensor([[0.8, 0.25, 0.9, 0.5, 0.5, 0.0, 0.0]]).expand(4, UNIFORMS)
    y = x + 0.3
    y = y.mean(1, keepdim=True) + 0.5 * (y - y.mean(1, keepdim=True))
    middle = y.mean((1, 2, 3), keepdim=True)
    y = middle + 1.4 * (y - middle)
    torch.testing.assert_close(diffaugment(x, uniform)[:, :, 8:, 8:], y[:, :, 8:, 8:])


def test_it_is_twice_differentiable():
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    uniform = torch.rand(1, UNIFORMS, dtype=torch.float64)

    def bent(x):
        return diffaugment(x.sin(), uniform).square().sum()

    assert torch.autograd.gradcheck(bent, x)
    assert torch.autograd.gradgradcheck(bent, x)
