"""R3GAN: a relativistic loss with R1 and R2 at every step, on plain residual networks (arXiv:2501.05441).

No normalisation, no minibatch statistics, no style: the penalties make the loss converge, so that nothing else has to.
Maps of 4, 5, 6 or 7 pixels are doubled up to the image; the authors' have 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gantools.augment import ada
from gantools.errors import ConfigError
from gantools.layers.grouped import GroupedBlock, convolution, fan_scaled
from gantools.layers.labels import required
from gantools.layers.precision import wide
from gantools.layers.resample import Resample
from gantools.layers.sizes import SquareConfig, tapered_widths
from gantools.models.games import call, discriminator_loss, draw_labels, draw_latents, roles
from gantools.models.system import Batch, Networks, Out, Phase, Scalars, Stage, System
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import outputs_and_gradients, zero_centred
from gantools.schedules import Schedule, value_at, values_of


@dataclass(frozen=True)
class R3GANConfig(SquareConfig):
    """Shape of the networks.

    Attributes:
        size, channels: of the images.
        classes: how many the networks are told apart; 0: none.
        latent: length of z.
        width: channels of a map times its side, up to `max_width` channels.
        max_width: of any map.
        expansion: times as many channels within a block.
        group: of these, how many make a group of its 3x3 convolution.
        blocks: residual blocks at each resolution.
    """

    size: int = 32
    channels: int = 3
    classes: int = 0
    latent: int = 64
    width: int = 24576
    max_width: int = 768
    expansion: int = 2
    group: int = 16
    blocks: int = 2

    def __post_init__(self) -> None:
        self.check("channels", "latent", "width", "max_width", "expansion", "group", "blocks")
        self.check("classes", least=0)
        for side, channels in zip(self.sizes, self.widths, strict=True):
            if channels < 1 or channels * self.expansion % self.group:
                raise ConfigError(
                    f"network.width: {channels} channels of {side}x{side} pixels, expanded by {self.expansion}, are no "
                    f"groups of {self.group}.",
                    "Choose a width that is a multiple of the image's side times group / expansion.",
                )

    @property
    def widths(self) -> list[int]:
        """Channels of each, from the smallest map to the image's."""
        return tapered_widths(self.sizes, self.width, self.max_width)


@dataclass(frozen=True)
class R3GANGame:
    """A recipe's section `game`.

    Attributes:
        loss: the adversarial loss.
        gamma: γ of the penalties γ/2 E‖∇D(x)‖² and γ/2 E‖∇D(G(z))‖², a number or a schedule.
        augment_p: strength of the augmentation (blitting, geometry, colour) that the discriminator sees all images
            through, a number or a schedule.
        labels: classes of generated images: those of the batch's real images, which they are paired with, or each as
            often as any other.
    """

    loss: LossConfig = field(default_factory=partial(LossConfig, "relativistic"))
    gamma: float | Schedule = 0.05
    augment_p: float | Schedule = 0.0
    labels: Literal["uniform", "data"] = "data"

    def __post_init__(self) -> None:
        if min(values_of(self.gamma)) < 0:
            raise ConfigError(f"game.gamma: must be at least 0, not {min(values_of(self.gamma))}.")
        if not 0 <= min(values_of(self.augment_p)) <= max(values_of(self.augment_p)) <= 1:
            raise ConfigError("game.augment_p: must be in [0, 1].")


class R3GANGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, size, size), nearly all of them in [-1, 1].

    The smallest map is a learned one, each channel of it scaled by a linear function of the latent (and of the class).
    """

    def __init__(self, config: R3GANConfig) -> None:
        super().__init__()
        self.latent = config.latent
        widths, base = config.widths, config.sizes[0]
        blocks = config.blocks * len(widths)
        self.embed = embedding(config.classes, config.latent) if config.classes else None
        self.basis = nn.Parameter(torch.randn(widths[0], base, base))
        inputs = config.latent * (2 if config.classes else 1)
        self.dense = fan_scaled(nn.Linear(inputs, widths[0], bias=False))
        self.stages = nn.ModuleList(stage(config, width, blocks) for width in widths)
        self.turns = nn.ModuleList(turn(before, after) for before, after in pairwise(widths))
        self.resample = Resample()
        self.out = convolution(widths[-1], config.channels)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents `z`, and of classes int64 (n,)."""
        x = z if self.embed is None else torch.cat([z, embedded(self.embed, labels)], 1)
        x = self.basis * self.dense(x)[:, :, None, None]
        x = self.stages[0](x)
        for change, blocks in zip(self.turns, self.stages[1:], strict=True):
            x = blocks(self.resample.up(change(x)))
        return wide(self.out(x))


class R3GANDiscriminator(nn.Module):
    """Images float (n, channels, size, size) -> float (n,); with classes, int64 (n,), a projection on them."""

    def __init__(self, config: R3GANConfig) -> None:
        super().__init__()
        widths, base = config.widths[::-1], config.sizes[0]
        blocks, last = config.blocks * len(widths), widths[-1]
        self.stem = convolution(config.channels, widths[0])
        self.stages = nn.ModuleList(stage(config, width, blocks) for width in widths)
        self.turns = nn.ModuleList(turn(before, after) for before, after in pairwise(widths))
        self.resample = Resample()
        # One filter of the whole map for each channel.
        self.basis = fan_scaled(nn.Conv2d(last, last, base, groups=last, bias=False))
        self.dense = fan_scaled(nn.Linear(last, last if config.classes else 1, bias=False))
        self.embed = embedding(config.classes, last, 1 / math.sqrt(last)) if config.classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Outputs for images `x`; the more, the more real."""
        x = self.stages[0](self.stem(x))
        for change, blocks in zip(self.turns, self.stages[1:], strict=True):
            x = blocks(change(self.resample.down(x)))
        x = self.dense(self.basis(x).flatten(1))
        return x[:, 0] if self.embed is None else (x * embedded(self.embed, labels)).sum(1)


def stage(config: R3GANConfig, width: int, blocks: int) -> nn.Sequential:
    """The blocks at one resolution."""
    return nn.Sequential(*(GroupedBlock(width, config.expansion, config.group, blocks) for _ in range(config.blocks)))


def turn(before: int, after: int) -> nn.Module:
    """What changes the number of channels beside a resampling, where it changes."""
    return nn.Identity() if before == after else convolution(before, after)


def embedding(classes: int, width: int, gain: float = 1.0) -> nn.Linear:
    """A vector a class, as a matrix whose columns they are: N(0, gain² / classes), as the authors' code has it."""
    return fan_scaled(nn.Linear(classes, width, bias=False), gain)


def embedded(embed: nn.Linear, labels: Tensor | None) -> Tensor:
    """The vectors of classes int64 (n,), float (n, width)."""
    return embed.weight.t()[required(labels)]


def build(config: R3GANConfig) -> dict[str, nn.Module]:
    """Both networks and the augmentation, initialised from torch's random state."""
    return {
        "generator": R3GANGenerator(config),
        "discriminator": R3GANDiscriminator(config),
        "augment": ada.Ada(),
    }


def stages(config: R3GANConfig, game: R3GANGame) -> tuple[Stage, ...]:
    """One stage: the discriminator's step with both penalties, then the generator's against the same real images."""
    classes, augmented = config.classes, max(values_of(game.augment_p)) > 0

    def judge(networks: Networks, batch: Batch, scalars: Scalars, labels: Tensor | None) -> Callable[[Tensor], Tensor]:
        """The discriminator as a function of images, told their classes, through an augmentation drawn once."""
        if not augmented:
            return lambda x: call(networks["discriminator"], x, labels)
        uniform, normal, p = batch.uniform(ada.UNIFORMS), batch.normal(ada.NORMALS), scalars["augment_p"]
        return lambda x: call(networks["discriminator"], networks["augment"](x, uniform, normal, p), labels)

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch, game.labels)
        with torch.no_grad():
            fake = call(networks["generator"], draw_latents(networks, batch), labels)
        # Its outputs and their gradients by the images as they are, before any augmentation, in one pass for each.
        with torch.autocast(batch.images.device.type, enabled=False):
            of_real = judge(networks, batch, scalars, draw_labels(classes, batch, "data"))
            of_fake = judge(networks, batch, scalars, labels)
            real_outputs, real_slopes = outputs_and_gradients(of_real, batch.images)
            fake_outputs, fake_slopes = outputs_and_gradients(of_fake, fake)
        loss, means = discriminator_loss(game.loss, real_outputs, fake_outputs)
        r1, r2 = zero_centred(real_slopes), zero_centred(fake_slopes)
        means |= {"r1": r1.detach(), "r2": r2.detach(), "gamma": scalars["gamma"].clone()}
        if augmented:
            means["augment_p"] = scalars["augment_p"].clone()
        return Out(loss + scalars["gamma"] * (r1 + r2), means)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch, game.labels)
        fake = call(networks["generator"], draw_latents(networks, batch), labels)
        outputs = judge(networks, batch, scalars, labels)(fake)
        real = None
        if game.loss.loss.pairs:
            real = judge(networks, batch, scalars, draw_labels(classes, batch, "data"))(batch.images)
        value = game.loss.generator(outputs, real)
        return Out(value, {"loss_g": value.detach()})

    scheduled = {"gamma": game.gamma, "augment_p": game.augment_p}
    return (
        Stage(
            "all",
            (
                Phase("discriminator", ("discriminator",), discriminator, uncoupled=("discriminator",)),
                Phase("generator", ("generator",), generator),
            ),
            needs=roles(classes),
            scalars={name: partial(value_at, value) for name, value in scheduled.items()},
        ),
    )


SYSTEM = System(
    R3GANConfig,
    R3GANGame,
    build,
    stages,
    reference="Huang et al. 2024, arXiv:2501.05441; brownvc/R3GAN",
)
