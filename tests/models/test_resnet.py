from itertools import pairwise

import pytest
import torch
from torch import nn

from gantools.errors import ConfigError
from gantools.layers.attention import SelfAttention
from gantools.models.games import TwoPlayer
from gantools.models.resnet import SYSTEM, ResNetConfig, build
from gantools.models.system import Batch, Seen
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties
from gantools.recipes.recipe import load_recipe


def conv(before, after, kernel=3, bias=True):
    return before * after * kernel**2 + bias * after


def up(before, after):
    """A block of the generator: its normalisations, two convolutions and the shortcut's."""
    return 2 * before + conv(before, after, bias=False) + 2 * after + conv(after, after) + conv(before, after, 1)


def down(before, after):
    """A block of the critic without normalisation."""
    return conv(before, before) + conv(before, after) + conv(before, after, 1)


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_parameters_of_the_published_64x64_networks():
    networks = build(ResNetConfig())
    blocks = up(512, 512) + up(512, 256) + up(256, 128) + up(128, 64)
    assert count(networks["generator"]) == 129 * 8192 + blocks + 128 + conv(64, 3) == 8540483
    blocks = down(64, 128) + down(128, 256) + down(256, 512) + down(512, 512)
    assert count(networks["discriminator"]) == conv(3, 64) + blocks + 8193 == 7488961
    # The reference code's critic has a layer normalisation before each convolution of a block, and no first bias.
    layered = build(ResNetConfig(critic_norm="layer"))["discriminator"]
    assert count(layered) == count(networks["discriminator"]) + sum(4 * w - w for w in (64, 128, 256, 512))


def test_parameters_of_a_critic_of_one_width_that_begins_with_a_block():
    """128 channels throughout, as for CIFAR-10: a block on the image, two that halve, two that do not, the mean."""
    config = ResNetConfig(size=32, width=128, widest=1, start="block", flat=2, pool="mean")
    critic = build(config)["discriminator"]
    first = conv(3, 128) + conv(128, 128) + conv(3, 128, 1)
    assert count(critic) == first + 2 * down(128, 128) + 2 * 2 * conv(128, 128) + 129


def test_parameters_of_sngan_at_32x32():
    """mimicry's counts, but for its biases before the three second normalisations."""
    networks = build(load_recipe("sngan-cifar").network)
    generator, critic = networks["generator"], networks["discriminator"]
    assert [count(block) for block in generator.blocks] == [up(256, 256)] * 3
    assert count(generator) == 129 * 4096 + 3 * up(256, 256) + 2 * 256 + conv(256, 3)
    first, flat = conv(3, 128) + conv(128, 128) + conv(3, 128, 1), 2 * conv(128, 128)
    assert [count(block) for block in critic.blocks] == [first, down(128, 128), flat, flat]
    assert count(critic) == first + down(128, 128) + 2 * flat + 129
    assert critic.pool == "sum" and critic.blocks(torch.zeros(1, 3, 32, 32)).shape == (1, 128, 8, 8)


def test_parameters_of_sngan_at_64x64():
    with torch.device("meta"):
        networks = build(load_recipe("sngan-celeba").network)
    widths = [1024, 512, 256, 128, 64]
    blocks = [up(a, b) for a, b in pairwise(widths)]
    assert [count(block) for block in networks["generator"].blocks] == blocks
    blocks = [conv(3, 64) + conv(64, 64) + conv(3, 64, 1), *(down(b, a) for a, b in pairwise(widths))]
    assert [count(block) for block in networks["discriminator"].blocks] == [blocks[0], *blocks[:0:-1]]
    assert count(networks["discriminator"]) == sum(blocks) + 1025


def test_parameters_of_sagan_at_64x64():
    with torch.device("meta"):
        networks = build(load_recipe("sagan-celeba").network)

    def attention(channels):
        return 2 * channels * (channels // 8) + 2 * channels * (channels // 2) + 1

    def wide(before, after):
        return conv(before, after) + conv(after, after) + conv(before, after, 1)

    generator, critic = networks["generator"], networks["discriminator"]
    assert [count(block) for block in generator.blocks] == [up(a, b) for a, b in pairwise([1024, 512, 256, 128, 64])]
    assert generator.side == 32 and count(generator.attention) == attention(128)
    assert [count(block) for block in critic.blocks] == [
        wide(3, 64), attention(64), wide(64, 128), wide(128, 256), wide(256, 512), 2 * conv(512, 512),
    ]  # fmt: skip


def test_settings_of_sngan_and_sagan():
    for name in ("sngan-cifar", "sngan-celeba"):
        recipe = load_recipe(name)
        game, optim = recipe.game, recipe.optim
        assert (game.loss.name, game.critic_steps, recipe.batch, optim.betas) == ("hinge", 5, 64, (0.0, 0.9))
        assert (optim.lr.start, optim.lr.to, optim.lr.over_kimg) == (2e-4, 0.0, 100_000 * 5 * 64 / 1000)
        assert recipe.network.spectral == "critic" and not game.penalties.of and recipe.network.critic_norm == "none"
    recipe = load_recipe("sagan-celeba")
    rates = [recipe.optim.of(name).lr for name in ("generator", "discriminator")]
    assert (rates, recipe.optim.betas, recipe.game.critic_steps) == ([1e-4, 4e-4], (0.0, 0.9), 1)
    assert (recipe.network.spectral, recipe.network.attention, recipe.game.loss.name) == ("both", 32, "hinge")
    assert 0.5 ** (recipe.batch / (1000 * recipe.ema.half_life_kimg)) == pytest.approx(0.999, abs=1e-5)


@pytest.mark.parametrize("kind", ["none", "critic", "both"])
def test_spectral_norms_are_where_they_are_asked_for(kind):
    networks = build(ResNetConfig(size=16, width=4, latent=3, classes=2, spectral=kind, attention=8))
    for name, network in networks.items():
        asked = kind == "both" or (kind == "critic" and name == "discriminator")
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert layers and all(hasattr(m, "parametrizations") == asked for m in layers)
        assert sum(isinstance(m, SelfAttention) for m in network.modules()) == 1


def test_after_a_step_the_norms_of_its_network_have_moved_and_no_others():
    torch.manual_seed(0)
    config = ResNetConfig(size=8, width=4, latent=3, spectral="both", pool="sum")
    networks = build(config)
    game = TwoPlayer(LossConfig("hinge"), Penalties.from_plain({"r1": {"every": 2}}), clip=0.5)
    phases = SYSTEM.stages(config, game)[0].phases
    assert [phase.name for phase in phases] == ["discriminator", "r1", "generator"]
    for phase in phases:
        before = {key: [b.clone() for n, b in m.named_buffers() if n.endswith(".u")] for key, m in networks.items()}
        with torch.no_grad():
            phase.after(networks, Seen(4, {}, {}))
        for key, network in networks.items():
            now = [b for n, b in network.named_buffers() if n.endswith(".u")]
            assert now and any(not torch.equal(a, b) for a, b in zip(now, before[key], strict=True)) == (
                key in phase.updates
            )


@pytest.mark.parametrize("size", [8, 28, 32, 48, 64])
@pytest.mark.parametrize("start", ["convolution", "block"])
@pytest.mark.parametrize("pool", ["flatten", "mean", "sum"])
def test_shapes(size, start, pool):
    networks = build(ResNetConfig(size=size, channels=1, latent=6, width=4, widest=2, start=start, flat=1, pool=pool))
    images = networks["generator"](torch.randn(3, 6))
    assert images.shape == (3, 1, size, size)
    assert images.abs().max() <= 1
    assert networks["discriminator"](images).shape == (3,)


def test_a_class_changes_the_image_and_the_judgement():
    torch.manual_seed(0)
    networks = build(ResNetConfig(size=8, latent=4, width=4, classes=3))
    with torch.no_grad():
        for block in networks["generator"].blocks:
            block.norm1.shift.normal_()
    z = torch.randn(1, 4).expand(6, 4)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    images = networks["generator"](z, labels)
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])
    critic = networks["discriminator"]
    one = images[:1].expand(6, -1, -1, -1)
    outputs = critic(one, labels)
    # The projection: the output without classes, and the product of features and the class's row.
    features = critic.blocks(critic.stem(one)).flatten(1)
    torch.testing.assert_close(outputs, critic.out(features)[:, 0] + (features * critic.classes.weight[labels]).sum(1))
    torch.testing.assert_close(outputs[0::2], outputs[1::2])
    assert outputs[::2].diff().abs().min() > 0.1


def small_game(**more):
    return TwoPlayer(
        LossConfig("wasserstein"), Penalties.from_plain({"gradient": {"weight": 10}}), 5, labels="data", **more
    )


@pytest.mark.parametrize("classes", [0, 3])
def test_the_critics_loss_is_that_of_the_paper(classes):
    """L = E D(G(z)) - E D(x) + 10 E (‖∇D(x̂)‖₂ - 1)², written out."""
    config = ResNetConfig(size=8, latent=4, width=4, classes=classes)
    torch.manual_seed(0)
    networks = build(config)
    batch = Batch(torch.rand(5, 3, 8, 8) * 2 - 1, torch.randint(3, (5,)) if classes else None)
    critic, generator = SYSTEM.stages(config, small_game())[0].phases
    assert (critic.every, generator.every) == (1, 5)
    assert critic.uncoupled == ("discriminator",)
    torch.manual_seed(1)
    out = critic.loss(networks, batch, {})

    torch.manual_seed(1)
    told = (batch.labels,) if classes else ()
    with torch.no_grad():
        fake = networks["generator"](torch.randn(5, 4), *told)
    judge = networks["discriminator"]
    share = torch.rand(5, 1, 1, 1)
    between = (share * fake + (1 - share) * batch.images).requires_grad_()
    penalty = 0.0
    for i in range(5):
        (slope,) = torch.autograd.grad(judge(between, *told)[i], between)
        penalty += 10 * (slope[i].norm() - 1) ** 2 / 5
    expected = judge(fake, *told).mean() - judge(batch.images, *told).mean() + penalty
    torch.testing.assert_close(out.value, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.means["gradient"], penalty, rtol=1e-4, atol=1e-5)


def test_no_batch_normalisation_in_the_critic_unless_asked_for():
    def normalisations(network):
        return [name for name, m in network.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    assert normalisations(build(ResNetConfig(size=8, width=4))["generator"])
    for norm in ("none", "layer", "group"):
        assert not normalisations(build(ResNetConfig(size=8, width=4, critic_norm=norm))["discriminator"])
    assert normalisations(build(ResNetConfig(size=8, width=4, critic_norm="batch"))["discriminator"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 30}, "network.size: 30"),
        ({"width": 0}, "width"),
        ({"flat": -1}, "flat"),
        ({"classes": -1}, "classes"),
        ({"critic_halvings": 7}, "network.critic_halvings: 64"),
        ({"attention": 4}, "there are 32, 16, 8"),
    ],
)
def test_settings_that_make_no_network(values, message):
    with pytest.raises(ConfigError, match=message):
        ResNetConfig(**values)


@pytest.mark.parametrize("kind", ["none", "both"])
def test_the_critics_phase_compiles_to_one_graph(kind):
    if not hasattr(torch._dynamo.config, "trace_autograd_ops"):
        pytest.skip("this torch cannot trace autograd.grad")
    config = ResNetConfig(size=8, channels=1, latent=4, width=4, classes=2, spectral=kind)
    networks = build(config)
    batch = Batch(torch.rand(4, 1, 8, 8), torch.randint(2, (4,)))
    phase = SYSTEM.stages(config, small_game())[0].phases[0]
    weights = list(networks["discriminator"].parameters())

    def gradients(batch):
        return torch.autograd.grad(phase.loss(networks, batch, {}).value, weights, allow_unused=True)

    torch.manual_seed(1)
    plain = gradients(batch)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        torch.manual_seed(1)
        compiled = torch.compile(gradients, fullgraph=True, backend="aot_eager")(batch)
    for a, b in zip(plain, compiled, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
