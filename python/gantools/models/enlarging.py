"""What the systems that enlarge share: a judge, and a generator that follows it, pixels and features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.models.games import discriminator_loss, follow
from gantools.models.system import Batch, Networks, Out, Phase, Scalars
from gantools.objectives.losses import LossConfig
from gantools.objectives.perceptual import PerceptualConfig


class Ties(Protocol):
    """The part of a game of two stages that says what holds results to their inputs."""

    @property
    def pretrain_kimg(self) -> float:
        """Thousand crops of the stage of pixels alone."""

    @property
    def gan(self) -> bool:
        """Whether there is a stage after it."""

    @property
    def pixel(self) -> float:
        """Weight of the loss of pixels in that stage."""

    @property
    def adversarial(self) -> float:
        """Weight of the generator's adversarial loss there."""

    @property
    def loss(self) -> LossConfig:
        """The adversarial loss."""

    @property
    def perceptual(self) -> PerceptualConfig:
        """The loss of features there."""


def check_ties(game: Ties) -> None:
    """ConfigError: the game has no stage, or one in which nothing ties results to inputs."""
    if not game.gan and game.pretrain_kimg == 0:
        raise ConfigError("game: pretrain_kimg 0 without the stage gan leaves nothing to train.")
    if game.gan and game.pixel == 0 and game.perceptual.weight == 0:
        raise ConfigError(
            "game: the stage gan has neither a loss of pixels nor of features, nothing ties results to inputs.",
            "Set game.pixel or game.perceptual.weight above 0.",
        )


def features(channels: int, game: Ties, pretrained: bool) -> dict[str, nn.Module]:
    """The frozen network of the perceptual loss as `features`, where the game has one."""
    if not game.gan or game.perceptual.weight == 0:
        return {}
    if channels not in (1, 3):
        raise ConfigError(
            f"network.channels: a perceptual loss takes luma or colour, the images have {channels} channels.",
            "Set game.perceptual.weight=0 and game.pixel above 0.",
        )
    return {"features": game.perceptual.loaded(pretrained)}


def ties(
    networks: Networks,
    batch: Batch,
    images: Tensor,
    target: Tensor,
    game: Ties,
    difference: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Tensor]:
    """The weighted terms `adversarial`, `pixel` and `perceptual` of generated `images`, without those of weight 0.

    The judge compares with the batch's images, pixels and features with `target`; both float (n, c, h, w).
    """
    judge = networks["discriminator"]
    real_outputs = judge(batch.images) if game.loss.loss.pairs else None
    terms = {"adversarial": game.adversarial * game.loss.generator(judge(images), real_outputs)}
    if game.pixel > 0:
        terms["pixel"] = game.pixel * difference(images, target)
    if game.perceptual.weight > 0:
        terms["perceptual"] = game.perceptual.of(networks["features"], images, target)
    return terms


def judge_phase(game: Ties) -> Phase:
    """The discriminator's phase: the batch's images against what its inputs are enlarged to."""

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        with torch.no_grad():
            images = networks["generator"](batch.inputs)
        judge = networks["discriminator"]
        return Out(*discriminator_loss(game.loss, judge(batch.images), judge(images)))

    return Phase("discriminator", ("discriminator",), discriminator, after=follow("discriminator"))
