"""The systems gantools can train: a file each for networks and config, and one dictionary that lists them.

A model knows no training loop. What the loop needs is in `System`: how to build the networks, and which phases train
them. To add a system, write its file and add one entry to `SYSTEMS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from gantools.losses import LossConfig
from gantools.models import dcgan, dcgan_fashion
from gantools.training.phases import Phase, two_player


@dataclass(frozen=True)
class System:
    """One entry of the registry.

    Attributes:
        config: frozen dataclass of the networks' settings, with a property `image_shape` (h, w, c).
        build: config -> networks by name; `generator` takes latents float (n, generator.latent).
        phases: loss settings -> the phases of one training step.
        reference: where the networks come from.
    """

    config: type[Any]
    build: Callable[[Any], dict[str, nn.Module]]
    phases: Callable[[LossConfig], list[Phase]]
    reference: str


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
