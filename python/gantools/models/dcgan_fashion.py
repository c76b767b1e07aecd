"""DCGAN for 28x28x1 clothes, laid out as in Keras: dense start, 5x5 kernels, `padding='same'`, dropout in D.

What the report does not say is settled so (the recipe repeats it): kernel 5 and N(0, 0.02) from the DCGAN paper
(arXiv:1511.06434); ReLU inside each transposed convolution with BatchNorm after it, and dropout 0.3 after each
convolution with 0.4 after the flattening, as the same report does for its 64x64 faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from gantools.errors import ConfigError
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
        if self.latent < 1:
            raise ConfigError(f"network.latent: must be at least 1, not {self.latent}.")
        if not (0 <= self.dropout < 1 and 0 <= self.dropout_last < 1):
            raise ConfigError("network: dropout and dropout_last must be in [0, 1).")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (28, 28, 1)


class DCGANFashionGenerator(nn.Module):
    """Latents float (n, latent) -> images float (n, 1, 28, 28) in [-1, 1]."""

    def __init__(self, config: DCGANFashionConfig) -> None:
        super().__init__()
        self.latent = config.latent
        self.dense = nn.Linear(config.latent, 128 * 7 * 7)
        layers: list[nn.Module] = [keras.BatchNorm2d(128)]
        for before, after, stride in ((128, 256, 2), (256, 128, 2), (128, 64, 1)):
            layers += [keras.ConvTranspose2dSame(before, after, KERNEL, stride), nn.ReLU(), keras.BatchNorm2d(after)]
        layers += [keras.Conv2dSame(64, 1, KERNEL), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Images of latents `z`."""
        return cast(Tensor, self.layers(self.dense(z).view(-1, 128, 7, 7)))


class DCGANFashionDiscriminator(nn.Module):
    """Images float (n, 1, 28, 28) in [-1, 1] -> logits float (n,); positive means real."""

    def __init__(self, config: DCGANFashionConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((1, 64), (64, 128), (128, 256)):
            layers += [keras.Conv2dSame(before, after, KERNEL, 2), nn.LeakyReLU(0.2), nn.Dropout(config.dropout)]
        layers += [nn.Flatten(), nn.Dropout(config.dropout_last), nn.Linear(256 * 4 * 4, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `x`."""
        return self.examine(x)[0]

    def examine(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (n,), and the features before the last layer (n, f)."""
        features = self.layers[:-1](x)
        return cast(Tensor, self.layers[-1](features)).flatten(), features


def build(config: DCGANFashionConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    return normal_networks(generator=DCGANFashionGenerator(config), discriminator=DCGANFashionDiscriminator(config))


SYSTEM = System(
    DCGANFashionConfig,
    TwoPlayer,
    build,
    two_player,
    reference="Keras-style DCGAN for Fashion-MNIST; Radford et al. 2016, arXiv:1511.06434",
)
