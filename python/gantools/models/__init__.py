"""The systems gantools can train: a file each for networks and config, and one dictionary that lists them.

A model knows no training loop. What the loop needs is in `System` (`system.py`): how to build the networks, and which
phases train them. Phases that many systems share are in `games.py`. To add a system, write its file and add one entry
to `SYSTEMS`.
"""

from __future__ import annotations

from gantools.models import dcgan, dcgan_fashion
from gantools.models.games import two_player
from gantools.models.system import System

SYSTEMS: dict[str, System] = {
    "dcgan": System(
        dcgan.DCGANConfig, dcgan.build, two_player, "Radford et al. 2016, arXiv:1511.06434; pytorch/examples dcgan"
    ),
    "dcgan-fashion": System(
        dcgan_fashion.DCGANFashionConfig,
        dcgan_fashion.build,
        two_player,
        "Keras-style DCGAN for Fashion-MNIST; Radford et al. 2016, arXiv:1511.06434",
    ),
}
