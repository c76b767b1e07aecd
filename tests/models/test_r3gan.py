from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from tests.models.by_hand import count

from gantools.augment import ada
from gantools.errors import ConfigError
from gantools.models.r3gan import R3GANConfig, R3GANGame, build, stages
from gantools.models.system import Batch
from gantools.recipes.recipe import load_recipe
from gantools.schedules import Schedule, value_at

SMALL = R3GANConfig(size=8, latent=6, width=64, max_width=8, group=4, blocks=1)
GAMMA = torch.tensor(0.3)


def phases(game=None, config=SMALL):
    return {phase.name: phase for phase in stages(config, game or R3GANGame())[0].phases}


def rows(n=8, classes=0):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(n, 3, 8, 8, generator=generator) * 2 - 1
    return Batch(images, torch.arange(n) % classes if classes else None)


def trained(config=SMALL):
    """Networks whose last convolutions are no zeros any more."""
    torch.manual_seed(0)
    networks = build(config)
    for network in networks.values():
        for parameter in network.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return networks


def block(width, group=16):
    inner = 2 * width
    return width * inner + inner + inner * group * 9 + inner + inner * width


@pytest.mark.parametrize(
    ("recipe", "widths", "classes"),
    [("r3gan-cifar", [768] * 4, 10), ("r3gan-celeba", [768] * 4 + [384], 0)],
)
def test_parameters_of_the_published_networks_by_layer(recipe, widths, classes):
    """Of the authors' presets: two blocks a resolution, 16 channels a group, no bias but before an activation."""
    config = load_recipe(recipe).network
    with torch.device("meta"):
        networks = build(config)
    assert config.widths == widths and config.sizes == [4 << i for i in range(len(widths))]
    shared = sum(2 * block(width) for width in widths)
    shared += sum(a * b for a, b in pairwise(widths) if a != b)
    shared += 3 * widths[-1] + 16 * widths[0]  # colours, and a map of 4x4 a channel
    embedding = 64 * classes
    generator = shared + embedding + (128 if classes else 64) * 768
    discriminator = shared + (768 * 768 + 768 * classes if classes else 768)
    assert count(networks["generator"]) == generator
    assert count(networks["discriminator"]) == discriminator


def test_a_new_network_is_its_skeleton_and_its_features_have_variance_1():
    torch.manual_seed(0)
    config = R3GANConfig(size=16, latent=64, width=4096, max_width=256, classes=4)
    networks = build(config)
    generator, judge = networks["generator"], networks["discriminator"]
    z = torch.randn(32, 64)
    first = (
        generator.basis
        * generator.dense(torch.cat([z, generator.embed.weight.T[torch.arange(32) % 4]], 1))[..., None, None]
    )
    torch.testing.assert_close(generator.stages[0](first), first)
    assert float(generator.dense.weight.detach().std()) == pytest.approx(1 / 128**0.5, rel=0.05)
    # N(0, 1 / (classes · width)): their initialiser divides by the fan in, the classes, as well.
    assert float(judge.embed.weight.detach().std()) == pytest.approx(1 / (4 * 256) ** 0.5, rel=0.1)
    assert float(judge.basis.weight.detach().std()) == pytest.approx(1 / 4, rel=0.05)


@pytest.mark.parametrize("size", [8, 28, 32])
@pytest.mark.parametrize("classes", [0, 3])
def test_shapes(size, classes):
    config = R3GANConfig(
        size=size, channels=1, classes=classes, latent=6, width=8 * size, max_width=16, group=8, blocks=1
    )
    networks = build(config)
    labels = torch.arange(3) % classes if classes else None
    images = networks["generator"](torch.randn(3, 6), labels)
    assert images.shape == (3, 1, size, size)
    assert networks["discriminator"](images, labels).shape == (3,)


WRONG = [None, "no R2", "not halved", "unpaired", "the norm, not its square"]


@pytest.mark.parametrize("wrong", WRONG)
def test_the_discriminators_loss_is_that_of_the_paper(wrong):
    """E softplus(-(D(x) - D(G(z)))) + γ/2 (E‖∇D(x)‖² + E‖∇D(G(z))‖²); four mistakes give another number."""
    networks, batch = trained(), rows()
    torch.manual_seed(2)
    out = phases()["discriminator"].loss(networks, batch, {"gamma": GAMMA})
    torch.manual_seed(2)
    judge, fake = networks["discriminator"], networks["generator"](torch.randn(8, 6)).detach()

    def squared(x):
        x = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(judge(x).sum(), x)
        found = slope.flatten(1).square().sum(1)
        return (found.sqrt() if wrong == "the norm, not its square" else found).mean()

    real_outputs, fake_outputs = judge(batch.images), judge(fake)
    difference = real_outputs - (fake_outputs.mean() if wrong == "unpaired" else fake_outputs)
    penalties = squared(batch.images) + (0 if wrong == "no R2" else squared(fake))
    expected = F.softplus(-difference).mean() + GAMMA * (1 if wrong == "not halved" else 0.5) * penalties
    close = torch.allclose(out.value, expected, rtol=1e-5, atol=1e-6)
    assert close == (wrong is None), (out.value, expected)


def test_the_generators_loss_compares_each_image_with_the_real_one_beside_it():
    networks, batch = trained(), rows()
    torch.manual_seed(2)
    out = phases()["generator"].loss(networks, batch, {"gamma": GAMMA})
    torch.manual_seed(2)
    judge = networks["discriminator"]
    fake_outputs = judge(networks["generator"](torch.randn(8, 6)))
    expected = F.softplus(judge(batch.images) - fake_outputs).mean()
    torch.testing.assert_close(out.value, expected)
    assert not torch.allclose(out.value, F.softplus(judge(batch.images).flip(0) - fake_outputs).mean())


def test_penalties_are_by_the_image_before_its_augmentation():
    networks, batch = trained(), rows()
    one = torch.tensor(1.0)
    torch.manual_seed(2)
    found = phases(R3GANGame(augment_p=Schedule(0, 1, 10)))["discriminator"].loss(
        networks, batch, {"gamma": GAMMA, "augment_p": one}
    )
    torch.manual_seed(2)
    networks["generator"](torch.randn(8, 6))
    x = batch.images.clone().requires_grad_()
    seen = networks["augment"](x, torch.rand(8, ada.UNIFORMS), torch.randn(8, ada.NORMALS), one)
    outputs = networks["discriminator"](seen)
    (slope,) = torch.autograd.grad(outputs.sum(), x, retain_graph=True)
    torch.testing.assert_close(found.means["r1"], slope.square().sum((1, 2, 3)).mean() / 2)
    (wrong,) = torch.autograd.grad(outputs.sum(), seen)
    assert (wrong.square().sum((1, 2, 3)).mean() / 2 - found.means["r1"]).abs() > 1e-3 * found.means["r1"]


def test_classes_change_images_and_judgements_and_pairs_are_of_one_class():
    config = R3GANConfig(**{**vars(SMALL), "classes": 3})
    networks = trained(config)
    told = []
    networks["generator"].register_forward_pre_hook(lambda _m, args: told.append(args[1]))
    batch = rows(6, 3)
    for phase in phases(config=config).values():
        phase.loss(networks, batch, {"gamma": GAMMA})
    assert [labels.tolist() for labels in told] == [[0, 1, 2, 0, 1, 2]] * 2
    z = torch.randn(1, 6).expand(3, 6)
    images = networks["generator"](z, torch.arange(3))
    assert not torch.allclose(images[0], images[1])
    same = images[:1].expand(3, -1, -1, -1)
    assert len(set(networks["discriminator"](same, torch.arange(3)).tolist())) == 3
    assert stages(config, R3GANGame())[0].needs == ("images", "labels")


SCHEDULED = {
    # gamma, rate, beta2, strength of the augmentation and half-life (kimg) after 0, 10 and 20 million images
    "r3gan-cifar": [
        (0.05, 2e-4, 0.9, 0.0, 0.0),
        (0.0275, 1.25e-4, 0.945, 0.275, 2500),
        (0.005, 5e-5, 0.99, 0.55, 5000),
    ],
    "r3gan-celeba": [(2, 2e-4, 0.9, 0.0, 0.0), (1.1, 1.25e-4, 0.945, 0.0, 250), (0.2, 5e-5, 0.99, 0.0, 500)],
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_the_recipes_have_the_authors_schedules(name):
    recipe = load_recipe(name)
    (stage,) = recipe.stages()
    for nimg, expected in zip((0, 10_000_000, 20_000_000), SCHEDULED[name], strict=True):
        found = (
            stage.scalars["gamma"](nimg),
            value_at(recipe.optim.lr, nimg),
            value_at(recipe.optim.betas[1], nimg),
            stage.scalars["augment_p"](nimg),
            value_at(recipe.ema.half_life_kimg, nimg),
        )
        assert found == pytest.approx(expected)
    assert recipe.optim.betas[0] == 0 and recipe.batch == {"r3gan-cifar": 512, "r3gan-celeba": 256}[name]


def test_settings_that_cannot_be():
    for wrong, message in (
        ({"size": 30}, "network.size: 30"),
        ({"width": 100}, "network.width: 25 channels of 4x4 pixels"),
        ({"width": 4, "group": 2}, "network.width: 0 channels of 8x8"),
        ({"blocks": 0}, "network.blocks"),
        ({"classes": -1}, "network.classes"),
    ):
        with pytest.raises(ConfigError, match=message):
            R3GANConfig(**{"size": 8, "group": 16, **wrong})
    with pytest.raises(ConfigError, match=r"game\.gamma: must be at least 0, not -1"):
        R3GANGame(gamma=Schedule(-1, 1, 5))
    with pytest.raises(ConfigError, match=r"game\.augment_p"):
        R3GANGame(augment_p=1.5)
