"""EBGAN: the discriminator is an autoencoder, and how badly it reproduces an image is the image's energy.

Zhao et al. 2017 (arXiv:1609.03126). Real images get low energies and generated ones high ones, up to a margin; the
generator makes images of low energy. The pulling-away term of the encoder's codes (`game.pulling_away`) keeps generated
images apart. The stacks of both are DCGAN's; the paper's networks for MNIST are fully connected ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from gantools.layers.init import normal_networks
from gantools.layers.precision import wide
from gantools.layers.sizes import SquareConfig, doubled_widths
from gantools.layers.stacks import doubling, halving
from gantools.models.games import TwoPlayer, two_player
from gantools.models.system import System
from gantools.objectives.penalties import norms


@dataclass(frozen=True)
class EBGANConfig(SquareConfig):
    """Shape of both networks.

    Attributes:
        size: side of the images: 4, 5, 6 or 7 doubled at least once.
        width: channels next to the image; they double with every halving of the resolution.
        code: numbers that the encoder makes of an image, and the decoder an image of.
    """

    size: int = 28
    channels: int = 1
    latent: int = 64
    width: int = 32
    code: int = 32

    def __post_init__(self) -> None:
        self.check("channels", "latent", "width", "code")

    @property
    def widths(self) -> list[int]:
        """Channels from the image inwards."""
        return doubled_widths(self.width, self.doublings)


class Generator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, size, size) in [-1, 1]."""

    def __init__(self, config: EBGANConfig) -> None:
        super().__init__()
        self.latent = config.latent
        self.layers = nn.Sequential(*doubling(config.latent, config.widths[::-1], config.channels, config.base))

    def forward(self, z: Tensor) -> Tensor:
        """Images of latents `z`."""
        return cast(Tensor, self.layers(z[:, :, None, None]))


class Autoencoder(nn.Module):
    """Images float (n, channels, size, size) in [-1, 1] -> -E(x) float (n,), never above 0; the more, the more real.

    E(x) = ‖Dec(Enc(x)) - x‖₂ over all pixels. Source: Zhao et al. 2017 (arXiv:1609.03126), equation 4.
    """

    energies = True

    def __init__(self, config: EBGANConfig) -> None:
        super().__init__()
        last = nn.Conv2d(config.widths[-1], config.code, config.base)
        self.encoder = nn.Sequential(*halving(config.channels, config.widths), last)
        self.decoder = nn.Sequential(*doubling(config.code, config.widths[::-1], config.channels, config.base))

    def forward(self, x: Tensor) -> Tensor:
        """Minus the energies of images `x`."""
        return self.examine(x)[0]

    def examine(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Minus the energies (n,), and the codes (n, code)."""
        codes: Tensor = self.encoder(x)
        # Both depend on x: the generator is told how to change its image, not only what the autoencoder makes of it.
        return -norms(wide(self.decoder(codes)) - wide(x)), codes.flatten(1)


def build(config: EBGANConfig) -> dict[str, nn.Module]:
    """Both networks, initialised from torch's random state."""
    return normal_networks(generator=Generator(config), discriminator=Autoencoder(config))


SYSTEM = System(EBGANConfig, TwoPlayer, build, two_player, reference="Zhao et al. 2017, arXiv:1609.03126")
