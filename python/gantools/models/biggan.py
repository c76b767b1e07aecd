"""BigGAN: residual networks told classes and parts of the latent at every resolution (arXiv:1809.11096).

The latent is cut into as many parts as the generator has blocks and one more: the first becomes the smallest map, each
of the others, beside an embedding of the class that all blocks share, scales and shifts a block's normalisations. Both
networks have spectral norms and attention; the critic judges a class by a projection of its features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import ConfigError, check_least
from gantools.layers.attention import AttendedBlocks, SelfAttention, attention_at, check_attention
from gantools.layers.labels import required
from gantools.layers.norm import EmbeddedBatchNorm2d
from gantools.layers.residual import Convolution, ResidualBlock
from gantools.layers.sizes import SquareConfig
from gantools.layers.spectral import spectral
from gantools.layers.statistics import STATISTICS_BATCH, measured_statistics
from gantools.models.games import TwoPlayer, call, two_player
from gantools.models.system import Batch, Control, Networks, Out, Phase, Scalars, Stage, System
from gantools.objectives.orthogonal import orthogonality

# Channels in units of `width`, by how many times the generator doubles its smallest map: the generator's, from there
# to the image, and the critic's, of block after block, of which the last one keeps the resolution.
GENERATOR = {4: (16, 16, 8, 4, 2), 5: (16, 16, 8, 4, 2, 1), 6: (16, 16, 8, 8, 4, 2, 1), 7: (16, 16, 8, 8, 4, 2, 1, 1)}
CRITIC = {4: (1, 2, 4, 8, 16), 5: (1, 2, 4, 8, 16, 16), 6: (1, 2, 4, 8, 8, 16, 16), 7: (1, 1, 2, 4, 8, 8, 16, 16)}
# Small images have the same width everywhere, and two of the critic's four blocks keep the resolution.
SMALL, SMALL_HALVINGS = 4, 2
# At this truncation nothing is truncated: one number in 16,000 lies outside.
WHOLE = 4.0
# Truncations whose statistics are kept.
KEPT = 8


@dataclass(frozen=True)
class BigGANConfig(SquareConfig):
    """Shape of both networks.

    Attributes:
        size: side of the images: 4, 5, 6 or 7 doubled one to seven times.
        classes: that the networks are told; 0: none.
        latent: length of z, a multiple of the generator's blocks and one.
        embedding: length of a class's vector, which all blocks share.
        width: of the generator's channels.
        critic_width: the same of the critic; null: as the generator.
        attention: side of the maps that attend to themselves, in both networks; 0: none.
    """

    size: int = 128
    channels: int = 3
    classes: int = 0
    latent: int = 120
    embedding: int = 128
    width: int = 96
    critic_width: int | None = None
    attention: int = 64

    def __post_init__(self) -> None:
        self.check("classes", least=0)
        self.check("channels", "latent", "embedding", "width", "critic_width")
        if self.doublings > max(GENERATOR):
            raise ConfigError(f"network.size: {self.size} is larger than 1023.", "Sizes that work: up to 512 or 896.")
        parts = self.doublings + 1
        if self.latent % parts:
            near = max(1, round(self.latent / parts)) * parts
            raise ConfigError(
                f"network.latent: {self.latent} cannot be cut into the {parts} parts that {self.size} pixels need.",
                f"For example: --set network.latent={near}",
            )
        check_attention(self.attention, self.size, min(self.doublings - 1, sum(self.halved)))

    @property
    def generator_widths(self) -> list[int]:
        """Channels from the smallest map to the image."""
        return [self.width * n for n in GENERATOR.get(self.doublings, (SMALL,) * (self.doublings + 1))]

    @property
    def critic_widths(self) -> list[int]:
        """Channels after each block."""
        return [(self.critic_width or self.width) * n for n in CRITIC.get(self.doublings, (SMALL,) * 4)]

    @property
    def halved(self) -> list[bool]:
        """Whether each block of the critic halves the resolution."""
        blocks = len(self.critic_widths)
        halvings = blocks - 1 if self.doublings in CRITIC else min(SMALL_HALVINGS, self.doublings)
        return [i < halvings for i in range(blocks)]


@dataclass(frozen=True)
class BigGANGame(TwoPlayer):
    """The ordinary game, and beside it:

    Attributes:
        orthogonal: weight of the orthogonal regularisation of the generator; the shared embedding is left out.
    """

    orthogonal: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("game", self, "orthogonal", least=0)


class BigGANGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, size, size) in [-1, 1].

    Attributes:
        latent: length of z.
        part: length of the part of z that each block gets.
        standing: statistics of the normalisations by (truncation, the weights' age, device), those used last.
    """

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        self.latent, self.classes = config.latent, config.classes
        self.part, self.base = config.latent // (config.doublings + 1), config.base
        widths = config.generator_widths
        self.embedding = nn.Embedding(config.classes, config.embedding) if config.classes else None
        told = self.part + (config.embedding if config.classes else 0)
        self.dense = nn.Linear(self.part, widths[0] * config.base**2)

        def norm(channels: int) -> nn.Module:
            return EmbeddedBatchNorm2d(channels, told)

        self.blocks = AttendedBlocks(ResidualBlock(a, b, "up", norm, bias=True) for a, b in pairwise(widths))
        self.side, self.attention = config.attention, attention_at(config.attention, config.sizes, widths)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.out = Convolution(widths[-1], config.channels)
        self.standing: dict[tuple[float, int, str], dict[str, Tensor]] = {}

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents `z`, and of classes `labels` int64 (n,) where the network knows some."""
        first, *parts = torch.split(z, self.part, 1)
        if self.embedding is not None:
            vector = self.embedding(required(labels))
            parts = [torch.cat([vector, part], 1) for part in parts]
        x: Tensor = self.dense(first).view(len(z), -1, self.base, self.base)
        x = self.blocks(x, parts, self.attention, self.side)
        return cast(Tensor, self.out(F.relu(self.norm(x)))).tanh()

    def statistics(self, truncation: float) -> dict[str, Tensor]:
        """Statistics of the normalisations over fixed latents of this truncation, each class as often as any other.

        They are measured once for a truncation and a state of the weights; the network's own stay as they are.
        """
        weight = next(self.parameters())
        key = (truncation, sum(p._version for p in self.parameters()), str(weight.device))
        if key not in self.standing:

            def run(number: int) -> None:
                draw = torch.Generator().manual_seed(number)
                z = torch.randn(STATISTICS_BATCH, self.latent, generator=draw).to(weight)
                labels = torch.arange(STATISTICS_BATCH, device=weight.device) + number * STATISTICS_BATCH
                call(self, truncated(z, truncation), labels % self.classes if self.classes else None)

            while len(self.standing) >= KEPT:
                del self.standing[next(iter(self.standing))]
            self.standing[key] = measured_statistics(self, run)
        return self.standing[key]


class BigGANCritic(nn.Module):
    """Images float (n, channels, size, size) in [-1, 1] -> float (n,); the more, the more real."""

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        widths, side = config.critic_widths, config.size
        blocks: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise([config.channels, *widths])):
            halves = config.halved[i]
            blocks.append(ResidualBlock(before, after, "down" if halves else None, first=i == 0, hidden=after))
            if halves:
                side //= 2
                if side == config.attention:
                    blocks.append(SelfAttention(after))
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Linear(widths[-1], 1)
        self.classes = nn.Embedding(config.classes, widths[-1]) if config.classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Outputs for images `x`, and for classes `labels` int64 (n,) where the network knows some."""
        h = F.relu(self.blocks(x)).sum((2, 3))
        out: Tensor = self.out(h).flatten()
        if self.classes is not None:
            product: Tensor = self.classes(required(labels)) * h
            out = out + product.sum(1)
        return out


def orthogonal_weights(network: nn.Module) -> None:
    """Initialise all weights as orthogonal matrices, biases as 0, in place (Brock et al. 2019, appendix C)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(module.weight)
            if not isinstance(module, nn.Embedding) and module.bias is not None:
                nn.init.zeros_(module.bias)


def build(config: BigGANConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    generator, critic = BigGANGenerator(config), BigGANCritic(config)
    for network in (generator, critic):
        orthogonal_weights(network)
    # A spectral norm of the shared embedding cripples the generator at times (the reference code).
    spectral(generator, () if generator.embedding is None else (generator.embedding,))
    spectral(critic)
    return {"generator": generator, "discriminator": critic}


def stages(config: BigGANConfig, game: BigGANGame) -> tuple[Stage, ...]:
    """The ordinary game, with the orthogonal regularisation in the generator's phase."""
    (stage,) = two_player(config, game)
    if game.orthogonal == 0:
        return (stage,)

    def regularised(phase: Phase) -> Phase:
        def loss(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
            out = phase.loss(networks, batch, scalars)
            generator = cast(BigGANGenerator, networks["generator"])
            shared = None if generator.embedding is None else generator.embedding.weight
            term = game.orthogonal * orthogonality(p for p in generator.parameters() if p is not shared)
            return Out(out.value + term, {**out.means, "orthogonal": term.detach()}, out.rows)

        return replace(phase, loss=loss)

    return (replace(stage, phases=tuple(regularised(p) if p.name == "generator" else p for p in stage.phases)),)


def truncated(z: Tensor, truncation: float) -> Tensor:
    """Latents N(0, 1) as those of the normal distribution cut to [-t, t], number by number.

    z' = Φ⁻¹(Φ(-t) + (1 - 2 Φ(-t)) Φ(z)), the same distribution as drawing again what lies outside (Brock et al. 2019,
    section 3.1), but a continuous function of z and t: an image changes steadily as t does.
    """
    if truncation >= WHOLE:
        return z
    outside = torch.special.ndtr(torch.tensor(-truncation, dtype=torch.float64, device=z.device))
    share = outside + (1 - 2 * outside) * torch.special.ndtr(z.double())
    cut: Tensor = torch.special.ndtri(share)
    return cut.clamp(-truncation, truncation).to(z.dtype)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images of latents `start`; see `CONTROLS`. Truncated ones are made with statistics of their own truncation."""
    generator = cast(BigGANGenerator, networks["generator"])
    truncation = controls.get("truncation", WHOLE)
    if truncation >= WHOLE:
        return call(generator, start, labels)
    given = (truncated(start, truncation),) if labels is None else (truncated(start, truncation), labels)
    return cast(Tensor, torch.func.functional_call(generator, generator.statistics(truncation), given))


CONTROLS = (
    Control(
        "truncation",
        0.02,
        WHOLE,
        WHOLE,
        "Latents from [-t, t]: the lower, the more usual and the better the images; at 4 from everywhere.",
    ),
)

SYSTEM = System(
    BigGANConfig,
    BigGANGame,
    build,
    stages,
    render=render,
    controls=CONTROLS,
    reference="Brock et al. 2019, arXiv:1809.11096; ajbrock/BigGAN-PyTorch",
)
