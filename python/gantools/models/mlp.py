"""The first GAN: fully connected networks (Goodfellow et al. 2014, arXiv:1406.2661), told classes where there are some.

The discriminator is 784-1024-512-256-1, the generator its mirror. With `classes` it is the conditional GAN of Mirza and
Osindero 2014 (arXiv:1411.1784): an embedding of the class is joined to the latent in the one network and to the pixels
in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError, check_least, check_shares
from gantools.layers.init import fan_in_init, initialised
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System


@dataclass(frozen=True)
class MLPConfig:
    """Shape of both networks.

    Attributes:
        size: side of the images.
        classes: that both networks are told; 0: none.
        embedding: numbers that a class is told by.
        widths: of the generator's hidden layers; the discriminator has them the other way round.
        slope: of every LeakyReLU.
        dropout: after each hidden layer of the discriminator.
    """

    size: int = 28
    channels: int = 1
    classes: int = 0
    latent: int = 100
    embedding: int = 10
    widths: tuple[int, ...] = (256, 512, 1024)
    slope: float = 0.2
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_least("network", self, "size", "channels", "latent", "embedding")
        check_least("network", self, "classes", least=0)
        check_shares("network", self, "slope", "dropout", whole=False)
        if min(self.widths, default=1) < 1:
            raise ConfigError(f"network.widths: must be at least 1 each, not {list(self.widths)}.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (self.size, self.size, self.channels)

    @property
    def pixels(self) -> int:
        """Numbers of an image."""
        return self.size * self.size * self.channels

    @property
    def told(self) -> int:
        """Numbers that are joined to the input of either network."""
        return self.embedding if self.classes else 0


class MLPGenerator(nn.Module):
    """Latents float (n, latent), and classes int64 (n,) -> images float (n, channels, size, size) in [-1, 1]."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.latent = config.latent
        self.shape = (config.channels, config.size, config.size)
        widths = (config.latent + config.told, *config.widths)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(config.slope)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], config.pixels), nn.Tanh())
        self.classes = nn.Embedding(config.classes, config.embedding) if config.classes else None

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents `z`, and of classes `labels` where the network knows some."""
        return cast(Tensor, self.layers(_told(z, self.classes, labels))).view(-1, *self.shape)


class MLPDiscriminator(nn.Module):
    """Images float (n, channels, size, size) in [-1, 1], classes int64 (n,) -> logits float (n,); positive: real."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        widths = (config.pixels + config.told, *config.widths[::-1])
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(config.slope), nn.Dropout(config.dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
        self.classes = nn.Embedding(config.classes, config.embedding) if config.classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of images `x`, and for classes `labels` where the network knows some."""
        return cast(Tensor, self.layers(_told(x.flatten(1), self.classes, labels)).flatten())


def _told(x: Tensor, classes: nn.Module | None, labels: Tensor | None) -> Tensor:
    """`x` (n, k), with the embedding of its class behind it where there are classes."""
    return x if classes is None or labels is None else torch.cat((x, classes(labels)), 1)


def build(config: MLPConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state; embeddings N(0, 1), as the latents."""
    return initialised(fan_in_init, generator=MLPGenerator(config), discriminator=MLPDiscriminator(config))


SYSTEM = System(
    MLPConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Goodfellow et al. 2014, arXiv:1406.2661; Mirza and Osindero 2014, arXiv:1411.1784",
)
