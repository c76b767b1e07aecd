"""The residual networks of WGAN-GP: a generator with batch normalisation, a critic without (arXiv:1704.00028).

The defaults are its reference code's 64x64 networks (`gan_64x64.py`, "good" generator and critic) but for the critic's
normalisation: none, as the paper recommends first; `critic_norm: layer` is that code's. With classes the generator's
normalisation has a scale and a shift a class, and the critic's output gets a projection of its features (Miyato and
Koyama 2018, arXiv:1802.05637).

Spectral norms in place of the penalty make them the networks of SNGAN (arXiv:1802.05957), which pools by the sum; with
attention and spectral norms in both they are those of SAGAN (arXiv:1805.08318). See `docs/systems/spectral.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.attention import AttendedBlocks, SelfAttention, attention_at, check_attention
from gantools.layers.norm import Norm
from gantools.layers.residual import Convolution, ResidualBlock
from gantools.layers.sizes import SquareConfig, doubled_widths
from gantools.layers.spectral import spectral
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System


@dataclass(frozen=True)
class ResNetConfig(SquareConfig):
    """Shape of both networks.

    Attributes:
        size: side of the images: 4, 5, 6 or 7 doubled at least once.
        classes: that the networks are told; 0: none.
        width: channels of the generator next to the image; they double with every halving of the resolution.
        critic_width: the same of the critic; null: as the generator.
        widest: channels are at most `width` times this.
        critic_norm: none, or of each sample; batch normalisation is refused with a penalty on gradients.
        start: the critic begins with a convolution, or with a residual block that halves the resolution at once.
        flat: residual blocks at the critic's lowest resolution.
        critic_halvings: of the resolution in the critic; null: as many as the generator doubles it.
        critic_wide: the critic's blocks go to their last width in the first convolution, as SAGAN's, not in the second.
        pool: what the critic's last layer sees: every feature of the last map, or their mean or sum over positions.
        spectral: where weights are divided by their largest singular value: none, in the critic, or in both networks.
        attention: side of the maps that attend to themselves, in both networks; 0: none.
    """

    size: int = 64
    channels: int = 3
    classes: int = 0
    latent: int = 128
    width: int = 64
    critic_width: int | None = None
    widest: int = 8
    critic_norm: Norm = "none"
    start: Literal["convolution", "block"] = "convolution"
    flat: int = 0
    critic_halvings: int | None = None
    critic_wide: bool = False
    pool: Literal["flatten", "mean", "sum"] = "flatten"
    spectral: Literal["none", "critic", "both"] = "none"
    attention: int = 0

    def __post_init__(self) -> None:
        self.check("classes", "flat", least=0)
        self.check("channels", "latent", "width", "critic_width", "widest")
        if self.halvings < 1 or self.size % (1 << self.halvings):
            raise ConfigError(f"network.critic_halvings: {self.size} pixels cannot be halved {self.halvings} times.")
        check_attention(self.attention, self.size, min(self.doublings - 1, self.halvings))

    @property
    def halvings(self) -> int:
        """How many times the critic halves the resolution."""
        return self.doublings if self.critic_halvings is None else self.critic_halvings

    def widths(self, width: int, steps: int) -> list[int]:
        """Channels at each resolution from the image inwards, `steps` times halved: 64, 128, 256, 512, 512 for 4."""
        return doubled_widths(width, steps + 1, self.widest)


class ResNetGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, size, size) in [-1, 1]."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.latent = config.latent
        widths = config.widths(config.width, config.doublings)[::-1]
        self.base = config.base
        self.dense = nn.Linear(config.latent, widths[0] * config.base**2)
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.blocks = AttendedBlocks(
            ResidualBlock(before, after, "up", "batch", config.classes) for before, after in pairwise(widths)
        )
        self.side, self.attention = config.attention, attention_at(config.attention, config.sizes, widths)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.out = Convolution(widths[-1], config.channels)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents `z`, and of classes `labels` int64 (n,) where the network knows some."""
        x: Tensor = self.dense(z).view(len(z), -1, self.base, self.base)
        x = self.blocks(x, [labels] * len(self.blocks), self.attention, self.side)
        return cast(Tensor, self.out(F.relu(self.norm(x)))).tanh()


class ResNetCritic(nn.Module):
    """Images float (n, channels, size, size) in [-1, 1] -> float (n,); the more, the more real."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        widths = config.widths(config.critic_width or config.width, config.halvings)
        blocks: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            first = i == 0 and config.start == "block"
            start, hidden = config.channels if first else before, after if config.critic_wide else None
            blocks.append(ResidualBlock(start, after, "down", config.critic_norm, first=first, hidden=hidden))
            if config.size >> (i + 1) == config.attention:
                blocks.append(SelfAttention(after))
        blocks += [ResidualBlock(widths[-1], widths[-1], None, config.critic_norm) for _ in range(config.flat)]
        self.stem = Convolution(config.channels, widths[0]) if config.start == "convolution" else nn.Identity()
        self.blocks = nn.Sequential(*blocks)
        self.pool = config.pool
        features = widths[-1] * ((config.size >> config.halvings) ** 2 if config.pool == "flatten" else 1)
        self.out = nn.Linear(features, 1)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.classes: nn.Linear | None = None
        if config.classes:
            # A matrix with a row a class, as a linear layer has it; only rows of it are used.
            self.classes = nn.Linear(features, config.classes, bias=False)
            nn.init.xavier_uniform_(self.classes.weight)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Outputs for images `x`, and for classes `labels` int64 (n,) where the network knows some."""
        return self.examine(x, labels)[0]

    def examine(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Outputs (n,), and the features before the last layer (n, f)."""
        h: Tensor = self.blocks(self.stem(x))
        if self.pool == "flatten":
            h = h.flatten(1)
        else:
            h = F.relu(h).mean((2, 3)) if self.pool == "mean" else F.relu(h).sum((2, 3))
        out: Tensor = self.out(h).flatten()
        if self.classes is not None and labels is not None:
            out = out + (self.classes.weight[labels] * h).sum(1)
        return out, h

    def recognise(self, features: Tensor) -> Tensor:
        """Logits of the classes (n, classes)."""
        assert self.classes is not None
        return cast(Tensor, self.classes(features))


def build(config: ResNetConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    networks = {"generator": ResNetGenerator(config), "discriminator": ResNetCritic(config)}
    if config.spectral == "both":
        spectral(networks["generator"])
    if config.spectral != "none":
        spectral(networks["discriminator"])
    return networks


SYSTEM = System(
    ResNetConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Gulrajani et al. 2017, arXiv:1704.00028; igul222/improved_wgan_training gan_64x64.py",
)
