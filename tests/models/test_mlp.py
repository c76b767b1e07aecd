from itertools import pairwise

import pytest
import torch
from torch import nn

from gantools.errors import ConfigError
from gantools.models.mlp import MLPConfig, build
from gantools.models.system import Batch
from gantools.objectives.losses import LOSSES
from gantools.recipes.recipe import load_recipe
from gantools.training.compiled import plain
from gantools.training.state import TrainingState
from gantools.training.step import run_phase


def linears(network):
    return [m for m in network.modules() if isinstance(m, nn.Linear)]


def test_report_d_layer_by_layer_and_its_initialisation():
    torch.manual_seed(0)
    networks = build(MLPConfig())
    widths = {"generator": (100, 256, 512, 1024, 784), "discriminator": (784, 1024, 512, 256, 1)}
    for name, network in networks.items():
        layers = linears(network)
        assert [(m.in_features, m.out_features) for m in layers] == list(pairwise(widths[name]))
        for layer in layers:
            bound = layer.in_features**-0.5
            # Uniform within the bound: its ends are reached, and its deviation is bound / √3; normal would be wider.
            assert 0.98 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.std().item() * 3**0.5 == pytest.approx(bound, rel=0.05)
            assert (layer.bias == 0).all()
    assert isinstance(networks["generator"].layers[-1], nn.Tanh)
    assert [m.p for m in networks["discriminator"].modules() if isinstance(m, nn.Dropout)] == [0.3] * 3
    assert networks["generator"](torch.randn(3, 100)).shape == (3, 1, 28, 28)


def test_the_conditional_network_is_told_the_class_on_both_sides():
    torch.manual_seed(0)
    networks = {name: network.eval() for name, network in build(MLPConfig(classes=3, embedding=4)).items()}
    generator, judge = networks["generator"], networks["discriminator"]
    assert linears(generator)[0].in_features == 104 and linears(judge)[0].in_features == 788
    z, labels = torch.randn(1, 100).expand(6, -1), torch.tensor([0, 0, 1, 1, 2, 2])
    images = generator(z, labels)
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])
    outputs = judge(images[:1].expand(6, -1, -1, -1), labels)
    assert outputs[0] == outputs[1] and outputs[::2].diff().abs().min() > 1e-4
    # Joined behind the latent and behind the pixels: the rows of the embedding, whatever the pixels are.
    whole = torch.cat((images.flatten(1), judge.classes.weight[labels]), 1)
    torch.testing.assert_close(judge(images, labels), judge.layers(whole).flatten())


def test_a_recipe_without_labels_and_one_with():
    free, told = load_recipe("mlp-mnist"), load_recipe("cgan-mnist")
    assert [stage.needs for r in (free, told) for stage in r.stages()] == [("images",), ("images", "labels")]
    assert not told.data.balance and load_recipe("cgan-mnist", ["data.balance=true"]).data.balance


@pytest.mark.parametrize("recipe", ["mlp-mnist", "cgan-mnist", "conv-mnist-small", "dcgan-keras"])
@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if not loss.energies])
def test_any_loss_and_penalty_on_a_discriminator_without_batch_normalisation(recipe, loss):
    small = {
        "mlp": ["network.size=8", "network.widths=[8]"],
        "conv-mnist": ["network.hidden=4"],
        "dcgan-keras": ["network.width=1"],
    }
    overrides = [f"loss.name={loss}", "penalties.dragan=10", "penalties.r1={weight: 1, every: 2}", "batch=4"]
    overrides += small[load_recipe(recipe).model]
    state = TrainingState(load_recipe(recipe, overrides), torch.device("cpu"))
    state.enter()
    h, w, c = state.recipe.image_shape
    torch.manual_seed(0)
    batch = Batch(torch.rand(4, c, h, w) * 2 - 1, torch.arange(4))
    for index, phase in enumerate(state.stage_now.phases):
        names = phase.updates
        before = [p.clone() for name in names for p in state.networks[name].parameters()]
        means = run_phase(state, phase, plain(phase, state.device, False), batch, {}, at=(0, index, 0))
        assert all(value.isfinite() for value in means.values())
        assert ("dragan" in means) == (phase.name == "discriminator")
        after = [p for name in names for p in state.networks[name].parameters()]
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size"),
        ({"widths": (8, 0)}, "widths"),
        ({"classes": -1}, "classes"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_settings_that_make_no_network(values, message):
    with pytest.raises(ConfigError, match=message):
        MLPConfig(**values)
