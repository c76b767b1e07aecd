"""Video super-resolution: the frames around one to that one, enlarged (Lucas et al. 2019, arXiv:1806.05764).

Two stages. `pretrain` teaches the generator alone to be near the pixels, which gives VSRResNet. `gan` goes on with a
discriminator and a loss of features, which gives VSRResFeatGAN. No motion is estimated: the convolutions find it.

Images are in [-1, 1]; a network of one channel is given luma, and the sampler enlarges the colours by bicubic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from torch import nn

from gantools.errors import ConfigError, check_least
from gantools.layers.super_resolution import check_scale
from gantools.layers.video import VIDEO_JUDGE_HALVINGS, VideoJudge, VSRResNet
from gantools.models.enlarging import check_ties, features, judge_phase, ties
from gantools.models.games import summed
from gantools.models.system import Batch, Networks, Out, Phase, Role, Scalars, Stage, System
from gantools.objectives.content import charbonnier, l2
from gantools.objectives.losses import LossConfig
from gantools.objectives.perceptual import PerceptualConfig


@dataclass(frozen=True)
class VSRGANConfig:
    """Shape of the networks.

    Attributes:
        size: side of the large crops in training; afterwards films of any size are taken.
        channels: of the images: 1 is luma.
        scale: the factor: 2, 3, 4 or 8.
        frames: how many there are in what the generator is given; the middle one is enlarged.
        width: channels of the generator.
        blocks: its residual blocks.
        judge_width: channels of the discriminator next to the image.
    """

    size: int = 64
    channels: int = 1
    scale: int = 4
    frames: int = 5
    width: int = 64
    blocks: int = 15
    judge_width: int = 64

    def __post_init__(self) -> None:
        check_least("network", self, "channels", "frames", "width", "blocks", "judge_width")
        if self.frames % 2 == 0:
            raise ConfigError(f"network.frames: must be odd, with one in the middle, not {self.frames}.")
        check_scale(self.scale)
        step = math.lcm(self.scale, 1 << VIDEO_JUDGE_HALVINGS)
        if self.size < step or self.size % step:
            raise ConfigError(
                f"network.size: must be a multiple of {step}, not {self.size}.",
                f"It is the side of the large crops, which the discriminator halves {VIDEO_JUDGE_HALVINGS} times.",
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that are made in training."""
        return (self.size, self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the frames that are enlarged in training."""
        return (self.size // self.scale, self.size // self.scale, self.channels)

    @property
    def reach(self) -> int:
        """Pixels of a frame beyond a pixel that its result depends on: a large one a convolution, two by bicubic."""
        return -(-(2 * self.blocks + 4) // self.scale) + 2


@dataclass(frozen=True)
class VSRGANGame:
    """Lengths and losses of the two stages.

    Attributes:
        pretrain_kimg: thousand large crops shown in the first stage, by mean squared error; 0: it is left out.
        gan: whether there is a second stage; false trains VSRResNet.
        pixel: weight of Charbonnier's loss of pixels in the second stage.
        adversarial: weight of the generator's adversarial loss there.
        loss: adversarial loss.
        perceptual: the loss of features there.
    """

    pretrain_kimg: float = 6400.0
    gan: bool = True
    pixel: float = 0.001
    adversarial: float = 0.001
    loss: LossConfig = field(default_factory=LossConfig)
    perceptual: PerceptualConfig = field(
        default_factory=lambda: PerceptualConfig(0.998, layer="conv3_1", difference="charbonnier")
    )

    def __post_init__(self) -> None:
        if min(self.pretrain_kimg, self.pixel, self.adversarial) < 0:
            raise ConfigError("game: pretrain_kimg, pixel and adversarial must not be negative.")
        check_ties(self)


def build(config: VSRGANConfig) -> dict[str, nn.Module]:
    """Generator and discriminator."""
    return {
        "generator": VSRResNet(config.channels, config.scale, config.frames, config.width, config.blocks),
        "discriminator": VideoJudge(config.channels, config.size, config.judge_width),
    }


def frozen(config: VSRGANConfig, game: VSRGANGame, pretrained: bool) -> dict[str, nn.Module]:
    """The network of the perceptual loss, where the second stage has one."""
    return features(config.channels, game, pretrained)


def stages(config: VSRGANConfig, game: VSRGANGame) -> tuple[Stage, ...]:
    """The stages `pretrain` and `gan`, without one of no length.

    The generator's loss in the second is α Σ ρ(φ(x) - φ(y)) + β adversarial + γ Σ ρ(x - y), ρ(u) = √(u² + ε²)
    (Charbonnier), the sums as means, φ frozen features; α, β, γ are `perceptual.weight`, `adversarial`, `pixel`.
    Source: arXiv:1806.05764, where γ = 1 - α - β.

    Logged: `pixel`; in the second stage `loss_g` and its terms, `loss_d` and `games.scores`.
    """

    def content(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        value = l2(networks["generator"](batch.inputs), batch.images)
        return Out(value, {"pixel": value.detach()})

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        images = networks["generator"](batch.inputs)
        return Out(*summed(ties(networks, batch, images, batch.images, game, charbonnier)))

    needs: tuple[Role, ...] = ("images", "inputs")
    first = Stage("pretrain", (Phase("content", ("generator",), content),), needs=needs)
    if not game.gan:
        return (first,)
    judge = judge_phase(game)
    last = Stage("gan", (Phase("generator", ("generator",), generator), judge), needs=needs, fresh=("generator",))
    if game.pretrain_kimg == 0:
        return (last,)
    return (replace(first, nimg=round(1000 * game.pretrain_kimg)), last)


SYSTEM = System(
    VSRGANConfig,
    VSRGANGame,
    build,
    stages,
    takes="images",
    frozen=frozen,
    reference="Lucas et al. 2019, arXiv:1806.05764",
)
