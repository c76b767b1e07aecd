"""What all networks that score have in common: they are never trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

import torch
from torch import Tensor, nn

from gantools.pretrained.weights import load_state

N = TypeVar("N", bound=nn.Module)


class Frozen(nn.Module):
    """A network that is always in eval mode and without gradients: in train mode its features would be others."""

    def freeze(self) -> None:
        """No gradients of the weights there are now, and eval mode; called once all layers are made."""
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever is asked."""
        del mode
        return super().train(False)


def with_state(
    make: Callable[[], N], state: Mapping[str, Tensor], file: Path, what: str, device: torch.device | str
) -> N:
    """A network with the weights of a file.

    Args:
        make: makes the network.
        state: its weights by key, in float32.
        file: where they were read, for errors.
        what: whose they should be, for errors.
        device: where the network is put.

    Raises:
        WeightsError: weights of another network; the message names the key.
    """
    with torch.device("meta"):  # no time is spent on random weights that are replaced at once
        net = make()
    net = net.to_empty(device="cpu")
    load_state(net, state, file, what)
    return net.to(device)
