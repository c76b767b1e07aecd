from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from tests.models.by_hand import count

from gantools.errors import ConfigError
from gantools.models.stylegan import SYSTEM, StyleGANConfig, StyleGANGame, build
from gantools.models.system import Batch, Seen
from gantools.objectives.penalties import Penalties
from gantools.recipes.recipe import load_recipe

SMALL = StyleGANConfig(size=16, latent=6, base=64, widest=16, style=8, mapping_layers=2)
ONE = torch.tensor(1.0)


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return build(SMALL)


def test_parameters_of_the_published_1024x1024_networks():
    """26.2 million of the generator (the paper, section 2), by layer; the discriminator's are ProGAN's."""
    with torch.device("meta"):
        networks = build(StyleGANConfig())
    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]

    def after(width):  # noise, bias, and two numbers a channel of the style
        return width + width + (512 * 2 * width + 2 * width)

    mapping = 8 * (512 * 512 + 512)
    first = 16 * 512 + after(512) + 512 * 512 * 9 + after(512)
    rest = sum(a * b * 9 + after(b) + b * b * 9 + after(b) for a, b in pairwise(widths))
    colours = sum(3 * width + 3 for width in widths)
    assert count(networks["generator"].mapping) == mapping == 2_101_248
    assert count(networks["generator"]) == mapping + first + rest + colours
    assert round(count(networks["generator"]) / 1e6, 1) == 26.2
    assert count(networks["discriminator"]) == 23_087_249
    assert networks["generator"].count == 18


def test_it_begins_with_ones_without_noise_and_with_doublings_that_are_blurred(networks):
    generator = networks["generator"]
    assert torch.equal(generator.constant, torch.ones(16, 4, 4))
    assert all(norm.strength.abs().max() == 0 for norm in generator.norms)
    # A point doubled by nearest neighbours and blurred by 1, 2, 1 is the line 1, 3, 3, 1.
    doubled = F.interpolate(torch.ones(1, 1, 1, 1), scale_factor=2)
    line = generator.blur(F.pad(doubled, (2, 2, 2, 2)))[0, 0, 2]
    torch.testing.assert_close(line / line[1], torch.tensor([0.0, 1, 3, 3, 1, 0]))


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_fades_in_from_the_one_before(networks, level):
    generator, judge, zero = networks["generator"], networks["discriminator"], torch.tensor(0.0)
    styles = generator.styles(torch.randn(4, 6))
    before, new = (generator.synthesis(styles, level=i, alpha=ONE) for i in (level - 1, level))
    twice = before.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(generator.synthesis(styles, level=level, alpha=zero), twice)
    torch.testing.assert_close(
        generator.synthesis(styles, level=level, alpha=torch.tensor(0.25)), 0.75 * twice + 0.25 * new
    )
    torch.testing.assert_close(judge(new, level, zero), judge(F.avg_pool2d(new, 2), level - 1, ONE))


@pytest.mark.parametrize("right", [True, False])
def test_the_discriminators_loss_is_logistic_with_r1_of_gamma_10(networks, right):
    """γ/2 = 5 times the squared norm; without the half it is another number."""
    level = SYSTEM.stages(SMALL, StyleGANGame())[1]
    alpha, batch = torch.tensor(0.5), Batch(torch.rand(4, 3, 16, 16))
    torch.manual_seed(1)
    out = level.phases[0].loss(networks, batch, {"alpha": alpha})
    fakes = []
    networks["discriminator"].register_forward_pre_hook(lambda _m, args: fakes.append(args[0]))
    torch.manual_seed(1)
    level.phases[0].loss(networks, batch, {"alpha": alpha})
    real, fake = fakes[0].clone().requires_grad_(), fakes[1]
    judge = networks["discriminator"]
    (slope,) = torch.autograd.grad(judge(real, 2, alpha).sum(), real)
    expected = F.softplus(-judge(real, 2, alpha)).mean() + F.softplus(judge(fake, 2, alpha)).mean()
    expected = expected + (5 if right else 10) * slope.flatten(1).square().sum(1).mean()
    assert torch.allclose(out.value, expected, rtol=1e-4) == right


def test_stages_begin_at_8x8_with_the_batches_of_their_level():
    recipe = load_recipe("stylegan-celeba")
    assert [(s.name, s.batch) for s in recipe.stages()] == [
        ("8x8", 128),
        ("16x16 fade", 128),
        ("16x16", 128),
        ("32x32 fade", 64),
        ("32x32", 64),
        ("64x64 fade", 32),
        ("64x64", 32),
    ]
    assert recipe.game == StyleGANGame(batches=(128, 128, 128, 64, 32))
    assert recipe.game.penalties == Penalties.from_plain({"r1": 10}) and recipe.game.mixing == 0.9
    assert (recipe.optim.lr, recipe.optim.betas, recipe.optim.eps) == (0.001, (0.0, 0.99), 1e-8)
    more = load_recipe("stylegan-celeba", {"network.size": 128})
    assert more.stages()[-1].name == "128x128"


def test_what_a_step_remembers_is_the_mean_style_and_the_level(networks):
    fade = SYSTEM.stages(SMALL, StyleGANGame())[1].phases[1]
    out = fade.loss(networks, Batch(torch.rand(4, 3, 16, 16)), {"alpha": torch.tensor(0.25)})
    generator = networks["generator"]
    assert generator.mapping.mean.abs().max() == 0  # a loss writes nothing
    with torch.no_grad():
        fade.after(networks, Seen(4, out.means, {}))
    torch.testing.assert_close(generator.mapping.mean, 0.005 * out.means["style"])
    assert (int(generator.level), float(generator.alpha)) == (2, 0.25)
    assert {"mapping.mean", "level", "alpha"} <= set(generator.state_dict())


def test_images_of_a_lower_level_are_shown_at_full_size(networks):
    generator, z = networks["generator"], torch.randn(2, 6)
    generator.level.fill_(1)
    expected = generator(z).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert expected.shape == (2, 3, 16, 16)
    torch.testing.assert_close(SYSTEM.render(networks, z, None, {}), expected)


def test_settings_that_cannot_be():
    for wrong in ({"style": 0}, {"mapping_layers": 0}, {"size": 48}):
        with pytest.raises(ConfigError, match="network"):
            StyleGANConfig(**wrong)
    with pytest.raises(ConfigError, match=r"game\.mixing: must be in \[0, 1\], not 2"):
        StyleGANGame(mixing=2)
