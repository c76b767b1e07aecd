"""EBGAN: the energy, what both players do with it, and the bugs of others."""

import pytest
import torch
from tests.models.by_hand import adams, count, gradients, step

from gantools.errors import ConfigError
from gantools.models.ebgan import Autoencoder, EBGANConfig, build
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import Batch
from gantools.objectives.losses import LossConfig
from gantools.recipes.recipe import load_recipe

SMALL = EBGANConfig(size=8, latent=5, width=4, code=6)


def game(**changes):
    return TwoPlayer(LossConfig("energy", {"margin": 4.0}), **changes)


def phases(**changes):
    (stage,) = two_player(SMALL, game(**changes))
    return {phase.name: phase for phase in stage.phases}


def images(n=6, dtype=torch.float32):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=dtype) * 2 - 1


def test_parameters_by_layer():
    networks = build(load_recipe("ebgan-mnist").network)
    stack = 2 * 64 + 64 * 32 * 16 + 2 * 32 + 32 * 16  # from a map of 64 channels to the image
    assert count(networks["generator"]) == 64 * 64 * 49 + stack
    encoder = 32 * 16 + 32 * 64 * 16 + 2 * 64 + (64 * 32 * 49 + 32)
    assert count(networks["discriminator"]) == encoder + 32 * 64 * 49 + stack


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 3), (32, 1)])
def test_outputs_are_energies_with_a_minus(size, channels):
    torch.manual_seed(0)
    networks = build(EBGANConfig(size=size, channels=channels, latent=5, width=4, code=6))
    x = networks["generator"](torch.randn(3, 5))
    assert x.shape == (3, channels, size, size)
    judge = networks["discriminator"].eval()
    outputs, codes = judge.examine(x)
    assert codes.shape == (3, 6) and (outputs <= 0).all()
    made = judge.decoder(codes[:, :, None, None])
    torch.testing.assert_close(outputs, -(made - x).flatten(1).norm(dim=1))
    assert torch.equal(judge(x), outputs)


def test_what_is_logged_of_energies():
    """Scores are outputs, the more the more real; the border lies in the middle of 0 and the margin."""
    torch.manual_seed(0)
    networks = build(SMALL)

    class Fixed(torch.nn.Module):
        def forward(self, x):
            # Of real images 1 and 3, of generated ones 0, 1, 2.5 and 5, four times.
            real = torch.tensor([-1.0, -3.0]).repeat(4)
            fake = torch.tensor([0.0, -1.0, -2.5, -5.0]).repeat(2)
            return fake if x.requires_grad or not torch.equal(x, images(8)) else real

    out = phases()["discriminator"].loss({**networks, "discriminator": Fixed()}, Batch(images(8)), {})
    assert float(out.means["real_score"]) == -2.0 and float(out.means["fake_score"]) == pytest.approx(-2.125)
    assert float(out.means["discriminator_accuracy"]) == pytest.approx(0.5 * 0.5 + 0.5 * 0.5)
    # E[E(x)] + E[max(0, 4 - E(G(z)))] = 2 + (4 + 3 + 1.5 + 0) / 4
    assert float(out.value) == pytest.approx(4.125)


class Indirect(Autoencoder):
    """The bug of PyTorch-GAN's ebgan.py: the image itself is taken for a constant."""

    def examine(self, x, labels=None):
        codes = self.encoder(x)
        return -(self.decoder(codes) - x.detach()).flatten(1).norm(dim=1), codes.flatten(1)


@pytest.mark.parametrize("bug", [False, True])
def test_the_generator_is_told_how_to_change_its_image(bug):
    """Its gradient is that of finite differences, which see both the image and what is made of it."""
    torch.manual_seed(0)
    networks = {name: network.double() for name, network in build(SMALL).items()}
    if bug:
        wrong = Indirect(SMALL).double()
        wrong.load_state_dict(networks["discriminator"].state_dict())
        networks["discriminator"] = wrong
    phase, rows = phases()["generator"], Batch(images(dtype=torch.float64))

    class Given(torch.nn.Module):
        """The generator, whose latents do not depend on who draws them."""

        latent = 5

        def __init__(self):
            super().__init__()
            self.inner = networks["generator"]

        def forward(self, z):
            return self.inner(torch.linspace(-1, 1, z.numel(), dtype=torch.float64).view_as(z))

    players = {**networks, "generator": Given()}
    _, found = gradients(players, phase, rows)
    weights = list(players["generator"].parameters())
    torch.manual_seed(5)
    apart = []
    for weight, gradient in zip(weights, found["generator"], strict=True):
        direction = torch.randn_like(weight)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.add_(sign * 1e-6 * direction)
                values.append(float(phase.loss(players, rows, {}).value))
                weight.sub_(sign * 1e-6 * direction)
        slope = (values[0] - values[1]) / 2e-6
        apart.append(abs(slope - float((gradient * direction).sum())) / max(abs(slope), 1e-3))
    assert (max(apart) < 1e-3) != bug


def test_the_pulling_away_term_is_the_generators_alone():
    torch.manual_seed(0)
    networks, rows = build(SMALL), Batch(images())
    for weight in (0.0, 0.1):
        found = phases(pulling_away=weight)
        assert ("pulling_away" in found["generator"].loss(networks, rows, {}).means) == (weight > 0)
        assert "pulling_away" not in found["discriminator"].loss(networks, rows, {}).means
    out = found["generator"].loss(networks, rows, {})
    assert 0 < float(out.means["pulling_away"]) <= 0.1
    torch.testing.assert_close(out.means["loss_g"], out.means["adversarial"] + out.means["pulling_away"])


def test_the_discriminator_learns_to_reproduce_real_images_alone():
    torch.manual_seed(0)
    networks, phase, rows = build(SMALL), phases()["discriminator"], Batch(images(4).repeat(4, 1, 1, 1))
    optimizers = adams({"discriminator": networks["discriminator"]}, 0.005, (0.5, 0.999))
    for i in range(150):
        out = step(networks, phase, rows, optimizers, seed=2 * i)
    real, fake = float(out.means["real_score"]), float(out.means["fake_score"])
    assert -real < 2.5 and -fake > 3.5, (real, fake)


def test_losses_and_discriminators_that_do_not_fit():
    with pytest.raises(ConfigError, match=r"game.loss.name: non_saturating does not fit") as error:
        TwoPlayer().prepare(build(SMALL))
    assert "game.loss.name=energy" in str(error.value)
    assert game().prepare(build(SMALL)) == {}
    with pytest.raises(ConfigError, match=r"code: must be at least 1"):
        EBGANConfig(code=0)
    with pytest.raises(ConfigError, match=r"network.size: 30"):
        EBGANConfig(size=30)
