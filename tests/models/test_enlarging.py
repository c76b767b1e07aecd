"""What the systems that enlarge share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gantools.errors import ConfigError
from gantools.models.enlarging import features, judge_phase, ties
from gantools.models.games import summed
from gantools.models.srgan import SRGANGame
from gantools.models.system import Batch
from gantools.models.vsrgan import VSRGANGame
from gantools.objectives.content import l1
from gantools.objectives.losses import LossConfig
from gantools.objectives.perceptual import PerceptualConfig

GAMES = {"srgan": SRGANGame, "vsrgan": VSRGANGame}
NONE = PerceptualConfig(0.0)


class Mean(nn.Module):
    """A judge whose output is the mean of an image, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x.mean((1, 2, 3))


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
def test_a_game_of_no_stage_or_without_ties_is_refused(game):
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        game(pretrain_kimg=0, gan=False)
    with pytest.raises(ConfigError, match="nothing ties results to inputs") as e:
        game(pixel=0, perceptual=NONE)
    assert "game.perceptual.weight above 0" in e.value.hint
    game(pixel=0, perceptual=NONE, gan=False)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_of_luma_or_colour(channels):
    game = VSRGANGame(perceptual=PerceptualConfig(1.0, "vgg19-normalised", "conv1_1"))
    found = features(channels, game, pretrained=False)["features"]
    images = torch.rand(2, channels, 16, 16)
    assert float(game.perceptual.of(found, images, 1 - images)) > 0
    with pytest.raises(ConfigError, match="the images have 2 channels"):
        features(2, game, pretrained=False)
    assert features(2, VSRGANGame(pixel=1, perceptual=NONE), pretrained=False) == {}
    assert features(2, VSRGANGame(gan=False), pretrained=False) == {}


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic_average_detached"])
def test_terms_are_weighted_and_the_judge_sees_the_images_themselves(loss):
    game = SRGANGame(pixel=0.5, adversarial=0.25, loss=LossConfig(loss), perceptual=NONE)
    real, made, target = torch.rand(3, 2, 3, 8, 8).unbind(0)
    judge = Mean()
    terms = ties({"discriminator": judge}, Batch(real), made, target, game, l1)
    wanted = game.loss.generator(judge(made), judge(real) if game.loss.loss.pairs else None)
    assert terms.keys() == {"adversarial", "pixel"}
    torch.testing.assert_close(terms["adversarial"], 0.25 * wanted)
    torch.testing.assert_close(terms["pixel"], 0.5 * (made - target).abs().mean())
    value, means = summed(terms)
    torch.testing.assert_close(value, terms["adversarial"] + terms["pixel"])
    assert means.keys() == {"adversarial", "pixel", "loss_g"} and not means["loss_g"].requires_grad


def test_the_judges_loss_leaves_the_generator_alone():
    generator, judge = nn.Conv2d(3, 3, 1), Mean()
    batch = Batch(torch.rand(2, 3, 8, 8), inputs=torch.rand(2, 3, 8, 8))
    out = judge_phase(SRGANGame()).loss({"generator": generator, "discriminator": judge}, batch, None)
    out.value.backward()
    assert judge.weight.grad is not None and generator.weight.grad is None
    assert "loss_d" in out.means
