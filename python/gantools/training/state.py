"""All that changes while a training runs, and how it goes into a checkpoint and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from gantools.models import SYSTEMS
from gantools.recipes.recipe import Recipe
from gantools.runs.checkpoint import read_state, read_weights, write_checkpoint
from gantools.training.averaging import Average
from gantools.training.meter import Meter


class TrainingState:
    """Networks, their average, optimizers, counters.

    The networks are initialised from torch's global random state, which also is part of a checkpoint.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.networks = SYSTEMS[recipe.model].build(recipe.network)
        for network in self.networks.values():
            network.to(device)
            if recipe.channels_last:
                network.to(memory_format=torch.channels_last)
        o = recipe.optim
        self.optimizers = {
            name: torch.optim.Adam(
                network.parameters(), lr=o.lr, betas=(o.beta1, o.beta2), eps=o.eps, fused=device.type == "cuda"
            )
            for name, network in self.networks.items()
        }
        self.average: Average | None = None
        if recipe.ema.half_life_kimg is not None:
            self.average = Average(self.networks["generator"], recipe.ema.half_life_kimg, recipe.ema.ramp)
        self.meter = Meter()
        self.nimg = 0  # real images shown
        self.seconds = 0.0  # spent training

    @property
    def sampler(self) -> nn.Module:
        """The generator to sample from: the average where there is one."""
        return self.average.network if self.average is not None else self.networks["generator"]

    def save(self, run: Path, config: dict[str, Any]) -> Path:
        """Write a checkpoint into `run`; returns its folder."""
        networks = dict(self.networks)
        if self.average is not None:
            networks["generator_ema"] = self.average.network
        state: dict[str, Any] = {
            "nimg": self.nimg,
            "seconds": self.seconds,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "meter": self.meter.state_dict(),
            "rng": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["rng_cuda"] = torch.cuda.get_rng_state(self.device)
        return write_checkpoint(run, self.nimg, networks, config, state, self.recipe.keep)

    def load(self, checkpoint: Path) -> None:
        """Take over a checkpoint, torch's random state included."""
        state = read_state(checkpoint)
        for name, network in self.networks.items():
            read_weights(checkpoint, name, network)
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        if self.average is not None:
            read_weights(checkpoint, "generator_ema", self.average.network)
        self.meter.load_state_dict(state["meter"], self.device)
        self.nimg, self.seconds = state["nimg"], state["seconds"]
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and "rng_cuda" in state:
            torch.cuda.set_rng_state(state["rng_cuda"], self.device)
