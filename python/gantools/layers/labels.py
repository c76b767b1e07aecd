"""The classes that a network is called with."""

from __future__ import annotations

from torch import Tensor


def required(labels: Tensor | None) -> Tensor:
    """`labels`, of a network that is told classes.

    Raises:
        ValueError: there are none.
    """
    if labels is None:
        raise ValueError("networks with classes are called with labels")
    return labels
