import pytest
import torch
import torch.nn.functional as F

from gantools.layers.styles import MappingNetwork, StyledNorm, adaptive_instance_norm


def test_each_channel_of_each_sample_gets_the_mean_and_deviation_asked_for():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 8, 8) * 5 + 2
    scale, shift = torch.randn(3, 4), torch.randn(3, 4)
    y = adaptive_instance_norm(x, scale, shift)
    torch.testing.assert_close(y.mean((2, 3)), shift, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(y.std((2, 3), correction=0), scale.abs(), atol=1e-5, rtol=1e-4)
    # Of the sample alone.
    torch.testing.assert_close(adaptive_instance_norm(x[1:2], scale[1:2], shift[1:2]), y[1:2])


@pytest.mark.parametrize(
    "wrong", [None, "scale without 1", "noise behind the activation", "normalised before the bias"]
)
def test_noise_then_bias_then_activation_then_normalisation_then_style(wrong):
    """The order of the authors' `layer_epilogue`; three other ones give other features."""
    torch.manual_seed(0)
    layer = StyledNorm(4, 6, 8)
    for parameter in (layer.strength, layer.bias):
        parameter.data.normal_()
    x, w, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 6), torch.randn(2, 1, 8, 8)
    scale, shift = (w @ layer.affine.weight.T / 6**0.5 + layer.affine.bias).chunk(2, 1)
    added, bias = noise * layer.strength[:, None, None], layer.bias[:, None, None]

    def normal(y):
        return F.instance_norm(y, eps=1e-8)

    if wrong == "noise behind the activation":
        y = normal(F.leaky_relu(x + bias, 0.2) + added)
    elif wrong == "normalised before the bias":
        y = F.leaky_relu(normal(x + added) + bias, 0.2)
    else:
        y = normal(F.leaky_relu(x + added + bias, 0.2))
    expected = y * (scale + (wrong != "scale without 1"))[:, :, None, None] + shift[:, :, None, None]
    assert torch.allclose(layer(x, w, noise), expected, atol=1e-5) == (wrong is None)


def test_a_new_layer_has_no_noise_and_scales_near_1():
    layer = StyledNorm(4, 6, 8)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(layer(x, torch.zeros(2, 6), torch.randn(8, 8)), layer(x, torch.zeros(2, 6), None))
    torch.testing.assert_close(layer(x, torch.zeros(2, 6), None).std((2, 3), correction=0), torch.ones(2, 4))


def test_the_mapping_networks_rate_is_a_hundredth():
    """One step of the same size in the stored weights moves the function a hundredth as far."""
    layer = MappingNetwork(8, 0, 8, 1).layers[0]
    assert float(layer.weight.detach().std()) == pytest.approx(100, rel=0.3) and layer.scale == pytest.approx(
        0.01 / 8**0.5
    )
