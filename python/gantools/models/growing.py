"""What systems share whose networks grow from 4x4 pixels: their shape, their game, their stages.

Level i has 4 · 2ⁱ pixels a side. Each is a stage of the training in which the new layers fade in, then one in which
they count fully; the networks have the layers of all levels from the start. The feed gives images of the last size;
the phases shrink them by averaging, and show them with the same fade.

Source: Karras et al. 2018 (arXiv:1710.10196), section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from gantools.errors import ConfigError, check_least
from gantools.layers.growing import shrunk
from gantools.layers.sizes import tapered_widths
from gantools.models.games import discriminator_loss, with_penalties
from gantools.models.system import Batch, Networks, Out, Phase, Scalars, Seen, Stage
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties

Draw = Callable[[Networks, Batch, int, Tensor], tuple[Tensor, Mapping[str, Tensor]]]
"""(networks, batch, level, alpha) -> generated images of that level, and means for `remember`."""


@dataclass(frozen=True)
class GrowingConfig:
    """Shape of both networks at the last level; a system adds to it.

    Attributes:
        size: side of the last images: 4 doubled at least once.
        latent: numbers that an image is made of.
        base: level i has `base / 2^(i + 1)` channels, but at most `widest`.
        group: rows of the minibatch deviation.
    """

    size: int = 1024
    channels: int = 3
    latent: int = 512
    base: int = 8192
    widest: int = 512
    group: int = 4

    def __post_init__(self) -> None:
        check_least("network", self, "channels", "latent", "widest", "group")
        if self.size < 8 or self.size & (self.size - 1):
            raise ConfigError(
                f"network.size: {self.size} is not 4 doubled at least once.",
                "Sizes that work: 8, 16, 32, 64, 128, 256.",
            )
        if self.base >> self.levels < 1:
            raise ConfigError(f"network.base: {self.base} leaves no channels at {self.size}x{self.size}.")

    @property
    def levels(self) -> int:
        """How many levels there are: 5 for 64x64."""
        return self.size.bit_length() - 2

    @property
    def widths(self) -> list[int]:
        """Channels of each level, from 4x4 on."""
        return tapered_widths([4 << i for i in range(self.levels)], 2 * self.base, self.widest)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images of the last level."""
        return (self.size, self.size, self.channels)


@dataclass(frozen=True, kw_only=True)
class GrowingGame:
    """A recipe's section `game`; a system adds to it, and says which loss and penalties are its own.

    Attributes:
        loss: which adversarial loss, and its options.
        penalties: of the discriminator, by name; at every step.
        fade_kimg: thousands of images while a level fades in.
        stable_kimg: thousands of images on the first level, and on each other one after its fade; the last stays to the
            end.
        batches: images a step, from the 4x4 level on; the last one is also that of the levels behind it. Empty: the
            recipe's.
        start: the level that training begins with, 0 for 4x4.
    """

    loss: LossConfig
    penalties: Penalties
    fade_kimg: float = 600.0
    stable_kimg: float = 600.0
    batches: tuple[int, ...] = ()
    start: int = 0

    def __post_init__(self) -> None:
        if self.fade_kimg <= 0 or self.stable_kimg <= 0:
            raise ConfigError("game: fade_kimg and stable_kimg must be above 0.")
        if any(batch < 1 for batch in self.batches):
            raise ConfigError(f"game.batches: must be at least 1 each, not {list(self.batches)}.")
        self.penalties.refuse_lazy()
        check_least("game", self, "start", least=0)


def growing_phases(
    game: GrowingGame, level: int, draw: Draw, remember: Callable[[Networks, Seen], None] | None = None
) -> tuple[Phase, Phase]:
    """A step at a level: the discriminator's, then the generator's against fresh latents."""

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        alpha = scalars["alpha"]
        real = shrunk(batch.images, level, alpha)
        with torch.no_grad():
            fake, _ = draw(networks, batch, level, alpha)

        def judge(x: Tensor) -> Tensor:
            out: Tensor = networks["discriminator"](x, level, alpha)
            return out

        # Two passes: a group of the minibatch deviation must not mix real and generated images.
        value, means = discriminator_loss(game.loss, judge(real), judge(fake))
        return with_penalties(Out(value, means), game.penalties, lambda penalty: penalty(judge, real, fake, batch))

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        alpha, judge = scalars["alpha"], networks["discriminator"]
        fake, means = draw(networks, batch, level, alpha)
        outputs = judge(fake, level, alpha)
        real = judge(shrunk(batch.images, level, alpha), level, alpha) if game.loss.loss.pairs else None
        value = game.loss.generator(outputs, real)
        return Out(value, {"loss_g": value.detach(), "alpha": alpha.detach(), **means})

    def grown(networks: Networks, seen: Seen) -> None:
        # The level that training has reached: what images are shown at.
        generator = networks["generator"]
        cast(Tensor, generator.level).fill_(level)
        cast(Tensor, generator.alpha).copy_(seen.means["alpha"])
        if remember is not None:
            remember(networks, seen)

    return (
        Phase("discriminator", ("discriminator",), discriminator, uncoupled=("discriminator",)),
        Phase("generator", ("generator",), generator, after=grown),
    )


def growing_stages(
    config: GrowingConfig,
    game: GrowingGame,
    draw: Draw,
    remember: Callable[[Networks, Seen], None] | None = None,
) -> tuple[Stage, ...]:
    """The first level, then for each further one its fade and a stretch without; optimizers begin anew with a level.

    Args:
        config: says how many levels there are.
        game: says how long each stage is.
        draw: makes the images of a step.
        remember: called after the generator's step.
    """
    if game.start >= config.levels:
        raise ConfigError(f"game.start: {config.size}x{config.size} has the levels 0 to {config.levels - 1}.")
    both = ("generator", "discriminator")
    fade, stable = round(game.fade_kimg * 1000), round(game.stable_kimg * 1000)
    found = []
    for level in range(game.start, config.levels):
        side, batch = 4 << level, game.batches[min(level, len(game.batches) - 1)] if game.batches else None
        turns = growing_phases(game, level, draw, remember)
        if level > game.start:
            scalars = {"alpha": partial(rising, fade)}
            found.append(Stage(f"{side}x{side} fade", turns, fade, batch, fresh=both, scalars=scalars))
        length = None if level == config.levels - 1 else stable
        found.append(Stage(f"{side}x{side}", turns, length, batch, scalars={"alpha": _one}))
    return tuple(found)


def rising(nimg: int, shown: int) -> float:
    """From 0 to 1 over `nimg` images, once `shown` of them have been."""
    return min(1.0, shown / nimg)


def _one(shown: int) -> float:
    return 1.0
