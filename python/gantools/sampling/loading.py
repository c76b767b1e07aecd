"""The networks of a checkpoint, or of an exported model, ready to make images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from gantools.device import find_device
from gantools.errors import CheckpointError
from gantools.recipes.recipe import recipe_from_dict
from gantools.runs.checkpoint import read_config, read_shown


def load_networks(checkpoint: Path, device: str | None) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """The networks that a checkpoint's system shows, in evaluation mode, averages where there are some; its config.

    An exported model is taken as well.

    Raises:
        CheckpointError: damaged, or of other networks.
    """
    config = read_config(checkpoint, check=False, exported=True)
    recipe = recipe_from_dict(config["recipe"], str(checkpoint))
    with torch.random.fork_rng(devices=[]):  # the initialisation, which is overwritten, moves nobody's random numbers
        built = recipe.system.build(recipe.network)
    networks = {}
    for name in recipe.system.shows:
        network = built[name].eval().requires_grad_(False)
        read_shown(checkpoint, config, name, network)
        network.to(find_device(device))
        if recipe.compute.channels_last:
            network.to(memory_format=torch.channels_last)
        networks[name] = network
    if not networks:
        raise CheckpointError(f"{checkpoint}: its system shows no network.")
    return networks, config
