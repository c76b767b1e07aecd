"""A system of next to nothing, trained by the same loop: what a step of it takes is what the loop itself costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gantools.models.system import Batch, Networks, Out, Phase, Scalars, Stage, System


@dataclass(frozen=True)
class EmptyConfig:
    """Shape of the images that are read and hardly looked at."""

    size: int = 64
    channels: int = 3

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.size, self.size, self.channels)


@dataclass(frozen=True)
class EmptyGame:
    """Nothing to choose."""


class Weight(nn.Module):
    """One linear layer of 4 numbers to one."""

    latent = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def build(config: Any) -> dict[str, nn.Module]:
    return {"generator": Weight(), "discriminator": Weight()}


def stages(config: Any, game: Any) -> tuple[Stage, ...]:
    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        with torch.no_grad():
            fake = networks["generator"](batch.normal(4))
        value = (networks["discriminator"](batch.images[:, 0, 0, :4]) - fake).square().mean()
        return Out(value, {"loss_d": value.detach()})

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        value = networks["generator"](batch.normal(4)).square().mean()
        return Out(value, {"loss_g": value.detach()})

    phases = (
        Phase("discriminator", ("discriminator",), discriminator),
        Phase("generator", ("generator",), generator),
    )
    return (Stage("all", phases),)


SYSTEM = System(EmptyConfig, EmptyGame, build, stages)
RECIPE = {"name": "empty", "model": "benches.empty", "optim": {"lr": 0.0002}, "batch": 128, "kimg": 1000}
