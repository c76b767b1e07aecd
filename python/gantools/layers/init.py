"""Weight initialisations, each with its source."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from gantools.layers.norm import VirtualBatchNorm2d


def normal_init(network: nn.Module, std: float = 0.02) -> None:
    """Initialise as DCGAN does, in place: weights N(0, std), BatchNorm weights N(1, std), biases 0.

    Source: Radford et al. 2016 (arXiv:1511.06434), section 4; BatchNorm as in its reference implementations.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | VirtualBatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def glorot_init(network: nn.Module) -> None:
    """Initialise as Keras does, in place: weights uniform within ±√(6 / (fan_in + fan_out)), biases 0.

    Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, equation
    16; batch normalisation keeps its 1 and 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def fan_in_init(network: nn.Module) -> None:
    """Initialise linear layers in place: weights uniform within ±1 / √fan_in, biases 0.

    Source: Glorot and Bengio 2010, equation 1 (what they call the standard initialisation).
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialised(init: Callable[[nn.Module], None], **networks: nn.Module) -> dict[str, nn.Module]:
    """The `networks` by their names, each initialised by `init` in this order."""
    for network in networks.values():
        init(network)
    return networks


def normal_networks(**networks: nn.Module) -> dict[str, nn.Module]:
    """The `networks` by their names, each initialised by `normal_init` in this order."""
    return initialised(normal_init, **networks)
