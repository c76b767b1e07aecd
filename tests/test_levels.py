import pytest
import torch

from gantools.levels import to_uint8


@pytest.mark.parametrize("values", [(-1, 1), (0, 1)])
def test_levels_come_back(values):
    levels = torch.arange(256, dtype=torch.float32)
    low, high = values
    images = (low + levels / 255 * (high - low)).reshape(1, 1, 16, 16)
    before = images.clone()
    assert torch.equal(to_uint8(images, values).flatten(), levels.to(torch.uint8))
    assert torch.equal(images, before)
    assert torch.equal(to_uint8(images.double(), values), to_uint8(images, values))


@pytest.mark.parametrize(
    ("values", "x", "expected"),
    [
        ((-1, 1), [-3.0, -1.0, 0.0, 1.0, 3.0], [0, 0, 128, 255, 255]),
        ((0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0], [0, 0, 128, 255, 255]),
    ],
)
def test_halves_go_up_and_what_is_outside_is_clamped(values, x, expected):
    found = to_uint8(torch.tensor(x), values)
    assert found.dtype == torch.uint8
    assert found.tolist() == expected


def test_the_range_of_networks_is_the_default_and_the_layout_stays():
    images = torch.rand(2, 3, 4, 5) * 2 - 1
    assert torch.equal(to_uint8(images), to_uint8(images, (-1, 1)))
    assert to_uint8(images).shape == (2, 3, 4, 5)
    assert torch.equal(to_uint8(images.permute(0, 2, 3, 1)), to_uint8(images).permute(0, 2, 3, 1))
    assert not to_uint8(images.requires_grad_()).requires_grad
