"""ProGAN: both networks grow from 4x4 pixels, a doubling at a time (Karras et al. 2018, arXiv:1710.10196).

Level i has 4 · 2ⁱ pixels a side. Each is a stage of the training in which the new layers fade in, then one in which
they count fully; the networks have the layers of all levels from the start. The feed gives images of the last size;
the phases shrink them by averaging, and show them with the same fade.

Defaults are the paper's for 1024x1024 (table 2): 512 channels up to 32x32, then half as many with every doubling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.equalised import EqualisedConv2d, EqualisedLinear, pixel_norm
from gantools.layers.minibatch import MinibatchDeviation
from gantools.layers.residual import convolve_then_halve, double_then_convolve, doubled
from gantools.models.games import draw_latents, scores
from gantools.models.system import Batch, Networks, Out, Phase, Scalars, Seen, Stage, System
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties

GAIN = math.sqrt(2)


@dataclass(frozen=True)
class ProGANConfig:
    """Shape of both networks at the last level.

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
        if min(self.channels, self.latent, self.widest, self.group) < 1:
            raise ConfigError("network: channels, latent, widest and group must be at least 1.")
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
        return [min(self.base >> (i + 1), self.widest) for i in range(self.levels)]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images of the last level."""
        return (self.size, self.size, self.channels)


@dataclass(frozen=True)
class ProGANGame:
    """A recipe's section `game`.

    Attributes:
        loss: which adversarial loss, and its options.
        penalties: of the discriminator, by name; at every step.
        fade_kimg: thousands of images while a level fades in.
        stable_kimg: thousands of images on the first level, and on each other one after its fade; the last stays to the
            end.
        batches: images a step, from the first level on; the last one is also that of the levels behind it. Empty: the
            recipe's.
        start: the level that training begins with, 0 for 4x4.
    """

    loss: LossConfig = field(default_factory=partial(LossConfig, "wasserstein"))
    penalties: Penalties = field(default_factory=partial(Penalties.from_plain, {"gradient": {}, "drift": {}}))
    fade_kimg: float = 600.0
    stable_kimg: float = 600.0
    batches: tuple[int, ...] = ()
    start: int = 0

    def __post_init__(self) -> None:
        if self.fade_kimg <= 0 or self.stable_kimg <= 0:
            raise ConfigError("game: fade_kimg and stable_kimg must be above 0.")
        if any(batch < 1 for batch in self.batches):
            raise ConfigError(f"game.batches: must be at least 1 each, not {list(self.batches)}.")
        if self.penalties.lazy:
            raise ConfigError(
                f"game.penalties.{self.penalties.lazy[0].name}.every: here penalties are computed at every step.",
                "Leave `every` out.",
            )
        if self.start < 0:
            raise ConfigError(f"game.start: must be at least 0, not {self.start}.")


class DoublingConv2d(EqualisedConv2d):
    """Every pixel as 2x2, then the convolution: (n, c, h, w) -> (n, outputs, 2h, 2w)."""

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of doubled `x`."""
        return double_then_convolve(x, self.weight * self.scale, self.bias)


class HalvingConv2d(EqualisedConv2d):
    """The convolution, then the mean of every 2x2 pixels: (n, c, h, w) -> (n, outputs, h/2, w/2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Half the convolution of `x`."""
        return convolve_then_halve(x, self.weight * self.scale, self.bias)


class GrowingGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, size, size); colours are not bounded.

    The buffers `level` and `alpha` say how far it has grown, so that a checkpoint can be sampled.
    """

    level: Tensor
    alpha: Tensor

    def __init__(self, config: ProGANConfig) -> None:
        super().__init__()
        self.latent, self.channels, self.size = config.latent, config.channels, config.size
        widths = config.widths
        # A gain of √2 / 4, as its authors' code has it.
        self.dense = EqualisedLinear(config.latent, widths[0] * 16, bias=False, gain=GAIN / 4)
        self.bias = nn.Parameter(torch.zeros(widths[0]))
        self.first = EqualisedConv2d(widths[0], widths[0], 3, gain=GAIN)
        self.ups = nn.ModuleList(DoublingConv2d(before, after, 3, gain=GAIN) for before, after in pairwise(widths))
        self.convs = nn.ModuleList(EqualisedConv2d(after, after, 3, gain=GAIN) for after in widths[1:])
        self.to_rgb = nn.ModuleList(EqualisedConv2d(width, config.channels, 1) for width in widths)
        self.register_buffer("level", torch.tensor(config.levels - 1))
        self.register_buffer("alpha", torch.tensor(1.0))

    def forward(self, z: Tensor, level: int, alpha: Tensor) -> Tensor:
        """Images float (n, channels, s, s), s = 4 · 2^level, whose last doubling is mixed in by `alpha` in [0, 1]."""
        x: Tensor = self.dense(pixel_norm(z)).view(len(z), -1, 4, 4) + self.bias[:, None, None]
        x = _normal(self.first(_normal(x)))
        before = x
        for up, conv in zip(self.ups[:level], self.convs[:level], strict=True):
            before = x
            x = _normal(conv(_normal(up(x))))
        image: Tensor = self.to_rgb[level](x)
        if level:
            image = torch.lerp(doubled(self.to_rgb[level - 1](before)), image, alpha.to(image.dtype))
        return image


class GrowingDiscriminator(nn.Module):
    """Images float (n, channels, s, s) of a level -> float (n,); the more, the more real."""

    def __init__(self, config: ProGANConfig) -> None:
        super().__init__()
        widths = config.widths
        self.from_rgb = nn.ModuleList(EqualisedConv2d(config.channels, width, 1, gain=GAIN) for width in widths)
        self.convs = nn.ModuleList(EqualisedConv2d(width, width, 3, gain=GAIN) for width in widths[1:])
        self.downs = nn.ModuleList(HalvingConv2d(before, after, 3, gain=GAIN) for after, before in pairwise(widths))
        self.deviation = MinibatchDeviation(config.group)
        self.last = EqualisedConv2d(widths[0] + 1, widths[0], 3, gain=GAIN)
        self.dense = EqualisedLinear(widths[0] * 16, widths[0], gain=GAIN)
        self.out = EqualisedLinear(widths[0], 1)

    def forward(self, x: Tensor, level: int, alpha: Tensor) -> Tensor:
        """Outputs for images of `level`, whose first halving is mixed in by `alpha` in [0, 1]."""
        y = _leaky(self.from_rgb[level](x))
        for i in reversed(range(level)):
            y = _leaky(self.downs[i](_leaky(self.convs[i](y))))
            if i == level - 1:
                y = torch.lerp(_leaky(self.from_rgb[i](F.avg_pool2d(x, 2))), y, alpha.to(y.dtype))
        y = _leaky(self.last(self.deviation(y)))
        out: Tensor = self.out(_leaky(self.dense(y.flatten(1))))
        return out.flatten()


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _normal(x: Tensor) -> Tensor:
    return pixel_norm(_leaky(x))


def shrunk(images: Tensor, level: int, alpha: Tensor) -> Tensor:
    """Images float (n, c, h, h) at a level, as blurred as the generator's: (n, c, s, s), s = 4 · 2^level.

    While a level fades in, an image is mixed with itself at half the resolution, by the same `alpha`: else the
    discriminator would tell real images by their sharpness.
    """
    images = F.adaptive_avg_pool2d(images, 4 << level)
    return torch.lerp(doubled(F.avg_pool2d(images, 2)), images, alpha.to(images.dtype)) if level else images


def phases(game: ProGANGame, level: int) -> tuple[Phase, Phase]:
    """A step at a level: the discriminator's, then the generator's against fresh latents."""

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        alpha = scalars["alpha"]
        real = shrunk(batch.images, level, alpha)
        with torch.no_grad():
            fake = networks["generator"](draw_latents(networks, batch), level, alpha)

        def judge(x: Tensor) -> Tensor:
            out: Tensor = networks["discriminator"](x, level, alpha)
            return out

        # Two passes: a group of the minibatch deviation must not mix real and generated images.
        real_outputs, fake_outputs = judge(real), judge(fake)
        value = game.loss.discriminator(real_outputs, fake_outputs)
        means = {"loss_d": value.detach(), **scores(game.loss, real_outputs, fake_outputs)}
        for penalty in game.penalties.always:
            term = penalty(judge, real, fake, batch)
            value, means[penalty.name] = value + term, term.detach()
        return Out(value, means)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        alpha, judge = scalars["alpha"], networks["discriminator"]
        outputs = judge(networks["generator"](draw_latents(networks, batch), level, alpha), level, alpha)
        real = judge(shrunk(batch.images, level, alpha), level, alpha) if game.loss.loss.pairs else None
        value = game.loss.generator(outputs, real)
        return Out(value, {"loss_g": value.detach(), "alpha": alpha.detach()})

    def grown(networks: Networks, seen: Seen) -> None:
        generator = networks["generator"]
        assert isinstance(generator, GrowingGenerator)
        generator.level.fill_(level)
        generator.alpha.copy_(seen.means["alpha"])

    return (
        Phase("discriminator", ("discriminator",), discriminator, uncoupled=("discriminator",)),
        Phase("generator", ("generator",), generator, after=grown),
    )


def stages(config: ProGANConfig, game: ProGANGame) -> tuple[Stage, ...]:
    """The first level, then for each further one its fade and a stretch without; optimizers begin anew with a level."""
    if game.start >= config.levels:
        raise ConfigError(f"game.start: {config.size}x{config.size} has the levels 0 to {config.levels - 1}.")
    both = ("generator", "discriminator")
    fade, stable = round(game.fade_kimg * 1000), round(game.stable_kimg * 1000)
    found = []
    for level in range(game.start, config.levels):
        side, batch = 4 << level, game.batches[min(level, len(game.batches) - 1)] if game.batches else None
        turns = phases(game, level)
        if level > game.start:
            scalars = {"alpha": rising(fade)}
            found.append(Stage(f"{side}x{side} fade", turns, fade, batch, fresh=both, scalars=scalars))
        length = None if level == config.levels - 1 else stable
        found.append(Stage(f"{side}x{side}", turns, length, batch, scalars={"alpha": _one}))
    return tuple(found)


def rising(nimg: int) -> Callable[[int], float]:
    """From 0 to 1 over `nimg` images."""
    return lambda shown: min(1.0, shown / nimg)


def _one(shown: int) -> float:
    return 1.0


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images at the level that training has reached, enlarged to the last level's size by repeating pixels."""
    generator = networks["generator"]
    assert isinstance(generator, GrowingGenerator)
    images: Tensor = generator(start, int(generator.level), generator.alpha)
    return images.repeat_interleave(s := generator.size // images.shape[-1], 2).repeat_interleave(s, 3)


def build(config: ProGANConfig) -> dict[str, nn.Module]:
    """Both networks with all their levels, initialised from torch's random state."""
    return {"generator": GrowingGenerator(config), "discriminator": GrowingDiscriminator(config)}


SYSTEM = System(
    ProGANConfig,
    ProGANGame,
    build,
    stages,
    render=render,
    reference="Karras et al. 2018, arXiv:1710.10196; tkarras/progressive_growing_of_gans",
)
