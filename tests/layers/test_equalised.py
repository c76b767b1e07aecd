import math

import pytest
import torch

from gantools.layers.equalised import EqualisedConv2d, EqualisedLinear, leaky, pixel_norm


@pytest.mark.parametrize("gain", [1.0, math.sqrt(2)])
@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_dense_layers_keep_the_variance_times_their_squared_gain(gain, rate):
    torch.manual_seed(0)
    y = EqualisedLinear(512, 512, gain=gain, rate=rate)(torch.randn(512, 512))
    assert y.std().item() == pytest.approx(gain, rel=0.02)


def test_convolutions_keep_the_variance():
    torch.manual_seed(0)
    y = EqualisedConv2d(64, 64, 3, padding=0)(torch.randn(8, 64, 18, 18))
    assert y.shape == (8, 64, 16, 16)
    assert y.std().item() == pytest.approx(1.0, rel=0.02)


def test_a_rate_scales_what_a_step_of_adam_changes():
    moved = {}
    for rate in (1.0, 0.01):
        torch.manual_seed(0)
        layer = EqualisedLinear(16, 16, rate=rate)
        x = torch.randn(8, 16)
        before = layer(x).detach()
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
        layer(x).square().sum().backward()
        optimizer.step()
        moved[rate] = (layer(x) - before).norm().item()
    assert moved[0.01] == pytest.approx(0.01 * moved[1.0], rel=0.05)


def test_biases_begin_with_the_value_asked_for():
    x = torch.zeros(1, 4)
    assert torch.equal(EqualisedLinear(4, 4, bias_init=1.0)(x), torch.ones(1, 4))
    torch.testing.assert_close(EqualisedLinear(4, 4, bias_init=1.0, rate=0.01)(x), torch.ones(1, 4))
    assert EqualisedLinear(4, 4, bias=False).bias is None


def test_pixels_have_unit_mean_square_after_their_norm():
    x = torch.randn(2, 5, 3, 3)
    expected = x / torch.sqrt((x**2).mean(1, keepdim=True) + 1e-8)
    torch.testing.assert_close(pixel_norm(x), expected)
    assert pixel_norm(torch.zeros(1, 4)).isfinite().all()


def test_the_activation_keeps_the_second_moment():
    torch.manual_seed(0)
    # E[max(x, .2 x)²] = (1 + .04) / 2, times 2.
    assert leaky(torch.randn(200_000)).square().mean().item() == pytest.approx(1.04, rel=0.02)
