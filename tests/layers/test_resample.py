import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gantools.layers.resample import Blur, Resample, ResidualDown, filter2d

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8


def filtered(x, before, after, up=1, down=1, gain=1.0):
    """The definition in plain words: zeros between pixels, zeros around, the filter, every `down`-th pixel."""
    n, c, h, w = x.shape
    wide = np.zeros((n, c, h * up, w * up))
    wide[:, :, ::up, ::up] = x
    wide = np.pad(wide, ((0, 0), (0, 0), (before, after), (before, after)))
    out = np.zeros((n, c, wide.shape[2] - 3, wide.shape[3] - 3))
    for i, j in np.ndindex(4, 4):
        out += TAPS[i] * TAPS[j] * wide[:, :, i : i + out.shape[2], j : j + out.shape[3]]
    return gain * out[:, :, ::down, ::down]


@pytest.fixture
def resample():
    return Resample().double()


@pytest.fixture
def x():
    return torch.randn(2, 3, 6, 6, dtype=torch.float64)


def test_the_filter_has_sum_1():
    assert filter2d((1, 3, 3, 1)).sum().item() == pytest.approx(1.0)


def test_up_down_and_blur_are_the_definition(resample, x):
    np.testing.assert_allclose(resample.up(x).numpy(), filtered(x.numpy(), 2, 1, up=2, gain=4), atol=1e-7)
    np.testing.assert_allclose(resample.down(x).numpy(), filtered(x.numpy(), 1, 1, down=2), atol=1e-7)
    np.testing.assert_allclose(resample.blur(x, 2).numpy(), filtered(x.numpy(), 2, 2), atol=1e-7)


def test_a_flat_image_stays_flat_away_from_its_border(resample):
    flat = torch.ones(1, 2, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(resample.up(flat)[..., 1:-1, 1:-1], torch.ones(1, 2, 14, 14, dtype=torch.float64))
    torch.testing.assert_close(resample.down(flat)[..., 1:-1, 1:-1], torch.ones(1, 2, 2, 2, dtype=torch.float64))


def test_the_doubling_convolution_is_zeros_between_pixels_convolution_and_filter(resample, x):
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    between = torch.zeros(2, 3, 12, 12, dtype=torch.float64)
    between[:, :, ::2, ::2] = x
    # A transposed convolution turns its kernel round.
    expected = filtered(F.conv2d(F.pad(between, (2, 2, 2, 2)), weight.flip(2, 3)).numpy()[:, :, :13, :13], 1, 1, gain=4)
    y = resample.conv_up(x, weight)
    assert y.shape == (2, 5, 12, 12)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-6)


def test_the_halving_convolution_is_filter_convolution_and_every_second_pixel(resample, x):
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    blurred = torch.from_numpy(filtered(x.numpy(), 2, 2))
    y = resample.conv_down(x, weight)
    assert y.shape == (2, 5, 3, 3)
    torch.testing.assert_close(y, F.conv2d(blurred, weight)[..., ::2, ::2], atol=1e-6, rtol=0)


def test_the_block_is_two_convolutions_beside_one_with_the_variance_of_one():
    torch.manual_seed(0)
    block = ResidualDown(32, 48)
    x = torch.randn(4, 32, 32, 32)
    with torch.no_grad():
        y = block(x)
        assert y.shape == (4, 48, 16, 16)
        first = F.leaky_relu(F.conv2d(x, block.first.weight / np.sqrt(9 * 32), padding=1), 0.2) * np.sqrt(2)
        second = F.conv2d(block.resample.blur(first, 2), block.second.weight / np.sqrt(9 * 32), stride=2)
        short = F.conv2d(block.resample.down(x), block.shortcut.weight / np.sqrt(32))
        expected = (F.leaky_relu(second, 0.2) * np.sqrt(2) + short) * np.sqrt(0.5)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
    assert sum(p.numel() for p in block.parameters()) == (32 * 32 * 9 + 32) + (32 * 48 * 9 + 48) + 32 * 48


def test_the_binomial_filter_of_a_point():
    x = torch.zeros(1, 2, 5, 5)
    x[0, 1, 2, 2] = 16
    line = torch.tensor([0.0, 1, 2, 1, 0])
    torch.testing.assert_close(Blur()(x)[0], torch.stack([torch.zeros(5, 5), torch.outer(line, line)]))
    assert Blur().state_dict() == {}
