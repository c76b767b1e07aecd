"""DCGAN for 64x64x3 faces, laid out as in Keras: 4x4 kernels, `padding='same'`, no batch normalisation anywhere.

Real and generated images go through the discriminator as one batch, which without batch normalisation only decides in
which order dropout draws. Images are in [-1, 1], so the last layer is a tanh.
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

KERNEL, LAST_KERNEL = 4, 5


@dataclass(frozen=True)
class DCGANKerasConfig:
    """What can be varied; the images are 64x64x3.

    `width` is the number of channels of the discriminator's first convolution, which all others follow; `slope` that of
    every LeakyReLU.
    """

    latent: int = 100
    width: int = 64
    slope: float = 0.3
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_least("network", self, "latent", "width")
        check_shares("network", self, "slope", "dropout", whole=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (64, 64, 3)


def build(config: DCGANKerasConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    width, double = config.width, 2 * config.width
    layers: list[nn.Module] = []
    for before, after in pairwise((double, double, 4 * width, 8 * width)):
        layers += keras.up(before, after, KERNEL, 2, nn.LeakyReLU(config.slope))
    layers += [keras.Conv2dSame(8 * width, 3, LAST_KERNEL), nn.Tanh()]
    dense = nn.Linear(config.latent, double * 8 * 8)
    judge: list[nn.Module] = []
    for before, after in pairwise((3, width, double, double)):
        judge += keras.down(before, after, KERNEL, config.slope)
    judge += [nn.Flatten(), nn.Dropout(config.dropout), nn.Linear(double * 8 * 8, 1)]
    return initialised(
        glorot_init,
        generator=keras.Generator(config.latent, dense, (double, 8, 8), layers),
        discriminator=keras.Discriminator(judge),
    )


SYSTEM = System(
    DCGANKerasConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Keras-style DCGAN for CelebA; Radford et al. 2016, arXiv:1511.06434",
)
