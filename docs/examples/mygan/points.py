"""Points of the plane: a whole system of one's own, trained by `model: mygan.points` (docs/systems/own.md).

A point (x, y) is a grey image of 1x2 pixels. To change the networks, change the two classes; to change what they are
trained for, write stages instead of `two_player` (gantools/models/games.py is short).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System


@dataclass(frozen=True)
class PointsConfig:
    """A recipe's section `network`: the networks' shape, with `image_shape`, the (h, w, c) of the images."""

    latent: int = 16
    width: int = 128

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (1, 2, 1)


def layers(inputs: int, width: int, outputs: int) -> nn.Sequential:
    hidden = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*hidden, nn.ReLU(), nn.Linear(width, outputs))


class Generator(nn.Module):
    """Latents float (n, latent) -> images float (n, 1, 1, 2)."""

    def __init__(self, config: PointsConfig) -> None:
        super().__init__()
        self.latent = config.latent  # gantools draws so many numbers for each image
        self.layers = layers(config.latent, config.width, 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).view(-1, 1, 1, 2)


class Discriminator(nn.Module):
    """Images float (n, 1, 1, 2) -> float (n,): the more, the more real."""

    def __init__(self, config: PointsConfig) -> None:
        super().__init__()
        self.layers = layers(2, config.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1)).flatten()


def build(config: PointsConfig) -> dict[str, nn.Module]:
    return {"generator": Generator(config), "discriminator": Discriminator(config)}


SYSTEM = System(PointsConfig, TwoPlayer, build, two_player)
