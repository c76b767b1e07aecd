import dataclasses
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from gantools.errors import ConfigError
from gantools.layers.attention import SelfAttention
from gantools.models.biggan import SYSTEM, WHOLE, BigGANConfig, BigGANGame, build, render, truncated
from gantools.models.system import Batch
from gantools.recipes.recipe import load_recipe
from gantools.sampling.generator import generate

SMALL = BigGANConfig(size=16, classes=3, latent=12, embedding=6, width=4, attention=8)


def conv(before, after, kernel=3):
    return before * after * kernel**2 + after


def attention(channels):
    return 2 * channels * (channels // 8) + 2 * channels * (channels // 2) + 1


def up(before, after, told):
    """Two convolutions and the shortcut's, with biases, and a scale and a shift a normalisation, without."""
    return conv(before, after) + conv(after, after) + conv(before, after, 1) + 2 * told * (before + after)


def down(before, after, straight=False):
    return conv(before, after) + conv(after, after) + (0 if straight else conv(before, after, 1))


def count(network):
    return sum(p.numel() for p in network.parameters())


@cache
def networks_of(recipe):
    with torch.device("meta"):
        return build(load_recipe(recipe).network)


def test_parameters_of_the_published_128x128_networks():
    """The sums are those that compare_gan's test holds against the original."""
    networks = networks_of("biggan-128")
    generator, critic = networks["generator"], networks["discriminator"]
    widths = [96 * n for n in (16, 16, 8, 4, 2, 1)]
    blocks = [up(a, b, 20 + 128) for a, b in pairwise(widths)]
    assert [count(block) for block in generator.blocks] == blocks
    assert count(generator.dense) == 20 * 16 * 1536 + 16 * 1536 and count(generator.embedding) == 128000
    assert count(generator.attention) == attention(192) and generator.side == 64
    rest = 128000 + count(generator.dense) + attention(192) + 2 * 96 + conv(96, 3)
    assert count(generator) == sum(blocks) + rest == 70_433_988

    widths = [96 * n for n in (1, 2, 4, 8, 16)]
    blocks = [down(3, 96), attention(96), *(down(a, b) for a, b in pairwise(widths))]
    assert [count(block) for block in critic.blocks] == [*blocks, down(1536, 1536, straight=True)]
    assert count(critic) == 87_982_370


def test_parameters_of_the_networks_for_cifar():
    networks = networks_of("biggan-cifar")
    generator, critic = networks["generator"], networks["discriminator"]
    assert [count(block) for block in generator.blocks] == [up(384, 384, 20 + 128)] * 3
    assert generator.side == 16 and count(generator.attention) == attention(384)
    assert [count(block) for block in critic.blocks] == [
        down(3, 192), attention(192), down(192, 192), *[down(192, 192, straight=True)] * 2,
    ]  # fmt: skip


def test_settings_are_those_of_the_sources():
    big, small = load_recipe("biggan-128"), load_recipe("biggan-cifar")
    game, optim = big.game, big.optim
    assert (game.loss.name, game.critic_steps, game.orthogonal, game.labels) == ("hinge", 2, 1e-4, "uniform")
    assert (optim.of("generator").lr, optim.of("discriminator").lr, optim.betas) == (5e-5, 2e-4, (0.0, 0.999))
    assert (big.batch, optim.eps, big.data.flip) == (2048, 1e-6, True)
    game, optim = small.game, small.optim
    assert (game.loss.name, game.critic_steps, game.orthogonal) == ("hinge", 5, 0.0)
    assert (optim.lr, optim.betas, small.batch, small.data.flip) == (2e-4, (0.5, 0.999), 64, True)
    for recipe, start in ((big, 20000), (small, 1000)):
        shown = recipe.batch * recipe.game.critic_steps  # images to one step of the generator
        kept = 0.5 ** (shown / (recipe.ema.half_life_kimg * 1000))
        assert kept == pytest.approx(0.9999, abs=1e-6)
        assert recipe.ema.start_kimg * 1000 == start * shown
        assert recipe.ema.start_kimg * recipe.ema.ramp > recipe.ema.half_life_kimg


@pytest.mark.parametrize("size", [8, 28, 32, 48, 64, 128])
@pytest.mark.parametrize("classes", [0, 2])
def test_shapes(size, classes):
    config = BigGANConfig(size=size, channels=1, classes=classes, latent=840, embedding=3, width=1, attention=0)
    networks = build(config)
    labels = torch.tensor([0, 1, 1]) if classes else None
    told = () if labels is None else (labels,)
    images = networks["generator"](torch.randn(3, 840), *told)
    assert images.shape == (3, 1, size, size) and images.abs().max() <= 1
    assert networks["discriminator"](images, *told).shape == (3,)


def test_each_part_of_the_latent_and_the_class_reach_their_block():
    torch.manual_seed(0)
    network = build(SMALL)["generator"].eval()
    z, labels = torch.randn(1, 12), torch.tensor([1])
    seen = []
    for block in network.blocks:
        block.register_forward_hook(lambda module, given, out: seen.append(out.detach()))
    network(z, labels)
    vector = network.embedding(labels)
    for first, part in enumerate(range(0, 12, 4)):
        other = z.clone()
        other[:, part : part + 4] += 1
        start = len(seen)
        network(other, labels)
        changed = [not torch.equal(a, b) for a, b in zip(seen[:2], seen[start:], strict=True)]
        # The first part becomes the smallest map, so all see it; the second and third are those of the blocks.
        assert changed == [[True, True], [True, True], [False, True]][first]
    told = torch.cat([vector, z[:, 4:8]], 1)
    torch.testing.assert_close(seen[0], network.blocks[0](network.dense(z[:, :4]).view(1, -1, 4, 4), told))


def test_spectral_norms_are_everywhere_but_at_the_shared_embedding():
    for name, network in build(SMALL).items():
        for place, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                assert hasattr(module, "parametrizations") == ((name, place) != ("generator", "embedding")), place
        assert sum(isinstance(m, SelfAttention) for m in network.modules()) == 1


def test_weights_begin_orthogonal():
    for name, tensor in build(SMALL)["discriminator"].named_parameters():
        if tensor.dim() > 1:
            matrix = tensor.detach().flatten(1)
            matrix = matrix if len(matrix) <= matrix.shape[1] else matrix.t()
            torch.testing.assert_close(matrix @ matrix.t(), torch.eye(len(matrix)), rtol=0, atol=1e-5)
        else:
            assert not tensor.any(), name


def test_the_orthogonal_regularisation_is_the_generators_alone_and_spares_the_embedding():
    torch.manual_seed(0)
    networks = build(SMALL)
    with torch.no_grad():
        for p in networks["generator"].parameters():
            p.add_(0.1 * torch.randn_like(p))
    batch = Batch(torch.zeros(4, 3, 16, 16), torch.arange(4) % 3)
    found = {}
    for weight in (0.0, 0.5):
        (stage,) = SYSTEM.stages(SMALL, BigGANGame(orthogonal=weight))
        for phase in stage.phases:
            torch.manual_seed(1)
            found[phase.name, weight] = phase.loss(networks, batch, {})
    assert found["discriminator", 0.0].value == found["discriminator", 0.5].value
    more = (found["generator", 0.5].value - found["generator", 0.0].value).detach()
    expected = 0.0
    for name, p in networks["generator"].named_parameters():
        if p.dim() > 1 and name != "embedding.weight":
            w = p.detach().flatten(1)
            expected += 0.25 * float(((w @ w.t()) * (1 - torch.eye(len(w)))).square().sum())
    assert float(more) == pytest.approx(expected, rel=1e-4)
    assert float(found["generator", 0.5].means["orthogonal"]) == pytest.approx(expected, rel=1e-4)
    assert "orthogonal" not in found["generator", 0.0].means


@pytest.mark.parametrize("limit", [0.02, 0.5, 1.5])
def test_truncated_latents_have_the_distribution_of_drawing_again(limit):
    z = torch.from_numpy(np.random.default_rng(0).standard_normal(20000)).float()
    found = truncated(z, limit)
    assert found.abs().max() <= limit and found.dtype == torch.float32
    law = stats.truncnorm(-limit, limit)
    assert stats.kstest(found.numpy(), law.cdf).pvalue > 0.01
    # What is cut off, or scaled, has another one.
    assert stats.kstest(z.clamp(-limit, limit).numpy(), law.cdf).pvalue < 1e-6
    order = z.argsort()
    assert (found[order].diff() >= 0).all()  # a continuous function of z
    assert torch.equal(truncated(z, WHOLE), z)
    far = truncated(torch.tensor([-9.0, 0.0, 9.0]), limit)
    assert far.isfinite().all() and far[1].abs() < 1e-6


def trained():
    """A generator in evaluation whose statistics are those of latents without truncation."""
    torch.manual_seed(0)
    network = build(SMALL)["generator"]
    with torch.no_grad():
        for _ in range(60):
            network(torch.randn(64, 12), torch.arange(64) % 3)
    return network.eval()


def test_each_truncation_has_statistics_of_its_own():
    network = trained()
    before = {name: b.clone() for name, b in network.named_buffers()}
    z, labels = torch.randn(6, 12), torch.arange(6) % 3
    networks = {"generator": network}
    with torch.no_grad():
        whole = render(networks, z, labels, {"truncation": WHOLE})
        low = render(networks, z, labels, {"truncation": 0.5})
        again = render(networks, z, labels, {"truncation": 0.5})
        torch.testing.assert_close(whole, network(z, labels), rtol=0, atol=0)
        assert torch.equal(low, again) and len(network.standing) == 1
        # Statistics of the whole distribution give other images of the same latents.
        assert (low - network(truncated(z, 0.5), labels)).abs().max() > 1e-3
    assert all(torch.equal(b, before[name]) for name, b in network.named_buffers())
    assert not any(m.training for m in network.modules())
    # They are the statistics of what the generator makes at this truncation.
    narrow = network.statistics(0.5)["norm.running_var"]
    seen = []
    hook = network.norm.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    with torch.no_grad():
        for seed in range(8):
            torch.manual_seed(100 + seed)
            torch.func.functional_call(
                network, network.statistics(0.5), (truncated(torch.randn(120, 12), 0.5), torch.arange(120) % 3)
            )
    hook.remove()
    torch.testing.assert_close(torch.cat(seen).var((0, 2, 3)), narrow, rtol=0.1, atol=0)
    wide = before["norm.running_var"]
    assert ((torch.cat(seen).var((0, 2, 3)) / wide - 1).abs() > 0.1).any()


def test_a_truncated_image_does_not_depend_on_how_many_are_asked_for():
    networks, options = {"generator": trained()}, {"classes": 3, "controls": {"truncation": 0.5}, "batch": 8}
    many = torch.cat(list(generate(SYSTEM, networks, 7, 20, **options)))
    networks = {"generator": trained()}
    few = torch.cat(list(generate(SYSTEM, networks, 7, 4, first=8, **options)))
    assert torch.equal(many[8:12], few)
    other = torch.cat(list(generate(SYSTEM, networks, 7, 4, first=8, classes=3, batch=8)))
    assert not torch.equal(other, few)


def test_statistics_follow_the_weights_and_few_are_kept(monkeypatch):
    monkeypatch.setattr("gantools.layers.statistics.STATISTICS_BATCHES", 1)
    network = trained()
    first = network.statistics(0.5)
    assert network.statistics(0.5) is first
    with torch.no_grad():
        network.dense.parametrizations.weight.original.mul_(-1)
    assert network.statistics(0.5) is not first
    for i in range(12):
        network.statistics(0.1 + i / 10)
    assert len(network.standing) == 8


def test_a_network_without_classes_is_truncated_too():
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, classes=0)
    networks = {"generator": build(config)["generator"].eval()}
    with torch.no_grad():
        images = render(networks, torch.randn(3, 12), None, {"truncation": 1.0})
    assert images.shape == (3, 3, 16, 16) and images.isfinite().all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 30}, "network.size: 30"),
        ({"width": 0}, "width"),
        ({"classes": -1}, "classes"),
        ({"latent": 100}, "network.latent: 100 cannot be cut into the 6 parts"),
        ({"attention": 128}, "network.attention: 128"),
        ({"attention": 63}, "there are 64, 32, 16, 8"),
    ],
)
def test_settings_that_make_no_network(values, message):
    with pytest.raises(ConfigError, match=message):
        BigGANConfig(**values)


def test_a_negative_regularisation_is_refused():
    with pytest.raises(ConfigError, match=r"game\.orthogonal"):
        BigGANGame(orthogonal=-1.0)
