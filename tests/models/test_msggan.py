from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from tests.models.by_hand import count, gradients
from torch import nn

from gantools.errors import ConfigError
from gantools.models.msggan import (
    MSGGANConfig,
    MSGGANGame,
    build,
    gradient_penalty,
    packed,
    shrunk_pyramid,
    stages,
    unpacked,
)
from gantools.models.system import Batch
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties
from gantools.recipes.recipe import load_recipe

SMALL = MSGGANConfig(size=16, latent=6, width=128, max_width=16)


def phases(game=None, config=SMALL):
    return {phase.name: phase for phase in stages(config, game or MSGGANGame())[0].phases}


def rows(n=4):
    return Batch(torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1)


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return build(SMALL)


@pytest.mark.parametrize("combine", ["simple", "linear_concat", "concat_linear"])
@pytest.mark.parametrize("deviation", ["last", "every"])
def test_parameters_by_layer(combine, deviation):
    config = MSGGANConfig(size=128, combine=combine, deviation=deviation)
    with torch.device("meta"):
        networks = build(config)
    widths = [512, 512, 512, 512, 256, 128]
    assert config.widths == widths

    def conv(i, o, k=3):
        return i * o * k * k + o

    generator = 512 * 512 * 16 + 512 + conv(512, 512) + sum(conv(a, b) + conv(b, b) for a, b in pairwise(widths))
    assert count(networks["generator"]) == generator + sum(conv(w, 3, 1) for w in widths)
    extra = int(deviation == "every")
    # What comes into a size's block: three colours more; or half of the channels from each; or turned into all of them.
    inputs = [w + (3 if combine == "simple" else 0) for w in widths[:-1]] + [widths[-1]]
    handed = [w // 2 if combine == "linear_concat" else w for w in widths[:-1]]
    expected = conv(3, 128, 1) + conv(inputs[0] + 1, 512) + (512 * 16 * 512 + 512) + 513
    expected += sum(conv(i + extra, w) for i, w in zip(inputs[1:], widths[1:], strict=True))
    expected += sum(conv(w, h) for w, h in zip(widths[1:], handed, strict=True))
    if combine == "linear_concat":
        expected += sum(conv(3, w // 2, 1) for w in widths[:-1])
    elif combine == "concat_linear":
        expected += sum(conv(3 + w, w, 1) for w in widths[:-1])
    assert count(networks["discriminator"]) == expected


@pytest.mark.parametrize("combine", ["simple", "linear_concat", "concat_linear"])
@pytest.mark.parametrize("deviation", ["last", "every"])
@pytest.mark.parametrize("size", [16, 28])
def test_an_image_of_every_size_and_one_output_for_them(combine, deviation, size):
    config = MSGGANConfig(size=size, channels=1, latent=6, width=128, max_width=9, combine=combine, deviation=deviation)
    networks = build(config)
    z = torch.randn(4, 6)
    images = networks["generator"].pyramid(z)
    assert [tuple(x.shape) for x in images] == [(4, 1, s, s) for s in config.sizes]
    torch.testing.assert_close(networks["generator"](z), images[-1])
    assert networks["discriminator"](images).shape == (4,)


def test_real_images_are_halved_by_averaging():
    x = torch.rand(2, 3, 16, 16)
    small, middle, large = shrunk_pyramid(x, 3)
    assert large is x
    torch.testing.assert_close(middle, x.unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean((3, 5)))
    torch.testing.assert_close(small, x.unflatten(3, (4, 4)).unflatten(2, (4, 4)).mean((3, 5)))


def test_every_size_reaches_the_discriminator_and_each_colour_layer_learns(networks):
    images = [x.requires_grad_() for x in shrunk_pyramid(rows().images, 3)]
    for slope in torch.autograd.grad(networks["discriminator"](images).sum(), images):
        assert slope.abs().max() > 0
    _, found = gradients(networks, phases()["generator"], rows())
    names = [name for name, _ in networks["generator"].named_parameters()]
    learning = {name for name, g in zip(names, found["generator"], strict=True) if g.abs().max() > 0}
    assert {f"to_rgb.{i}.weight" for i in range(3)} <= learning


def test_packing_loses_nothing():
    pyramid = [torch.randn(2, 3, s, s) for s in (4, 8, 16)]
    flat = packed(pyramid)
    assert flat.shape == (2, 3 * (16 + 64 + 256), 1, 1)
    for one, other in zip(unpacked(flat, [4, 8, 16], 3), pyramid, strict=True):
        assert torch.equal(one, other)


class Fixed:
    """Random numbers that are known."""

    def uniform(self, *shape):
        return torch.full((2, *shape), 0.25)


def test_the_gradient_penalty_is_the_mean_of_one_for_each_size():
    """D(x) = 3 ‖x₁‖ + 2 ‖x₂‖ has gradients of norms 3 and 2: ((3 - 1)² + (2 - 1)²) / 2, not (√13 - 1)²."""
    parts = [12, 48]

    def critic(x):
        a, b = x.flatten(1).split(parts, 1)
        return 3 * a.norm(dim=1) + 2 * b.norm(dim=1)

    real, fake = torch.randn(2, 60, 1, 1), torch.randn(2, 60, 1, 1)
    found = gradient_penalty(critic, real, fake, Fixed(), parts).detach()
    assert float(found) == pytest.approx(2.5, abs=1e-4)
    assert abs(float(found) - (13**0.5 - 1) ** 2) > 1


def test_one_place_between_real_and_fake_for_all_sizes_of_a_sample():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake = torch.zeros(2, 60, 1, 1), torch.ones(2, 60, 1, 1)
    gradient_penalty(critic, real, fake, Fixed(), [12, 48])
    assert torch.equal(seen[0], torch.full((2, 60, 1, 1), 0.25))


def test_r1_is_the_sum_over_sizes(networks):
    game = MSGGANGame(LossConfig(), Penalties.from_plain({"r1": 10}))
    out = phases(game)["discriminator"].loss(networks, rows(), {})
    images = [x.requires_grad_() for x in shrunk_pyramid(rows().images, 3)]
    slopes = torch.autograd.grad(networks["discriminator"](images).sum(), images)
    expected = 5 * sum(slope.flatten(1).square().sum(1).mean() for slope in slopes)
    torch.testing.assert_close(out.means["r1"], expected)


class Says(nn.Module):
    """A discriminator whose outputs are known: 0 and 2 in turn for the images it is told are real."""

    def forward(self, images):
        return torch.tensor([0.0, 2.0]).repeat(len(images[0]) // 2) + 0 * images[0].sum()


def test_outputs_whose_mean_is_right_are_not(networks):
    """Least squares of outputs 0 and 2 is E[(D - 1)²] = 1; the reference code's (E[D] - 1)² would be 0."""
    game = MSGGANGame(LossConfig("least_squares"))
    stubbed = {**networks, "discriminator": Says()}
    generator = phases(game)["generator"].loss(stubbed, rows(), {})
    assert float(generator.value.detach()) == pytest.approx(0.5)
    outputs = Says()(shrunk_pyramid(rows().images, 3))
    assert (outputs.mean() - 1) ** 2 == 0
    discriminator = phases(game)["discriminator"].loss(stubbed, rows(), {})
    assert float(discriminator.value.detach()) == pytest.approx(0.5 * 1 + 0.5 * 2)


def test_the_loss_is_the_relativistic_average_hinge(networks):
    torch.manual_seed(2)
    out = phases()["discriminator"].loss(networks, rows(), {})
    torch.manual_seed(2)
    judge = networks["discriminator"]
    fake = judge(networks["generator"].pyramid(torch.randn(4, 6)))
    real = judge(shrunk_pyramid(rows().images, 3))
    expected = F.relu(1 - real + fake.mean()).mean() + F.relu(1 + fake - real.mean()).mean()
    torch.testing.assert_close(out.value, expected)


def test_groups_of_the_deviation_hold_either_real_or_generated_images(networks):
    sizes = []
    networks["discriminator"].deviation.register_forward_pre_hook(lambda _m, x: sizes.append(len(x[0])))
    for phase in phases().values():
        phase.loss(networks, rows(), {})
    assert sizes == [4] * 4


def test_the_recipe_has_the_codes_settings():
    recipe = load_recipe("msggan-celeba")
    assert (recipe.optim.lr, recipe.optim.betas) == (0.003, (0.0, 0.99))
    assert recipe.optim.of("generator") == recipe.optim.of("discriminator")
    # A decay of 0.999 a step of 20 images.
    assert 0.5 ** (20 / (recipe.ema.half_life_kimg * 1000)) == pytest.approx(0.999, abs=2e-5)


def test_settings_that_cannot_be():
    for kind, wrong, message in (
        (MSGGANConfig, {"size": 30}, "network.size: 30"),
        (MSGGANConfig, {"width": 100}, "network.width: 100 leaves fewer than 2 channels at 128x128"),
        (MSGGANConfig, {"group": 0}, "network.group"),
        (MSGGANGame, {"penalties": Penalties.from_plain({"r1": {"every": 4}})}, r"game.penalties.r1.every"),
        (MSGGANGame, {"penalties": Penalties.from_plain({"dragan": 1})}, "game.penalties.dragan"),
    ):
        with pytest.raises(ConfigError, match=message):
            kind(**wrong)
