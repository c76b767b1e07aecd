"""DCGAN: convolutional generator and discriminator of Radford et al. 2016 (arXiv:1511.06434).

The defaults are the 64x64x3 network. Other sizes follow by the same rule: the generator starts from a `base` x `base`
map and doubles it until it has `size`; the discriminator is its mirror. 28 = 7 x 2 x 2 starts from 7 x 7.

With `classes` both networks are told the class of each image, and nothing else changes: the generator as further
latents (Mirza and Osindero 2014, arXiv:1411.1784), the discriminator as a projection of its features (Miyato and Koyama
2018, arXiv:1802.05637).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.init import normal_networks
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System


@dataclass(frozen=True)
class DCGANConfig:
    """Shape of both networks.

    `width` is the number of channels next to the image; it doubles with every halving of the resolution. `classes` is
    how many the networks are told apart, 0 for none.
    """

    size: int = 64
    channels: int = 3
    latent: int = 128
    width: int = 64
    classes: int = 0

    def __post_init__(self) -> None:
        if self.classes < 0:
            raise ConfigError(f"network.classes: must be at least 0, not {self.classes}.")
        if min(self.size, self.channels, self.latent, self.width) < 1:
            raise ConfigError("network: size, channels, latent and width must be at least 1.")
        if self.stages < 1 or self.base << self.stages != self.size:
            raise ConfigError(
                f"network.size: {self.size} is not 4, 5, 6 or 7 doubled at least once.",
                "Sizes that work: 8, 16, 28, 32, 48, 64, 96, 128, 256.",
            )

    @property
    def stages(self) -> int:
        """How many times the generator doubles the resolution."""
        return max(0, self.size.bit_length() - 3)

    @property
    def base(self) -> int:
        """Side of the generator's first feature map."""
        return self.size >> self.stages

    @property
    def widths(self) -> list[int]:
        """Channels from the image inwards: 64, 128, 256, 512 for 64 x 64."""
        return [self.width << i for i in range(self.stages)]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (self.size, self.size, self.channels)


class DCGANGenerator(nn.Module):
    """Latents float (n, latent), and classes int64 (n,) -> images float (n, channels, size, size) in [-1, 1]."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        self.latent = config.latent
        self.classes = config.classes
        widths = config.widths[::-1]
        layers: list[nn.Module] = []
        # No biases: BatchNorm's own shift replaces them, and the reference implementation has none at the output.
        layers += [nn.ConvTranspose2d(config.latent + config.classes, widths[0], config.base, 1, 0, bias=False)]
        layers += [nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(widths[-1], config.channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents `z`, and of classes `labels` where the network knows some."""
        if labels is not None:
            classes = torch.arange(self.classes, device=labels.device)
            z = torch.cat((z, (labels[:, None] == classes).to(z.dtype)), 1)
        return cast(Tensor, self.layers(z[:, :, None, None]))


class DCGANDiscriminator(nn.Module):
    """Images float (n, channels, size, size) in [-1, 1], classes int64 (n,) -> logits float (n,); positive: real."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        widths = config.widths
        layers: list[nn.Module] = [nn.Conv2d(config.channels, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Conv2d(widths[-1], 1, config.base, 1, 0, bias=False)]
        self.layers = nn.Sequential(*layers)
        self.classes = nn.Conv2d(widths[-1], config.classes, config.base, bias=False) if config.classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of images `x`, and for classes `labels` where the network knows some."""
        if self.classes is None or labels is None:
            return cast(Tensor, self.layers(x).flatten())
        features = self.layers[:-1](x)
        # The same last layer for all classes, and one of its own for each.
        own: Tensor = self.classes(features).flatten(1).gather(1, labels[:, None])
        return cast(Tensor, self.layers[-1](features).flatten() + own.flatten())


def build(config: DCGANConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    return normal_networks(generator=DCGANGenerator(config), discriminator=DCGANDiscriminator(config))


SYSTEM = System(
    DCGANConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Radford et al. 2016, arXiv:1511.06434; pytorch/examples dcgan",
)
