"""Convolutional GAN for 28x28x1 digits, laid out as in Keras, with three dense layers before the first map.

As reported all three are 12,544 = 7 · 7 · 256 wide, which makes 315 of the generator's 317 million weights; `hidden` is
the width of the first two.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from gantools.errors import check_least, check_shares
from gantools.layers import keras
from gantools.layers.init import glorot_init, initialised
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System

KERNEL = 5
MAP = (256, 7, 7)
DENSE = 256 * 7 * 7


@dataclass(frozen=True)
class ConvMNISTConfig:
    """What can be varied; the images are 28x28x1.

    Attributes:
        hidden: width of the first two dense layers; the third one's is that of the map.
        slope: of every LeakyReLU.
        dropout: after each convolution of the discriminator.
    """

    latent: int = 100
    hidden: int = DENSE
    slope: float = 0.3
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_least("network", self, "latent", "hidden")
        check_shares("network", self, "slope", "dropout", whole=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (28, 28, 1)


def build(config: ConvMNISTConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    dense: list[nn.Module] = []
    for before, after in pairwise((config.latent, config.hidden, config.hidden, DENSE)):
        dense += [nn.Linear(before, after, bias=False), keras.BatchNorm1d(after), nn.LeakyReLU(config.slope)]
    layers: list[nn.Module] = []
    for before, after, stride in ((256, 128, 1), (128, 64, 2)):
        layers += keras.up(before, after, KERNEL, stride, nn.LeakyReLU(config.slope), "before", bias=False)
    layers += keras.up(64, 1, KERNEL, 2, nn.Tanh(), bias=False)
    judge: list[nn.Module] = []
    for before, after in pairwise((1, 64, 64, 64, 128)):
        judge += keras.down(before, after, KERNEL, config.slope, config.dropout)
    judge += [nn.Flatten(), nn.Linear(128 * 2 * 2, 1)]
    return initialised(
        glorot_init,
        generator=keras.Generator(config.latent, nn.Sequential(*dense), MAP, layers),
        discriminator=keras.Discriminator(judge),
    )


SYSTEM = System(
    ConvMNISTConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Keras-style convolutional GAN for MNIST; Radford et al. 2016, arXiv:1511.06434",
)
