"""DCGAN for 28x28x1 clothes, laid out as in Keras: dense start, 5x5 kernels, `padding='same'`, dropout in D.

What the report does not say is settled so (the recipe repeats it): kernel 5 and N(0, 0.02) from the DCGAN paper
(arXiv:1511.06434); ReLU inside each transposed convolution with BatchNorm after it, and dropout 0.3 after each
convolution with 0.4 after the flattening, as the same report does for its 64x64 faces.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from gantools.errors import check_least, check_shares
from gantools.layers import keras
from gantools.layers.init import normal_networks
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System

KERNEL = 5


@dataclass(frozen=True)
class DCGANFashionConfig:
    """What can be varied; the images are 28x28x1."""

    latent: int = 100
    dropout: float = 0.3
    dropout_last: float = 0.4

    def __post_init__(self) -> None:
        check_least("network", self, "latent")
        check_shares("network", self, "dropout", "dropout_last", whole=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (28, 28, 1)


def build(config: DCGANFashionConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    layers: list[nn.Module] = [keras.BatchNorm2d(128)]
    for before, after, stride in ((128, 256, 2), (256, 128, 2), (128, 64, 1)):
        layers += keras.up(before, after, KERNEL, stride, nn.ReLU(), "after")
    layers += [keras.Conv2dSame(64, 1, KERNEL), nn.Tanh()]
    dense = nn.Linear(config.latent, 128 * 7 * 7)
    judge: list[nn.Module] = []
    for before, after in ((1, 64), (64, 128), (128, 256)):
        judge += keras.down(before, after, KERNEL, 0.2, config.dropout)
    judge += [nn.Flatten(), nn.Dropout(config.dropout_last), nn.Linear(256 * 4 * 4, 1)]
    return normal_networks(
        generator=keras.Generator(config.latent, dense, (128, 7, 7), layers), discriminator=keras.Discriminator(judge)
    )


SYSTEM = System(
    DCGANFashionConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Keras-style DCGAN for Fashion-MNIST; Radford et al. 2016, arXiv:1511.06434",
)
