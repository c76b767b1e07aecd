"""MSG-GAN: the generator shows an image at every resolution, the discriminator sees them all (arXiv:1903.06048).

So gradients reach every layer of the generator by a short way, and nothing has to grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.equalised import EqualisedConv2d, EqualisedLinear, pixel_norm
from gantools.layers.growing import GAIN, doubling_layers, slope
from gantools.layers.minibatch import MinibatchDeviation
from gantools.layers.precision import wide
from gantools.layers.sizes import SquareConfig, tapered_widths
from gantools.models.games import discriminator_loss, draw_latents, with_penalties
from gantools.models.system import Batch, Networks, Out, Phase, Scalars, Stage, System
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Critic, Draws, Penalties, PenaltyConfig, gradients, norms

Combine = Literal["simple", "linear_concat", "concat_linear"]


@dataclass(frozen=True)
class MSGGANConfig(SquareConfig):
    """Shape of both networks.

    Attributes:
        size, channels: of the images.
        latent: numbers that an image is made of.
        width: channels of a map times its side, up to `max_width` channels.
        max_width: of any map.
        combine: how the discriminator takes in an image beside its features (section 3 of the paper): beside them as it
            is; beside them, turned into half of the channels; or both turned into all of the channels.
        deviation: the minibatch deviation is taken before the last block's convolutions, or before every block's.
        group: rows of the minibatch deviation.
    """

    size: int = 128
    channels: int = 3
    latent: int = 512
    width: int = 16384
    max_width: int = 512
    combine: Combine = "simple"
    deviation: Literal["last", "every"] = "last"
    group: int = 4

    def __post_init__(self) -> None:
        self.check("channels", "latent", "width", "max_width", "group")
        if self.widths[-1] < 2:
            raise ConfigError(f"network.width: {self.width} leaves fewer than 2 channels at {self.size}x{self.size}.")

    @property
    def widths(self) -> list[int]:
        """Channels of the maps of each."""
        return tapered_widths(self.sizes, self.width, self.max_width)


@dataclass(frozen=True)
class MSGGANGame:
    """A recipe's section `game`.

    Attributes:
        loss: which adversarial loss, and its options.
        penalties: of the discriminator, by name; at every step, of the images of all sizes together, but for the
            gradient penalty, which is the mean of one for each size.
    """

    loss: LossConfig = field(default_factory=partial(LossConfig, "relativistic_average_hinge"))
    penalties: Penalties = field(default_factory=Penalties)

    def __post_init__(self) -> None:
        self.penalties.refuse_lazy()
        if "dragan" in self.penalties.of:
            raise ConfigError("game.penalties.dragan: is not made for images of several sizes.", "Try r1 or gradient.")


class MSGGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, size, size), nearly all of them in [-1, 1]."""

    def __init__(self, config: MSGGANConfig) -> None:
        super().__init__()
        self.latent, self.base = config.latent, config.sizes[0]
        widths = config.widths
        # A transposed convolution of one pixel: its fan in is the latent.
        self.dense = EqualisedLinear(config.latent, widths[0] * self.base**2, bias=False, gain=GAIN)
        self.bias = nn.Parameter(torch.zeros(widths[0]))
        self.first = EqualisedConv2d(widths[0], widths[0], 3, gain=GAIN)
        self.ups, self.convs = doubling_layers(widths)
        self.to_rgb = nn.ModuleList(EqualisedConv2d(width, config.channels, 1) for width in widths)

    def pyramid(self, z: Tensor) -> list[Tensor]:
        """Images of latents `z` at every size, from the smallest on."""
        x = self.dense(z).view(len(z), -1, self.base, self.base) + self.bias[:, None, None]
        x = pixel_norm(slope(self.first(slope(x))))
        found = [self.to_rgb[0](x)]
        for up, conv, colour in zip(self.ups, self.convs, self.to_rgb[1:], strict=True):
            x = pixel_norm(slope(up(x)))
            x = pixel_norm(slope(conv(x)))
            found.append(colour(x))
        return [wide(image) for image in found]

    def forward(self, z: Tensor) -> Tensor:
        """The largest images of latents `z`."""
        return self.pyramid(z)[-1]


class Combination(nn.Module):
    """Features and images of one size -> features; `features` and `outputs` say how many channels go in and out."""

    def __init__(self, kind: Combine, width: int, channels: int) -> None:
        super().__init__()
        self.kind = kind
        half = width // 2
        self.features = width - half if kind == "linear_concat" else width
        self.outputs = width + channels if kind == "simple" else width
        self.linear: EqualisedConv2d | None = None
        if kind == "linear_concat":
            self.linear = EqualisedConv2d(channels, half, 1)
        elif kind == "concat_linear":
            self.linear = EqualisedConv2d(channels + width, width, 1)

    def forward(self, image: Tensor, x: Tensor) -> Tensor:
        """Features `x` float (n, features, h, w) with `image` (n, channels, h, w): (n, outputs, h, w)."""
        image = image.to(x.dtype)
        if self.linear is None:
            return torch.cat([image, x], 1)
        if self.kind == "linear_concat":
            return torch.cat([self.linear(image), x], 1)
        out: Tensor = self.linear(torch.cat([image, x], 1))
        return out


class MSGDiscriminator(nn.Module):
    """Images of every size, a list of float (n, channels, s, s) from the smallest on -> float (n,)."""

    def __init__(self, config: MSGGANConfig) -> None:
        super().__init__()
        widths, base = config.widths, config.sizes[0]
        extra = 1 if config.deviation == "every" else 0
        self.every = config.deviation == "every"
        self.deviation = MinibatchDeviation(config.group)
        self.stem = EqualisedConv2d(config.channels, widths[-1], 1)
        # One for each size but the largest, which comes in by the stem.
        combine = [Combination(config.combine, width, config.channels) for width in widths[:-1]]
        inputs, outputs = [c.outputs for c in combine] + [widths[-1]], [c.features for c in combine]
        self.combine = nn.ModuleList(combine)
        self.first = nn.ModuleList(
            EqualisedConv2d(before + extra, width, 3, gain=GAIN)
            for before, width in zip(inputs[1:], widths[1:], strict=True)
        )
        self.second = nn.ModuleList(
            EqualisedConv2d(width, after, 3, gain=GAIN) for width, after in zip(widths[1:], outputs, strict=True)
        )
        self.last = EqualisedConv2d(inputs[0] + 1, widths[0], 3, gain=GAIN)
        self.dense = EqualisedLinear(widths[0] * base**2, widths[0], gain=GAIN)
        self.out = EqualisedLinear(widths[0], 1)

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        """Outputs for pyramids; the more, the more real."""
        x = self.stem(images[-1])
        for i in reversed(range(len(self.first))):
            x = self.deviation(x) if self.every else x
            x = F.avg_pool2d(slope(self.second[i](slope(self.first[i](x)))), 2)
            x = self.combine[i](images[i], x)
        x = slope(self.last(self.deviation(x)))
        out: Tensor = self.out(slope(self.dense(x.flatten(1))))
        return out.flatten()


def shrunk_pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """Images and their halves by averaging 2x2 pixels, `levels` in all, from the smallest on."""
    found = [images]
    for _ in range(levels - 1):
        found.append(F.avg_pool2d(found[-1], 2))
    return found[::-1]


def packed(pyramid: Sequence[Tensor]) -> Tensor:
    """All numbers of each pyramid in a row, so that it has one gradient: float (n, numbers, 1, 1)."""
    return torch.cat([image.flatten(1) for image in pyramid], 1)[:, :, None, None]


def unpacked(rows: Tensor, sizes: Sequence[int], channels: int) -> list[Tensor]:
    """The inverse of `packed`."""
    parts = torch.split(rows.flatten(1), [channels * side**2 for side in sizes], 1)
    return [part.view(-1, channels, side, side) for part, side in zip(parts, sizes, strict=True)]


def gradient_penalty(
    critic: Critic, real: Tensor, fake: Tensor, draws: Draws, parts: Sequence[int], target: float = 1.0
) -> Tensor:
    """Mean over sizes s of E[(‖∇_{x̂_s} D(x̂)‖₂ - target)²], x̂ = x + α (G(z) - x), one α for all sizes of a sample.

    Source: Karnewar and Wang 2020 (arXiv:1903.06048), appendix; as in BMSG-GAN.

    Args:
        critic: of packed pyramids.
        real, fake: packed pyramids, float (n, numbers, 1, 1).
        draws: where α comes from.
        parts: how many of the numbers belong to each size.
        target: of the norms.
    """
    alpha = draws.uniform(1, 1, 1)
    slopes = torch.split(gradients(critic, real + alpha * (fake - real)), list(parts), 1)
    return torch.stack([(norms(slope) - target).square().mean() for slope in slopes]).mean()


def build(config: MSGGANConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    return {"generator": MSGGenerator(config), "discriminator": MSGDiscriminator(config)}


def stages(config: MSGGANConfig, game: MSGGANGame) -> tuple[Stage, ...]:
    """One stage: the ordinary game of two, on pyramids."""
    sizes, channels = config.sizes, config.channels
    parts = [channels * side**2 for side in sizes]

    def drawn(networks: Networks, batch: Batch) -> list[Tensor]:
        generator = networks["generator"]
        assert isinstance(generator, MSGGenerator)
        return generator.pyramid(draw_latents(networks, batch))

    def penalised(penalty: PenaltyConfig, judge: Critic, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        if penalty.name != "gradient":
            return penalty(judge, real, fake, batch)
        with torch.autocast(real.device.type, enabled=False):
            return penalty.weight * gradient_penalty(judge, wide(real), wide(fake), batch, parts, **penalty.options)

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        real = shrunk_pyramid(batch.images, len(sizes))
        with torch.no_grad():
            fake = drawn(networks, batch)
        judge: Callable[[Sequence[Tensor]], Tensor] = networks["discriminator"]
        # Two passes: a group of the minibatch deviation must not mix real and generated images.
        value, means = discriminator_loss(game.loss, judge(real), judge(fake))

        def of_rows(rows: Tensor) -> Tensor:
            return judge(unpacked(rows, sizes, channels))

        def term(penalty: PenaltyConfig) -> Tensor:
            return penalised(penalty, of_rows, packed(real), packed(fake), batch)

        return with_penalties(Out(value, means), game.penalties, term)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        judge = networks["discriminator"]
        outputs = judge(drawn(networks, batch))
        real = judge(shrunk_pyramid(batch.images, len(sizes))) if game.loss.loss.pairs else None
        value = game.loss.generator(outputs, real)
        return Out(value, {"loss_g": value.detach()})

    uncoupled = ("discriminator",) if game.penalties.gradient else ()
    return (
        Stage(
            "all",
            (
                Phase("discriminator", ("discriminator",), discriminator, uncoupled=uncoupled),
                Phase("generator", ("generator",), generator),
            ),
        ),
    )


SYSTEM = System(
    MSGGANConfig,
    MSGGANGame,
    build,
    stages,
    reference="Karnewar and Wang 2020, arXiv:1903.06048; akanimax/BMSG-GAN",
)
