"""DCGAN: convolutional generator and discriminator of Radford et al. 2016 (arXiv:1511.06434).

The defaults are the 64x64x3 network. Other sizes follow by the same rule: the generator starts from a `base` x `base`
map and doubles it until it has `size`; the discriminator is its mirror. 28 = 7 x 2 x 2 starts from 7 x 7.

With `classes` both networks are told the class of each image, and nothing else changes: the generator as further
latents (Mirza and Osindero 2014, arXiv:1411.1784), the discriminator as a projection of its features (Miyato and Koyama
2018, arXiv:1802.05637).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from gantools.layers.init import normal_networks
from gantools.layers.minibatch import MinibatchDiscrimination
from gantools.layers.norm import VirtualBatchNorm2d
from gantools.layers.sizes import SquareConfig, doubled_widths
from gantools.layers.stacks import doubling, halving
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System


@dataclass(frozen=True)
class DCGANConfig(SquareConfig):
    """Shape of both networks.

    Attributes:
        width: channels next to the image; they double with every halving of the resolution.
        classes: how many the networks are told apart; 0: none.
        reference: images of the fixed batch whose statistics the generator normalises by (virtual batch normalisation:
            Salimans et al. 2016, arXiv:1606.03498, section 3.5); 0: batch normalisation.
        kernels: of the discriminator's minibatch discrimination (section 3.2 there); 0: none.
    """

    size: int = 64
    channels: int = 3
    latent: int = 128
    width: int = 64
    classes: int = 0
    reference: int = 0
    kernels: int = 0

    def __post_init__(self) -> None:
        self.check("classes", "reference", "kernels", least=0)
        self.check("channels", "latent", "width")

    @property
    def widths(self) -> list[int]:
        """Channels from the image inwards: 64, 128, 256, 512 for 64 x 64."""
        return doubled_widths(self.width, self.doublings)


class DCGANGenerator(nn.Module):
    """Latents float (n, latent), and classes int64 (n,) -> images float (n, channels, size, size) in [-1, 1]."""

    reference: Tensor

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        self.latent = config.latent
        self.classes, self.fixed = config.classes, config.reference
        norm = partial(VirtualBatchNorm2d, reference=config.reference) if config.reference else nn.BatchNorm2d
        given = config.latent + config.classes
        self.layers = nn.Sequential(*doubling(given, config.widths[::-1], config.channels, config.base, norm))
        if config.reference:
            # Drawn once, from the seed of the training; of the classes in turn.
            self.register_buffer("reference", torch.randn(config.reference, config.latent))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents `z`, and of classes `labels` where the network knows some."""
        if not self.fixed:
            return cast(Tensor, self.layers(self.start(z, labels)))
        turn = None if labels is None else torch.arange(self.fixed, device=labels.device) % self.classes
        # Both passes in one: the reference batch comes first through every layer.
        start = torch.cat((self.start(self.reference, turn), self.start(z, labels)))
        return cast(Tensor, self.layers(start)[self.fixed :])

    def start(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """What the first layer sees: float (n, latent + classes, 1, 1)."""
        if labels is not None:
            classes = torch.arange(self.classes, device=labels.device)
            z = torch.cat((z, (labels[:, None] == classes).to(z.dtype)), 1)
        return z[:, :, None, None]


class DCGANDiscriminator(nn.Module):
    """Images float (n, channels, size, size) in [-1, 1], classes int64 (n,) -> logits float (n,); positive: real."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        last = config.widths[-1]
        layers = [*halving(config.channels, config.widths), nn.Conv2d(last, 1, config.base, 1, 0, bias=False)]
        self.layers = nn.Sequential(*layers)
        self.classes = nn.Conv2d(last, config.classes, config.base, bias=False) if config.classes else None
        self.alike: nn.Sequential | None = None
        if config.kernels:
            kernels = MinibatchDiscrimination(last * config.base**2, config.kernels)
            self.alike = nn.Sequential(nn.Flatten(), kernels, nn.Linear(config.kernels, 1, bias=False))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of images `x`, and for classes `labels` where the network knows some."""
        return self.examine(x, labels)[0]

    def examine(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (n,), and the features before the last layer (n, c, h, w)."""
        features = self.layers[:-1](x)
        out: Tensor = self.layers[-1](features).flatten()
        if labels is not None and self.classes is not None:
            # The same last layer for all classes, and one of its own for each.
            out = out + self.recognise(features).gather(1, labels[:, None]).flatten()
        if self.alike is not None:
            # Further features for the last layer, whose product with them is added to that with the others.
            out = out + self.alike(features).flatten().to(out.dtype)
        return out, features

    def recognise(self, features: Tensor) -> Tensor:
        """Logits of the classes (n, classes)."""
        assert self.classes is not None
        return cast(Tensor, self.classes(features)).flatten(1)


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
