"""pix2pix: images from images, learned from pairs (Isola et al. 2017, arXiv:1611.07004).

A U-Net makes the target of an input, near it by L1; a judge sees an input beside its target, or beside what the
generator made of it, and tells them apart patch by patch. What the task is, the pairs say: colours for grey images,
photographs for edges, the inside of a hole, what is under the noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.init import normal_networks
from gantools.layers.patch import PatchDiscriminator, PixelDiscriminator
from gantools.layers.unet import UNet, UNetNorm, reach
from gantools.models.games import scores, summed
from gantools.models.system import Batch, Control, Networks, Out, Phase, Scalars, Stage, System
from gantools.objectives.losses import LossConfig


@dataclass(frozen=True)
class Pix2PixConfig:
    """Shape of the two networks.

    Attributes:
        size: side of the images in training; afterwards any multiple of 2**downs is taken.
        channels: of the images that are made.
        input_channels: of those that they are made from; follows the data.
        width: channels of the generator next to the image.
        downs: how often it halves the sides: 8 for 256 px, 7 for 128, 6 for 64, to a map of one pixel.
        norm: normalisation in both networks.
        norm_eval: after training `batch` takes each image as a batch of one, as in training with a batch of 1;
            `running` the statistics of the training.
        dropout: share of the features that the middle of the generator drops, in training and after it; 0: none.
        judge: `patch`, or `pixel` for a judge that sees single pixels.
        judge_width: channels of the judge next to the image.
        judge_halvings: of the judge of patches, which see 16, 34, 70 px with 1, 2, 3.
        hole: the level (0 to 255, in all channels of the input) that marks what is missing; the generator is told as a
            further channel, and everything else is handed through as it is. null: nothing is missing.
    """

    size: int = 256
    channels: int = 3
    input_channels: int = 3
    width: int = 64
    downs: int = 8
    norm: UNetNorm = "batch"
    norm_eval: Literal["batch", "running"] = "batch"
    dropout: float = 0.5
    judge: Literal["patch", "pixel"] = "patch"
    judge_width: int = 64
    judge_halvings: int = 3
    hole: int | None = None

    def __post_init__(self) -> None:
        if min(self.size, self.channels, self.input_channels, self.width, self.judge_width) < 1:
            raise ConfigError("network: size, channels, input_channels, width and judge_width must be at least 1.")
        if self.downs < 2 or self.size % self.multiple:
            most = (self.size & -self.size).bit_length() - 1
            raise ConfigError(
                f"network.downs: {self.downs} halvings take sides that are multiples of {self.multiple}, "
                f"not {self.size}.",
                f"Set network.downs={most}." if most >= 2 else "Prepare images of 64, 128 or 256 px.",
            )
        if self.norm_eval == "running" and self.norm != "batch":
            raise ConfigError(
                f"network.norm_eval: running statistics are those of batch normalisation, not of {self.norm}.",
                "Set network.norm=batch, or network.norm_eval=batch.",
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"network.dropout: must be in [0, 1), not {self.dropout}.")
        if self.judge == "patch" and (self.judge_halvings < 1 or (self.size >> self.judge_halvings) < 3):
            raise ConfigError(
                f"network.judge_halvings: {self.judge_halvings} leaves nothing of {self.size} px to judge.",
                f"Choose 1 to {max(1, (self.size // 3).bit_length() - 1)}, or network.judge=pixel.",
            )
        if self.hole is not None and not 0 <= self.hole <= 255:
            raise ConfigError(f"network.hole: must be a level from 0 to 255, or null, not {self.hole}.")
        if self.hole is not None and self.input_channels != self.channels:
            raise ConfigError(
                f"network.hole: images of {self.channels} channel(s) cannot take over what is whole in inputs of "
                f"{self.input_channels}.",
                "Make the pairs by gantools prep pairs --operation hole, or set network.hole=null.",
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that are made."""
        return (self.size, self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that they are made from."""
        return (self.size, self.size, self.input_channels)

    @property
    def multiple(self) -> int:
        """What the sides of an image have to be multiples of."""
        return 1 << self.downs

    @property
    def least(self) -> int:
        """The smallest side of an image."""
        return self.multiple

    @property
    def pads(self) -> bool:
        """Whether sides are continued to a multiple unasked: by up to 255 pixels, which the whole image shows."""
        return False

    @property
    def reach(self) -> int | None:
        """Pixels around a tile that its result depends on; None: each image's own statistics depend on all of it."""
        alone = self.norm == "instance" or (self.norm == "batch" and self.norm_eval == "batch")
        return None if alone else reach(self.downs)


@dataclass(frozen=True)
class Pix2PixGame:
    """Weights of both losses.

    Attributes:
        loss: adversarial loss of every patch.
        adversarial: weight of the generator's adversarial term; 0: no judge, the generator learns by pixels alone.
        pixel: weight of the L1 of pixels.
        judge: weight of the judge's loss; the authors halve it, to slow the judge down.
        hole: how much more a pixel of a hole weighs in the L1 than one that is given (`network.hole`).
    """

    loss: LossConfig = field(default_factory=LossConfig)
    adversarial: float = 1.0
    pixel: float = 100.0
    judge: float = 0.5
    hole: float = 6.0

    def __post_init__(self) -> None:
        if min(self.adversarial, self.pixel, self.hole) < 0:
            raise ConfigError("game: adversarial, pixel and hole must not be negative.")
        if self.adversarial == self.pixel == 0:
            raise ConfigError(
                "game: the generator has neither an adversarial loss nor one of pixels.",
                "Set game.adversarial or game.pixel above 0.",
            )
        if self.judge <= 0:
            raise ConfigError(f"game.judge: must be above 0, not {self.judge}.", "Without a judge: game.adversarial=0.")


class Generator(nn.Module):
    """A U-Net that is told where a hole is, and hands through what is whole."""

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.hole = config.hole
        self.network = UNet(
            config.input_channels + (config.hole is not None),
            config.channels,
            config.width,
            config.downs,
            config.norm,
            running=config.norm_eval == "running",
            rate=config.dropout,
        )

    def missing(self, x: Tensor) -> Tensor | None:
        """1 where all channels of a pixel of `x` have the level of a hole, else 0: float (n, 1, h, w); or None."""
        if self.hole is None:
            return None
        # A quarter of a level: whatever way a level became a float.
        return ((x - (self.hole / 127.5 - 1)).abs() < 0.25 / 127.5).all(1, keepdim=True).to(x.dtype)

    def forward(self, x: Tensor, masks: list[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """(what the U-Net makes, the same with `x` where nothing is missing, where something is) of inputs `x`.

        `masks` are those of its dropout; an empty list: nothing is dropped.
        """
        missing = self.missing(x)
        made: Tensor = self.network(x if missing is None else torch.cat((x, missing), 1), masks)
        return made, made if missing is None else torch.where(missing > 0, made, x.to(made.dtype)), missing


def weighted_l1(x: Tensor, y: Tensor, missing: Tensor | None, weight: float) -> Tensor:
    """E[w |x - y|], w being `weight` where `missing` is 1 and 1 elsewhere; without `missing` the L1.

    Source: Isola et al. 2017 (arXiv:1611.07004), equation 3; 6 for holes: Liu et al. 2018 (arXiv:1804.07723),
    equation 7.

    Args:
        x, y: images float (n, c, h, w).
        missing: float (n, 1, h, w), or None.
        weight: of what is missing.
    """
    apart = (x.float() - y.float()).abs()
    return (apart if missing is None else apart * (1 + (weight - 1) * missing.float())).mean()


def build(config: Pix2PixConfig) -> dict[str, nn.Module]:
    """Generator and judge; weights N(0, 0.02) from torch's random state."""
    both = config.input_channels + config.channels
    judge: nn.Module
    if config.judge == "pixel":
        judge = PixelDiscriminator(both, config.judge_width, config.norm)
    else:
        judge = PatchDiscriminator(both, config.judge_width, config.judge_halvings, config.norm)
    return normal_networks(generator=Generator(config), discriminator=judge)


def stages(config: Pix2PixConfig, game: Pix2PixGame) -> tuple[Stage, ...]:
    """One stage: the judge, then the generator; without an adversarial term the generator alone.

    Logged: `loss_g` and its terms `gan` and `pixel`; `loss_d` and `games.scores` of the judge.
    """

    def made_of(networks: Networks, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        generator, inputs = networks["generator"], batch.inputs
        assert isinstance(generator, Generator) and inputs is not None
        shapes = generator.network.mask_shapes(config.size, config.size)
        return generator(inputs, generator.network.masks_of([batch.uniform(*shape) for shape in shapes]))  # type: ignore[no-any-return]

    def judged(networks: Networks, batch: Batch, images: Tensor) -> Tensor:
        assert batch.inputs is not None
        outputs: Tensor = networks["discriminator"](torch.cat((batch.inputs, images.to(batch.inputs.dtype)), 1))
        return outputs

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        with torch.no_grad():
            _, images, _ = made_of(networks, batch)
        real_outputs, fake_outputs = judged(networks, batch, batch.images), judged(networks, batch, images)
        value = game.judge * game.loss.discriminator(real_outputs, fake_outputs)
        return Out(value, {"loss_d": value.detach(), **scores(game.loss, real_outputs, fake_outputs)})

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        made, images, missing = made_of(networks, batch)
        terms: dict[str, Tensor] = {}
        if game.adversarial > 0:
            real_outputs = judged(networks, batch, batch.images) if game.loss.loss.pairs else None
            terms["gan"] = game.adversarial * game.loss.generator(judged(networks, batch, images), real_outputs)
        if game.pixel > 0:
            terms["pixel"] = game.pixel * weighted_l1(made, batch.images, missing, game.hole)
        return Out(*summed(terms))

    judge = (Phase("discriminator", ("discriminator",), discriminator),) if game.adversarial > 0 else ()
    phases = (*judge, Phase("generator", ("generator",), generator))
    return (Stage("all", phases, needs=("images", "inputs")),)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images by the generator, dropout being on as in training and fixed by the control `seed`.

    An image's result is a function of the weights, the controls and itself. Source: Isola et al. 2017
    (arXiv:1611.07004), section 3.4, where dropout is what chance there is.
    """
    generator = networks["generator"]
    assert isinstance(generator, Generator)
    on = controls.get("dropout", 1.0) >= 0.5
    masks = generator.network.fixed_masks(start, int(controls.get("seed", 0.0))) if on else []
    _, images, _ = generator(start, masks)
    return images  # type: ignore[no-any-return]


SYSTEM = System(
    Pix2PixConfig,
    Pix2PixGame,
    build,
    stages,
    takes="images",
    render=render,
    controls=(
        Control("dropout", 0.0, 1.0, 1.0, "0 drops no features: softer, and steady from frame to frame."),
        Control("seed", 0.0, 1_000_000.0, 0.0, "Which features are dropped: another number, another result."),
    ),
    reference="Isola et al. 2017, arXiv:1611.07004",
)
