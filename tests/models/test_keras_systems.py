"""The systems laid out as in Keras, against the reports' tables: parameters layer by layer, shapes, settings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gantools.errors import ConfigError
from gantools.models import conv_mnist, dcgan_faces, dcgan_keras
from gantools.recipes.recipe import load_recipe
from gantools.training.state import TrainingState


def on_meta(module, config):
    with torch.device("meta"):
        return module.build(config)


def keras_count(layer):
    """Weights as Keras counts them: running statistics included."""
    running = [b for name, b in layer.named_buffers() if "running" in name]
    return sum(t.numel() for t in (*layer.parameters(), *running))


def counts(network, *kinds):
    return [keras_count(m) for m in network.modules() if isinstance(m, kinds)]


def traced(network, shape):
    """Shapes (h, w, c) after each convolution, on the meta device."""
    found = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda m, i, o: found.append((*o.shape[2:], o.shape[1])))
    with torch.device("meta"):
        network(torch.empty(2, *shape))
    return found


WEIGHTS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def test_report_b_layer_by_layer():
    networks = on_meta(dcgan_keras, dcgan_keras.DCGANKerasConfig())
    generator, judge = networks["generator"], networks["discriminator"]
    assert counts(generator, *WEIGHTS) == [827_392, 262_272, 524_544, 2_097_664, 38_403]
    assert counts(judge, *WEIGHTS) == [3_136, 131_200, 262_272, 8_193]
    assert keras_count(generator) == 3_750_275 and keras_count(judge) == 404_801
    assert not counts(generator, *NORMS) and not counts(judge, *NORMS)
    assert traced(generator, (100,)) == [(16, 16, 128), (32, 32, 256), (64, 64, 512), (64, 64, 3)]
    assert traced(judge, (3, 64, 64)) == [(32, 32, 64), (16, 16, 128), (8, 8, 128)]


def test_report_c_layer_by_layer():
    networks = on_meta(conv_mnist, conv_mnist.ConvMNISTConfig())
    generator, judge = networks["generator"], networks["discriminator"]
    dense, wide = 100 * 12_544, 12_544 * 12_544
    assert counts(generator, *WEIGHTS) == [dense, wide, wide, 819_200, 204_800, 1_600]
    assert counts(judge, *WEIGHTS) == [1_664, 102_464, 102_464, 204_928, 513]
    assert keras_count(generator) == 317_135_168 and keras_count(judge) == 412_033
    fixed = sum(b.numel() for name, b in generator.named_buffers() if "running" in name)
    assert fixed == 75_648
    assert traced(generator, (100,)) == [(7, 7, 128), (14, 14, 64), (28, 28, 1)]
    assert traced(judge, (1, 28, 28)) == [(14, 14, 64), (7, 7, 64), (4, 4, 64), (2, 2, 128)]


def test_the_small_form_has_the_same_shape_but_for_two_dense_layers():
    recipes = [load_recipe(name) for name in ("conv-mnist", "conv-mnist-small")]
    large, small = (on_meta(conv_mnist, recipe.network) for recipe in recipes)
    assert counts(small["discriminator"], *WEIGHTS) == counts(large["discriminator"], *WEIGHTS)
    assert counts(small["generator"], *WEIGHTS)[3:] == counts(large["generator"], *WEIGHTS)[3:]
    assert keras_count(small["generator"]) < 2_000_000


def test_report_f_layer_by_layer():
    networks = on_meta(dcgan_faces, dcgan_faces.DCGANFacesConfig())
    generator, judge = networks["generator"], networks["discriminator"]
    steps = [(1024, 1024), (1024, 512), (512, 512), (512, 256), (256, 256), (256, 128), (128, 64)]
    expected = [101 * 4 * 4 * 1024, *(a * b * 16 + b for a, b in steps), 64 * 3 * 9 + 3]
    assert counts(generator, *WEIGHTS) == expected
    assert counts(generator, *NORMS) == [4 * c for c in (1024, *(b for _, b in steps))]
    widths = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    assert counts(judge, *WEIGHTS) == [*(a * b * 25 + b for a, b in widths), 4_097]
    assert counts(judge, *NORMS) == [4 * b for _, b in widths]
    sizes = [8, 16, 16, 32, 32, 64, 64, 64]
    assert [shape[0] for shape in traced(generator, (100,))] == sizes
    assert traced(judge, (3, 64, 64)) == [(64 >> i, 64 >> i, 32 << i) for i in range(1, 6)]


@pytest.mark.parametrize(
    ("module", "config", "slope", "dropouts"),
    [
        (dcgan_keras, dcgan_keras.DCGANKerasConfig(width=2), 0.3, [0.2]),
        (conv_mnist, conv_mnist.ConvMNISTConfig(hidden=4), 0.3, [0.3] * 4),
        (dcgan_faces, dcgan_faces.DCGANFacesConfig(width=1), 0.2, [0.3] * 5 + [0.4]),
    ],
)
def test_kerass_settings_and_initialisation(module, config, slope, dropouts):
    networks = module.build(config)
    modules = [m for network in networks.values() for m in network.modules()]
    assert {(m.eps, m.momentum) for m in modules if isinstance(m, NORMS)} <= {(1e-3, 0.01)}
    assert {m.negative_slope for m in modules if isinstance(m, nn.LeakyReLU)} == {slope}
    assert [m.p for m in modules if isinstance(m, nn.Dropout)] == dropouts
    assert all((m.bias == 0).all() for m in modules if isinstance(m, WEIGHTS) and m.bias is not None)
    if module is not dcgan_faces:
        (dense,) = [m for m in networks["discriminator"].modules() if isinstance(m, nn.Linear)]
        bound = (6 / (dense.in_features + 1)) ** 0.5
        assert 0.9 * bound < dense.weight.abs().max() <= bound


def test_batch_normalisation_on_either_side_of_the_activation():
    """Report C has it before LeakyReLU, report E behind ReLU."""
    before = conv_mnist.build(conv_mnist.ConvMNISTConfig(hidden=4))["generator"].layers
    after = dcgan_faces.build(dcgan_faces.DCGANFacesConfig(width=1))["generator"].layers
    assert [type(m).__name__ for m in before[:3]] == ["ConvTranspose2dSame", "BatchNorm2d", "LeakyReLU"]
    assert [type(m).__name__ for m in after[1:4]] == ["ConvTranspose2dSame", "ReLU", "BatchNorm2d"]


def test_a_penalty_of_gradients_on_the_discriminator_with_batch_normalisation_is_refused():
    small = ["network.width=1", "penalties.dragan=10"]
    with pytest.raises(ConfigError, match=r"discriminator has BatchNorm2d at 'layers\.1'"):
        TrainingState(load_recipe("dcgan-faces", small), torch.device("cpu"))
    TrainingState(load_recipe("dcgan-keras", small), torch.device("cpu"))


def test_the_faces_recipe_stops_and_chooses_by_itself():
    recipe = load_recipe("dcgan-faces")
    assert recipe.eval.metrics == ("fid",) and recipe.eval.patience and recipe.tick_epochs == 5
    rate = recipe.optim.lr
    # Exponential: 0.002 · 0.96^(step / 40,000), a step being a batch of 128.
    for step in (0, 5_200, 20_000, 40_000):
        assert rate.at(step * 128) == pytest.approx(0.002 * 0.96 ** (step / 40_000), rel=1e-12)


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (dcgan_keras.DCGANKerasConfig, {"width": 0}, "width"),
        (dcgan_keras.DCGANKerasConfig, {"dropout": 1.0}, "dropout"),
        (conv_mnist.ConvMNISTConfig, {"hidden": 0}, "hidden"),
        (conv_mnist.ConvMNISTConfig, {"slope": -0.1}, "slope"),
        (dcgan_faces.DCGANFacesConfig, {"latent": 0}, "latent"),
        (dcgan_faces.DCGANFacesConfig, {"dropout_last": 1.5}, "dropout_last"),
    ],
)
def test_settings_that_make_no_network(config, values, message):
    with pytest.raises(ConfigError, match=message):
        config(**values)
