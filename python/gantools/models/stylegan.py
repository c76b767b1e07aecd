"""StyleGAN: styles instead of a latent, on networks that grow (Karras et al. 2019, arXiv:1812.04948).

A mapping network turns latents into styles; the image is drawn from a learned constant, each convolution followed by
noise and by a normalisation that the style scales and shifts; doublings and halvings are blurred. The discriminator and
the stages are ProGAN's.

The mapping network's gain of √2 is in its activation, as StyleGAN2 has it, theirs in its weights: the same function,
but for the scale of its biases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from gantools.errors import check_least, check_shares
from gantools.layers.equalised import EqualisedConv2d
from gantools.layers.growing import GAIN, GrowingDiscriminator, doubling_layers, enlarged
from gantools.layers.precision import wide
from gantools.layers.resample import Blur
from gantools.layers.residual import doubled
from gantools.layers.styles import MappingNetwork, StyledNorm
from gantools.models.growing import GrowingConfig, GrowingGame, growing_stages
from gantools.models.styling import CONTROLS, MIXING, Draw, drawn_from, follow_mean, layer_noise, mixed, styled
from gantools.models.system import Batch, Networks, Stage, Styles, System
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties


@dataclass(frozen=True)
class StyleGANConfig(GrowingConfig):
    """Shape of both networks; see `GrowingConfig`.

    Attributes:
        style: length of w.
        mapping_layers: dense layers from z to w.
    """

    style: int = 512
    mapping_layers: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("network", self, "style", "mapping_layers")


@dataclass(frozen=True, kw_only=True)
class StyleGANGame(GrowingGame):
    """The non-saturating loss with R1 of γ 10; see `GrowingGame`.

    Attributes:
        start: the level that training begins with: 1 for 8x8.
        mixing: the probability that an image has the styles of two latents.
        style_decay: how much of the mean style stays at each step.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    penalties: Penalties = field(default_factory=partial(Penalties.from_plain, {"r1": {}}))
    start: int = 1
    mixing: float = 0.9
    style_decay: float = 0.995

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares("game", self, "mixing", "style_decay")


class StyleGANGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, s, s) of a level, nearly all of them in [-1, 1].

    Attributes:
        latent: length of z.
        count: how many styles an image of the last level has: two a level.
        level, alpha: where its training stands, buffers: how it is to be sampled.
    """

    level: Tensor
    alpha: Tensor

    def __init__(self, config: StyleGANConfig) -> None:
        super().__init__()
        self.latent, self.size, self.count = config.latent, config.size, 2 * config.levels
        widths = config.widths
        self.mapping = MappingNetwork(config.latent, 0, config.style, config.mapping_layers)
        self.constant = nn.Parameter(torch.ones(widths[0], 4, 4))
        # Biases are in what follows a convolution.
        self.first = EqualisedConv2d(widths[0], widths[0], 3, bias=False, gain=GAIN)
        self.ups, self.convs = doubling_layers(widths, bias=False)
        self.norms = nn.ModuleList(
            StyledNorm(width, config.style, 4 << i) for i, width in enumerate(widths) for _ in range(2)
        )
        self.to_rgb = nn.ModuleList(EqualisedConv2d(width, config.channels, 1) for width in widths)
        self.blur = Blur()
        self.register_buffer("level", torch.tensor(config.levels - 1))
        self.register_buffer("alpha", torch.tensor(1.0))

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same style for every layer, float (n, count, style)."""
        w: Tensor = self.mapping(z)
        return w[:, None].expand(-1, self.count, -1)

    def synthesis(
        self,
        styles: Tensor,
        draw: Draw | None = None,
        strength: float = 1.0,
        level: int | None = None,
        alpha: Tensor | None = None,
    ) -> Tensor:
        """Images of styles.

        Args:
            styles: float (n, count, style).
            draw: gives the noise of each layer, called with (1, h, w); None: a layer's constant one.
            strength: of the noise, 1 as trained; 0: there is none.
            level: of the images; None: that which training has reached.
            alpha: in [0, 1], how far its last doubling is mixed in; None: as training has reached.

        Returns:
            float (n, channels, s, s), s = 4 · 2^level.
        """
        level = int(self.level) if level is None else level
        alpha = self.alpha if alpha is None else alpha

        def finish(x: Tensor, i: int) -> Tensor:
            norm = cast(StyledNorm, self.norms[i])
            out: Tensor = norm(x, styles[:, i], layer_noise(norm.noise, norm.size, draw, strength))
            return out

        x = finish(self.constant.expand(len(styles), -1, -1, -1), 0)
        before = x = finish(self.first(x), 1)
        for i in range(level):
            before = x
            x = finish(self.blur(self.ups[i](x)), 2 * i + 2)
            x = finish(self.convs[i](x), 2 * i + 3)
        image: Tensor = self.to_rgb[level](x)
        if level:
            image = torch.lerp(doubled(self.to_rgb[level - 1](before)), image, alpha.to(image.dtype))
        return wide(image)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents `z` at the level that training has reached, without noise that changes."""
        return self.synthesis(self.styles(z))


def stages(config: StyleGANConfig, game: StyleGANGame) -> tuple[Stage, ...]:
    """See `growing_stages`."""

    def draw(networks: Networks, batch: Batch, level: int, alpha: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        generator = cast(StyleGANGenerator, networks["generator"])
        styles, mean = mixed(generator, batch, None, game.mixing, 2 * level + 2)
        return generator.synthesis(styles, batch.normal, level=level, alpha=alpha), {"style": mean}

    return growing_stages(config, game, draw, partial(follow_mean, decay=game.style_decay))


def drawn(networks: Networks, styles: Tensor, controls: Mapping[str, float]) -> Tensor:
    """Images of styles at the level that training has reached, enlarged to the last level's by repeating pixels."""
    return enlarged(drawn_from(networks, styles, controls), cast(StyleGANGenerator, networks["generator"]).size)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images of latents `start`, as `CONTROLS` say."""
    return drawn(networks, styled(networks, start, labels, controls), controls)


def build(config: StyleGANConfig) -> dict[str, nn.Module]:
    """Both networks with all their levels, initialised from torch's random state."""
    generator = StyleGANGenerator(config)
    return {
        "generator": generator,
        "discriminator": GrowingDiscriminator(config.channels, config.widths, config.group, blur=True),
    }


SYSTEM = System(
    StyleGANConfig,
    StyleGANGame,
    build,
    stages,
    render=render,
    controls=CONTROLS,
    styles=Styles(styled, drawn, controls=MIXING),
    reference="Karras et al. 2019, arXiv:1812.04948; NVlabs/stylegan",
)
