from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from tests.models.by_hand import count

from gantools.errors import ConfigError
from gantools.layers.growing import shrunk
from gantools.models.progan import SYSTEM, ProGANConfig, ProGANGame, build
from gantools.models.system import Batch, Seen
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties
from gantools.recipes.recipe import load_recipe

SMALL = ProGANConfig(size=16, latent=8, base=64, widest=16, group=4)
ONE = torch.tensor(1.0)


def small_networks():
    torch.manual_seed(0)
    return build(SMALL)


def test_parameters_of_the_published_1024x1024_networks():
    """Table 2 of the paper: 23.1 million each, and each layer's figure of the generator."""
    with torch.device("meta"):
        networks = build(ProGANConfig())
    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    pairs = list(pairwise(widths))
    assert ProGANConfig().widths == widths

    def conv(i, o, k=3):
        return i * o * k * k + o

    up = [conv(i, o) + conv(o, o) for i, o in pairs]
    # 4x4 dense 4.2M and conv 2.4M; then 4.7M, 4.7M, 4.7M, 1.8M, 443k, 111k, 28k, 7k, by pairs of convolutions.
    assert 512 * 8192 + 512 == 4194816
    assert up == [4719616] * 3 + [1769984, 442624, 110720, 27712, 6944]
    colours = sum(conv(w, 3, 1) for w in widths)
    assert count(networks["generator"]) == 4194816 + conv(512, 512) + sum(up) + colours == 23079115
    down = [conv(o, o) + conv(o, i) for i, o in pairs]
    end = conv(513, 512) + (8192 * 512 + 512) + 513
    assert count(networks["discriminator"]) == sum(down) + end + sum(conv(3, w, 1) for w in widths) == 23087249


@pytest.mark.parametrize("level", [0, 1, 2])
def test_shapes_at_each_level(level):
    networks = small_networks()
    images = networks["generator"](torch.randn(4, 8), level, ONE)
    assert images.shape == (4, 3, 4 << level, 4 << level)
    assert networks["discriminator"](images, level, ONE).shape == (4,)


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_fades_in_from_the_one_before(level):
    """With alpha 0 both networks are those of the level before; with 1 its colours are out."""
    networks = small_networks()
    generator, judge, zero = networks["generator"], networks["discriminator"], torch.tensor(0.0)
    z = torch.randn(4, 8)
    before, new = generator(z, level - 1, ONE), generator(z, level, ONE)
    twice = before.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(generator(z, level, zero), twice)
    half = generator(z, level, torch.tensor(0.25))
    torch.testing.assert_close(half, 0.75 * twice + 0.25 * new)
    x = torch.rand(4, 3, 4 << level, 4 << level)
    torch.testing.assert_close(judge(x, level, zero), judge(F.avg_pool2d(x, 2), level - 1, ONE))
    assert not torch.allclose(judge(x, level, ONE), judge(x, level, zero))


def test_real_images_get_the_generators_fade():
    x = torch.rand(2, 3, 16, 16)
    # 4x4: means of 4x4 pixels; there is nothing to fade from.
    torch.testing.assert_close(
        shrunk(x, 0, torch.tensor(0.3)), x.unflatten(3, (4, 4)).unflatten(2, (4, 4)).mean((3, 5))
    )
    eight = F.avg_pool2d(x, 2)
    blurred = F.avg_pool2d(x, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(shrunk(x, 1, torch.tensor(0.3)), 0.7 * blurred + 0.3 * eight)
    torch.testing.assert_close(shrunk(x, 2, ONE), x)


def test_the_stages_grow_and_begin_optimizers_anew():
    game = ProGANGame(fade_kimg=0.2, stable_kimg=0.3, batches=(16, 8))
    found = SYSTEM.stages(SMALL, game)
    both = ("generator", "discriminator")
    assert [(s.name, s.nimg, s.batch, s.fresh) for s in found] == [
        ("4x4", 300, 16, ()),
        ("8x8 fade", 200, 8, both),
        ("8x8", 300, 8, ()),
        ("16x16 fade", 200, 8, both),
        ("16x16", None, 8, ()),
    ]
    assert [found[1].scalars["alpha"](n) for n in (0, 50, 200, 300)] == [0.0, 0.25, 1.0, 1.0]
    assert [s.scalars["alpha"](0) for s in found[::2]] == [1.0] * 3
    assert [s.name for s in SYSTEM.stages(SMALL, ProGANGame(start=2))] == ["16x16"]
    assert {s.batch for s in SYSTEM.stages(SMALL, ProGANGame())} == {None}


def test_the_discriminators_loss_is_that_of_the_paper():
    networks, alpha = small_networks(), torch.tensor(0.4)
    fade = SYSTEM.stages(SMALL, ProGANGame())[1]
    batch = Batch(torch.rand(4, 3, 16, 16) * 2 - 1)
    torch.manual_seed(1)
    out = fade.phases[0].loss(networks, batch, {"alpha": alpha})
    torch.manual_seed(1)
    real, fake = shrunk(batch.images, 1, alpha), networks["generator"](torch.randn(4, 8), 1, alpha).detach()
    share = torch.rand(4, 1, 1, 1)
    between = (real + share * (fake - real)).requires_grad_()

    def judge(x):
        return networks["discriminator"](x, 1, alpha)

    (slope,) = torch.autograd.grad(judge(between).sum(), between)
    expected = judge(fake).mean() - judge(real).mean() + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
    expected = expected + 0.001 * judge(real).square().mean()
    torch.testing.assert_close(out.value, expected, rtol=1e-4, atol=1e-5)


def test_a_level_that_is_not_reached_is_not_trained():
    networks = small_networks()
    level = SYSTEM.stages(SMALL, ProGANGame())[0]
    batch = Batch(torch.rand(4, 3, 16, 16))
    for phase in level.phases:
        weights = dict(networks[phase.updates[0]].named_parameters())
        value = phase.loss(networks, batch, {"alpha": ONE}).value
        found = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
        used = {name for name, g in zip(weights, found, strict=True) if g is not None}
        assert not any(name.startswith(("ups", "convs", "downs", "to_rgb.1", "from_rgb.1")) for name in used)
        # The critic's last bias moves all outputs alike: only the drift sees it.
        assert "to_rgb.0.weight" in used or "from_rgb.0.weight" in used


def test_the_level_reached_is_remembered_and_rendered_at_full_size():
    networks = small_networks()
    z = torch.randn(2, 8)
    assert SYSTEM.render(networks, z, None, {}).shape == (2, 3, 16, 16)
    fade = SYSTEM.stages(SMALL, ProGANGame())[1].phases[1]
    out = fade.loss(networks, Batch(torch.rand(4, 3, 16, 16)), {"alpha": torch.tensor(0.25)})
    fade.after(networks, Seen(4, out.means, {}))
    saved = networks["generator"].state_dict()
    other = build(SMALL)
    other["generator"].load_state_dict(saved)
    expected = networks["generator"](z, 1, torch.tensor(0.25)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(SYSTEM.render(other, z, None, {}), expected)


def test_groups_of_the_deviation_hold_either_real_or_generated_images():
    sizes = []
    networks = small_networks()
    networks["discriminator"].deviation.register_forward_pre_hook(lambda _m, x: sizes.append(len(x[0])))
    level = SYSTEM.stages(SMALL, ProGANGame())[0]
    level.phases[0].loss(networks, Batch(torch.rand(4, 3, 16, 16)), {"alpha": ONE})
    # Real, generated, those between, and real ones for the drift: never eight at once.
    assert sizes == [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (ProGANConfig, {"size": 48}, "network.size: 48"),
        (ProGANConfig, {"size": 4}, "network.size: 4"),
        (ProGANConfig, {"base": 16, "size": 64}, "network.base"),
        (ProGANGame, {"fade_kimg": 0}, "fade_kimg"),
        (ProGANGame, {"batches": (16, 0)}, "game.batches"),
        (ProGANGame, {"penalties": Penalties.from_plain({"r1": {"every": 4}})}, "game.penalties.r1.every"),
    ],
)
def test_settings_that_cannot_be(kind, values, message):
    with pytest.raises(ConfigError, match=message):
        kind(**values)


def test_a_start_that_is_no_level():
    with pytest.raises(ConfigError, match=r"game\.start: 16x16 has the levels 0 to 2"):
        SYSTEM.stages(SMALL, ProGANGame(start=3))


def test_other_losses_may_be_played():
    networks = small_networks()
    game = ProGANGame(loss=LossConfig("relativistic"), penalties=Penalties.from_plain({"r1": 1, "r2": 1}))
    for phase in SYSTEM.stages(SMALL, game)[1].phases:
        value = phase.loss(networks, Batch(torch.rand(4, 3, 16, 16)), {"alpha": torch.tensor(0.5)}).value
        assert value.isfinite()


def test_the_recipe_has_the_papers_settings():
    recipe = load_recipe("progan-celeba")
    assert recipe.optim.lr == 0.001 and recipe.optim.betas == (0.0, 0.99) and recipe.optim.eps == 1e-8
    assert recipe.game == ProGANGame(batches=(128, 128, 128, 64, 32))
    assert sum(s.nimg or 0 for s in recipe.stages()) == 4800000
    # Further levels by settings alone.
    more = load_recipe("progan-celeba", {"network.size": 128, "game.batches": [128, 128, 128, 64, 32, 16]})
    assert [s.name for s in more.stages()][-2:] == ["128x128 fade", "128x128"]
    assert more.stages()[-1].batch == 16
