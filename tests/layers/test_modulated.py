import math

import pytest
import torch

from gantools.layers.modulated import StyledConv, ToImage, demodulation, modulated_conv
from gantools.layers.resample import Resample


def by_hand(x, weight, styles, demodulate=True, wrong=None):
    """Equations 1 and 3 sample by sample: weights scaled, divided by their norm, and convolved."""
    rows = []
    for row, style in zip(x, styles, strict=True):
        w = weight * style[None, :, None, None]
        if demodulate:
            axes = (2, 3) if wrong == "over the kernel alone" else (1, 2, 3)
            w = w * torch.rsqrt(w.square().sum(axes, keepdim=True) + 1e-8)
        rows.append(torch.nn.functional.conv2d(row[None], w, padding=weight.shape[-1] // 2))
    return torch.cat(rows)


@pytest.fixture
def given():
    torch.manual_seed(0)
    return torch.randn(3, 8, 6, 6), torch.randn(5, 8, 3, 3), torch.randn(3, 8)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up", [False, True])
def test_both_forms_agree(given, demodulate, up):
    resample = Resample() if up else None
    one = modulated_conv(*given, demodulate, resample)
    other = modulated_conv(*given, demodulate, resample, fused=True)
    assert one.shape == (3, 5, 12, 12) if up else (3, 5, 6, 6)
    assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("demodulate", [True, False])
def test_it_is_the_definition(given, demodulate, fused):
    expected = by_hand(*given, demodulate)
    torch.testing.assert_close(modulated_conv(*given, demodulate, fused=fused), expected, atol=1e-5, rtol=1e-5)


def test_the_definition_tells_a_norm_over_the_kernel_alone(given):
    assert (modulated_conv(*given) - by_hand(*given, wrong="over the kernel alone")).abs().max() > 0.1


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_demodulated_outputs_have_unit_deviation_whatever_the_styles(scale):
    torch.manual_seed(0)
    x, weight, styles = torch.randn(8, 64, 20, 20), torch.randn(64, 64, 3, 3), scale * (1 + 0.5 * torch.randn(8, 64))
    y = modulated_conv(x, weight, styles)[..., 1:-1, 1:-1]
    assert y.std().item() == pytest.approx(1.0, abs=0.02)
    plain = modulated_conv(x, weight, styles, demodulate=False)[..., 1:-1, 1:-1]
    assert abs(plain.std().item() - 1.0) > 0.5  # without it they have not


def test_the_gradients_of_both_forms_agree(given):
    x, weight, styles = (t.double().requires_grad_(True) for t in given)
    found = [
        torch.autograd.grad(modulated_conv(x, weight, styles, fused=fused).sin().sum(), (x, weight, styles))
        for fused in (False, True)
    ]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)
    assert torch.autograd.gradgradcheck(
        lambda s: modulated_conv(x.detach()[:1, :, :2, :2], weight.detach(), s), (styles[:1].detach().requires_grad_(),)
    )


def test_zero_styles_are_finite(given):
    _, weight, styles = given
    assert demodulation(weight, torch.zeros_like(styles)).isfinite().all()


def test_noise_counts_by_its_strength_which_begins_at_nought(given):
    x = given[0]
    layer = StyledConv(8, 5, 16, 12, up=True)
    w, noise = torch.randn(3, 16), torch.randn(3, 1, 12, 12)
    silent = layer(x, w, None)
    assert silent.shape == (3, 5, 12, 12)
    torch.testing.assert_close(layer(x, w, noise), silent)
    layer.strength.data.fill_(0.5)
    layer.bias.data.fill_(100.0)  # so that no LeakyReLU bends
    difference = (layer(x, w, noise) - layer(x, w, None)) / math.sqrt(2)
    torch.testing.assert_close(difference, 0.5 * noise.expand(3, 5, 12, 12), atol=1e-4, rtol=0)
    torch.testing.assert_close(layer(x, w, layer.noise), layer(x, w, layer.noise.expand(3, 1, 12, 12)))


def test_images_have_the_scale_of_their_features():
    torch.manual_seed(0)
    layer = ToImage(64, 3, 16)
    y = layer(torch.randn(16, 64, 8, 8), torch.zeros(16, 16))  # styles 1: the affine layer's bias
    assert y.shape == (16, 3, 8, 8)
    assert y.std().item() == pytest.approx(1.0, abs=0.15)
