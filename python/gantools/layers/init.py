"""Weight initialisations, each with its source."""

from __future__ import annotations

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


def normal_networks(**networks: nn.Module) -> dict[str, nn.Module]:
    """The `networks` by their names, each initialised by `normal_init` in this order."""
    for network in networks.values():
        normal_init(network)
    return networks
