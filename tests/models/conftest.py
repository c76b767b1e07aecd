from collections.abc import Callable

import pytest
from torch import nn


@pytest.fixture
def layer_parameters() -> Callable[[nn.Module], list[int]]:
    """layer_parameters(network): the number of parameters of each layer that has any, in order."""

    def count(network: nn.Module) -> list[int]:
        counts = [sum(p.numel() for p in m.parameters(recurse=False)) for m in network.modules()]
        return [n for n in counts if n]

    return count
