"""SRGAN and ESRGAN: images enlarged 2, 3, 4 or 8 times (arXiv:1609.04802; arXiv:1809.00219).

Two stages, and a short one between them on request (`game.judge_kimg`). `pretrain` teaches the generator alone to be
near the pixels, which gives SRResNet: faithful and soft. `gan` goes on with a discriminator and a perceptual loss,
which gives SRGAN: sharp, and farther from the pixels. What the first stage ended with is kept as `content`, and the
control `interpolation` blends the weights of both.

What the networks are made of is chosen by name (`network.kind`, `network.judge`); images are in [-1, 1] at both ends.
ESRGAN is dense blocks, a judge like VGG, the loss `relativistic_average_detached` and features before the ReLU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import ConfigError, check_least
from gantools.layers.super_resolution import (
    ENLARGERS,
    JUDGE_HALVINGS,
    UNET_HALVINGS,
    Judge,
    Ranker,
    UNetJudge,
    VGGJudge,
    check_scale,
    reach,
)
from gantools.models.enlarging import check_ties, features, judge_phase, ties
from gantools.models.games import summed
from gantools.models.system import Batch, Control, Networks, Out, Phase, Role, Scalars, Stage, System
from gantools.objectives.content import DIFFERENCES, l1, sharpened, total_variation
from gantools.objectives.losses import LossConfig
from gantools.objectives.perceptual import PerceptualConfig
from gantools.objectives.terms import margin_ranking, ranked


@dataclass(frozen=True)
class SRGANConfig:
    """Shape of the networks.

    Attributes:
        size: side of the large crops in training; afterwards images of any size are taken.
        channels: of the images.
        scale: the factor: 2, 3, 4 or 8.
        kind: the generator: `srresnet` as published, `msrresnet` without batch normalisation, on top of bilinear
            interpolation, `ranksrresnet`, RankSRGAN's, or `rrdb`, ESRGAN's.
        width: channels of the generator.
        blocks: its residual blocks.
        growth: of kind `rrdb`: channels that each convolution of a dense block adds.
        judge: the discriminator: SRGAN's, ESRGAN's, which is like VGG, or Real-ESRGAN's, which judges every pixel.
        judge_width: its channels next to the image.
        judge_hidden: width of its linear layer, where it has one.
        judge_halvings: of judge `vgg`: times that it halves the image.
        ranker: channels of RankSRGAN's ranker next to the image; 0: there is none.
    """

    size: int = 96
    channels: int = 3
    scale: int = 4
    kind: Literal["srresnet", "msrresnet", "ranksrresnet", "rrdb"] = "srresnet"
    width: int = 64
    blocks: int = 16
    growth: int = 32
    judge: Literal["srgan", "vgg", "unet"] = "srgan"
    judge_width: int = 64
    judge_hidden: int = 1024
    judge_halvings: int = 5
    ranker: int = 0

    def __post_init__(self) -> None:
        names = ("channels", "width", "blocks", "growth", "judge_width", "judge_hidden", "judge_halvings")
        check_least("network", self, *names)
        if self.ranker < 0 or (self.ranker > 0 and self.size < 32):
            raise ConfigError(f"network.ranker: must be at least 0, and 0 for crops below 32, not {self.ranker}.")
        check_scale(self.scale)
        halvings = {"srgan": JUDGE_HALVINGS, "unet": UNET_HALVINGS, "vgg": self.judge_halvings}[self.judge]
        # VGG's convolutions leave out what is over a half, the others' would not fit together or into their top.
        step = math.lcm(self.scale, 1 if self.judge == "vgg" else 1 << halvings)
        least = math.ceil((1 << halvings if self.judge == "vgg" else 2 << halvings) / step) * step
        if self.size < least or self.size % step:
            raise ConfigError(
                f"network.size: must be a multiple of {step} from {least} on, not {self.size}.",
                f"It is the side of the large crops, which the discriminator halves {halvings} times.",
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that are made in training."""
        return (self.size, self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that are enlarged in training."""
        return (self.size // self.scale, self.size // self.scale, self.channels)

    @property
    def reach(self) -> int:
        """Pixels around a tile that its result depends on, or for `rrdb` that it depends on by more than a level."""
        return reach(self.kind, self.scale, self.blocks)


@dataclass(frozen=True)
class RankConfig:
    """The ranker of RankSRGAN, a stage of its own before the second: the section `game.rank`.

    Attributes:
        weight: of what it says of generated images, in the generator's loss; 0: there is no ranker.
        kimg: thousand large crops, and as many ranked pairs, by which it learns.
        margin: by which its scores are to differ.
        least: share of pairs kept from its training that it must order rightly, or the second stage does not begin; 0:
            it begins whatever the networks have learned.
    """

    weight: float = 0.0
    kimg: float = 6400.0
    margin: float = 0.5
    least: float = 0.9

    def __post_init__(self) -> None:
        if self.weight < 0 or min(self.kimg, self.margin) <= 0 or not 0 <= self.least <= 1:
            raise ConfigError("game.rank: weight must not be negative, kimg and margin above 0, least in [0, 1].")


@dataclass(frozen=True)
class SRGANGame:
    """Lengths and losses of the two stages.

    Attributes:
        pretrain_kimg: thousand large crops shown in the first stage; 0: it is left out.
        judge_kimg: thousand large crops by which the discriminator learns alone before the generator answers it (the
            `net_d_init_iters` of BasicSR); one that knows nothing yet is fooled by noise, and then learns no more.
        gan: whether there is a second stage; false trains SRResNet.
        content: the first stage's loss of pixels, and that of the second.
        sharpen: whether the losses of pixels and of features compare with the images sharpened, while the discriminator
            sees them as they are (Real-ESRGAN).
        pixel: weight of the loss of pixels in the second stage.
        variation: weight of total variation there.
        adversarial: weight of the generator's adversarial loss there.
        loss: adversarial loss.
        perceptual: the loss of features there.
        rank: the loss of a ranker there, and its own stage.
    """

    pretrain_kimg: float = 16000.0
    judge_kimg: float = 0.0
    gan: bool = True
    content: Literal["l1", "l2", "charbonnier"] = "l2"
    sharpen: bool = False
    pixel: float = 0.0
    variation: float = 0.0
    adversarial: float = 0.001
    loss: LossConfig = field(default_factory=LossConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    rank: RankConfig = field(default_factory=RankConfig)

    def prepare(self, networks: Networks) -> dict[str, nn.Module]:
        """Nothing further; ConfigError: a ranker is asked for and not there, or there and not asked for."""
        if (self.rank.weight > 0) != ("ranker" in networks):
            raise ConfigError(
                "game.rank.weight above 0 and network.ranker above 0 go together.",
                "Set both, as the recipe ranksrgan-x4 does, or both to 0.",
            )
        return {}

    def __post_init__(self) -> None:
        if min(self.pretrain_kimg, self.judge_kimg, self.pixel, self.variation, self.adversarial) < 0:
            raise ConfigError("game: pretrain_kimg, judge_kimg, pixel, variation and adversarial must not be negative.")
        check_ties(self)


def build(config: SRGANConfig) -> dict[str, nn.Module]:
    """Generator, discriminator, and `content`, which is all zero until the first stage is over."""

    def generator() -> nn.Module:
        growth = {"growth": config.growth} if config.kind == "rrdb" else {}
        return ENLARGERS[config.kind](config.channels, config.scale, config.width, config.blocks, **growth)

    def discriminator() -> nn.Module:
        width, hidden = config.judge_width, config.judge_hidden
        if config.judge == "unet":
            return UNetJudge(config.channels, width)
        if config.judge == "vgg":
            return VGGJudge(config.channels, config.size, width, hidden, config.judge_halvings)
        return Judge(config.channels, config.size, width, hidden)

    content = generator()
    for value in (*content.parameters(), *content.buffers()):
        value.data.zero_()
    judge = discriminator()
    networks = {"generator": generator(), "discriminator": judge, "content": content}
    return networks | ({"ranker": Ranker(config.channels, config.ranker)} if config.ranker else {})


def frozen(config: SRGANConfig, game: SRGANGame, pretrained: bool) -> dict[str, nn.Module]:
    """The network of the perceptual loss, where the second stage has one."""
    return features(config.channels, game, pretrained)


def stages(config: SRGANConfig, game: SRGANGame) -> tuple[Stage, ...]:
    """The stages `pretrain`, `rank`, `judge` and `gan`, without those of no length.

    Logged: `pixel`; in the last `loss_g` and its terms, `loss_d`, and `games.scores`; in `rank` `loss_r` and the share
    of pairs that are ordered rightly, `ranker_accuracy`.
    """
    difference = DIFFERENCES[game.content]

    def wanted(batch: Batch) -> Tensor:
        return sharpened(batch.images) if game.sharpen else batch.images

    def content(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        value = difference(networks["generator"](batch.inputs), wanted(batch))
        return Out(value, {"pixel": value.detach()})

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        images, target = networks["generator"](batch.inputs), wanted(batch)
        terms = ties(networks, batch, images, target, game, difference)
        if game.variation > 0:
            terms["variation"] = game.variation * total_variation(images)
        if game.rank.weight > 0:
            terms["rank"] = game.rank.weight * ranked(networks["ranker"].judge(images))  # type: ignore[operator]
        return Out(*summed(terms))

    def ranker(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        # As one batch: normalised apart, better and worse images would lose what tells them apart.
        both = networks["ranker"](torch.cat((batch.extras["better"], batch.extras["worse"])))
        better, worse = both.chunk(2)
        value = margin_ranking(better, worse, game.rank.margin)
        right = (worse > better).float().mean()
        return Out(value, {"loss_r": value.detach(), "ranker_accuracy": right.detach()})

    needs: tuple[Role, ...] = ("images", "inputs")
    ranking = Stage("rank", (Phase("ranker", ("ranker",), ranker),), needs=(*needs, "better", "worse"))
    first = Stage("pretrain", (Phase("content", ("generator",), content),), needs=needs)
    judge = judge_phase(game)
    last = Stage(
        "gan",
        (Phase("generator", ("generator",), generator), judge),
        needs=needs,
        fresh=("generator",),
        copies={"content": "generator"},
    )
    if not game.gan:
        return (first,)
    if game.rank.weight > 0:
        gate = None if game.rank.least == 0 else lambda networks, batch: unready(networks, batch, game.rank)
        last = replace(last, needs=ranking.needs, gate=gate)
    before = (
        (first, game.pretrain_kimg),
        (ranking, game.rank.kimg if game.rank.weight > 0 else 0.0),
        (Stage("judge", (judge,), needs=needs), game.judge_kimg),
    )
    return (*(replace(stage, nimg=round(1000 * kimg)) for stage, kimg in before if kimg), last)


@torch.no_grad()
def unready(networks: Networks, batch: Batch, rank: RankConfig) -> str | None:
    """Why the last stage must not begin on what a ranker says, or None; `batch` has pairs kept from its training."""
    ranker = networks["ranker"]
    better, worse = (ranker.judge(batch.extras[name]) for name in ("better", "worse"))  # type: ignore[operator]
    right = float((worse > better).float().mean())
    if right < rank.least:
        return (
            f"its ranker orders {100 * right:.0f} % of {len(better)} pairs that it has not seen rightly, "
            f"{100 * rank.least:.0f} % are asked for. Train it longer (game.rank.kimg), prepare more pairs "
            "(gantools prep ranked), or ask for less (game.rank.least)."
        )
    generator = networks["generator"]
    training = generator.training
    found = generator.eval()(batch.inputs)
    generator.train(training)
    assert batch.inputs is not None
    plain = F.interpolate(batch.inputs, size=batch.images.shape[-2:], mode="bilinear", align_corners=False)
    if float(l1(found, batch.images)) >= float(l1(plain, batch.images)):
        return (
            "its generator is farther from the images than bilinear interpolation. Begin with a trained one "
            "(--init-from RUN), or set game.pretrain_kimg above 0."
        )
    return None


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Enlarged images by the generator, or by weights between those of both stages.

    (1 - α) θ_content + α θ_generator for every weight and buffer, α the control `interpolation`. Source: Wang et al.
    2018 (arXiv:1809.00219), equation 5.
    """
    alpha = controls.get("interpolation", 1.0)
    generator, content = networks["generator"], networks["content"]
    if alpha == 1.0:
        images: Tensor = generator(start)
        return images
    # Where a graph is traced of it, it has been called before, and weights have no values to look at.
    if not torch.compiler.is_exporting() and not any(bool(value.any()) for value in content.parameters()):
        raise ConfigError(
            "interpolation: this checkpoint has nothing to interpolate with, its first stage is not over.",
            "Leave interpolation at 1, or take a checkpoint of the stage gan.",
        )
    if alpha == 0.0:
        images = content(start)
        return images
    before = content.state_dict()
    blend: dict[str, Any] = {
        name: torch.lerp(before[name], value, alpha) if value.is_floating_point() else value
        for name, value in generator.state_dict().items()
    }
    images = torch.func.functional_call(generator, blend, (start,))
    return images


SYSTEM = System(
    SRGANConfig,
    SRGANGame,
    build,
    stages,
    takes="images",
    shows=("generator", "content"),
    render=render,
    frozen=frozen,
    controls=(
        Control(
            "interpolation", 0.0, 1.0, 1.0, "0 gives the faithful images of the first stage, 1 the sharp ones of GAN."
        ),
    ),
    reference="Ledig et al. 2017, arXiv:1609.04802",
)
