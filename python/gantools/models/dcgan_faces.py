"""DCGAN for 64x64x3 faces from a set of a few thousand, laid out as in Keras: a wide generator, dropout against it.

The generator has seven transposed convolutions, three of them of stride 1; each is followed by a ReLU and then by batch
normalisation. What the report does not say is settled so (the recipe repeats it): weights N(0, 0.02) from the DCGAN
paper (arXiv:1511.06434).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from gantools.errors import check_least, check_shares
from gantools.layers import keras
from gantools.layers.init import normal_networks
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System

# Channels next to the image, of the generator's steps with their strides, and of the discriminator's.
STEPS = ((16, 2), (8, 2), (8, 1), (4, 2), (4, 1), (2, 2), (1, 1))
JUDGE = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class DCGANFacesConfig:
    """What can be varied; the images are 64x64x3.

    `width` is the number of channels next to the image, 64 in the report: the widest layers have 16 times as many.
    """

    latent: int = 100
    width: int = 64
    dropout: float = 0.3
    dropout_last: float = 0.4

    def __post_init__(self) -> None:
        check_least("network", self, "latent", "width")
        check_shares("network", self, "dropout", "dropout_last", whole=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (64, 64, 3)


def build(config: DCGANFacesConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    width, widest = config.width, 16 * config.width
    layers: list[nn.Module] = [keras.BatchNorm2d(widest)]
    before = widest
    for times, stride in STEPS:
        layers += keras.up(before, times * width, 4, stride, nn.ReLU(), "after")
        before = times * width
    layers += [keras.Conv2dSame(width, 3, 3), nn.Tanh()]
    dense = nn.Linear(config.latent, widest * 4 * 4)
    judge: list[nn.Module] = []
    for a, b in pairwise((3, *(times * width for times in JUDGE))):
        judge += keras.down(a, b, 5, 0.2, config.dropout, norm=True)
    judge += [nn.Flatten(), nn.Dropout(config.dropout_last), nn.Linear(widest * 2 * 2, 1)]
    return normal_networks(
        generator=keras.Generator(config.latent, dense, (widest, 4, 4), layers),
        discriminator=keras.Discriminator(judge),
    )


SYSTEM = System(
    DCGANFacesConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Keras-style DCGAN for faces; Radford et al. 2016, arXiv:1511.06434",
)
