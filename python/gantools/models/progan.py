"""ProGAN: both networks grow from 4x4 pixels, a doubling at a time (Karras et al. 2018, arXiv:1710.10196).

Defaults are the paper's for 1024x1024 (table 2): 512 channels up to 32x32, then half as many with every doubling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from gantools.layers.equalised import EqualisedConv2d, EqualisedLinear, pixel_norm
from gantools.layers.growing import GAIN, GrowingDiscriminator, doubling_layers, enlarged, slope
from gantools.layers.residual import doubled
from gantools.models.games import draw_latents
from gantools.models.growing import GrowingConfig, GrowingGame, growing_stages
from gantools.models.system import Batch, Networks, Stage, System
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties


@dataclass(frozen=True)
class ProGANConfig(GrowingConfig):
    """Shape of both networks; see `GrowingConfig`."""


@dataclass(frozen=True, kw_only=True)
class ProGANGame(GrowingGame):
    """WGAN-GP with a drift (section 2, appendix A.1); see `GrowingGame`."""

    loss: LossConfig = field(default_factory=partial(LossConfig, "wasserstein"))
    penalties: Penalties = field(default_factory=partial(Penalties.from_plain, {"gradient": {}, "drift": {}}))


class GrowingGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, s, s) of a level, nearly all of them in [-1, 1].

    Attributes:
        level, alpha: where its training stands, buffers: how it is to be sampled.
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
        self.ups, self.convs = doubling_layers(widths)
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


def _normal(x: Tensor) -> Tensor:
    return pixel_norm(slope(x))


def draw(networks: Networks, batch: Batch, level: int, alpha: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Images of fresh latents at a level; there is nothing to remember."""
    return networks["generator"](draw_latents(networks, batch), level, alpha), {}


def stages(config: ProGANConfig, game: ProGANGame) -> tuple[Stage, ...]:
    """See `growing_stages`."""
    return growing_stages(config, game, draw)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images at the level that training has reached, enlarged to the last level's size by repeating pixels."""
    generator = cast(GrowingGenerator, networks["generator"])
    return enlarged(generator(start, int(generator.level), generator.alpha), generator.size)


def build(config: ProGANConfig) -> dict[str, nn.Module]:
    """Both networks with all their levels, initialised from torch's random state."""
    generator = GrowingGenerator(config)
    return {
        "generator": generator,
        "discriminator": GrowingDiscriminator(config.channels, config.widths, config.group),
    }


SYSTEM = System(
    ProGANConfig,
    ProGANGame,
    build,
    stages,
    render=render,
    reference="Karras et al. 2018, arXiv:1710.10196; tkarras/progressive_growing_of_gans",
)
