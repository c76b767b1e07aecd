"""The contract of a system: what the loop must know of it to train it, and all that it knows.

A phase says which networks it updates, by what loss, and how often. The loop runs the phases of a system in order and
knows nothing else about it. Lazy regularisation, several discriminators or a second pathway are further phases
(the idea is StyleGAN2's: Karras et al. 2020, arXiv:1912.04958, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gantools.objectives.losses import LossConfig

Networks = Mapping[str, nn.Module]


@dataclass(frozen=True)
class Phase:
    """One update within a training step.

    Attributes:
        name: for messages and for stats.
        updates: names of the networks that this phase's optimizers step; all others are frozen while it runs.
        loss: (networks, real images float (n, c, h, w) in [-1, 1]) -> (scalar loss, scalars to log by name).
        every: runs when the number of the step (from 0) is a multiple of it.
    """

    name: str
    updates: tuple[str, ...]
    loss: Callable[[Networks, Tensor], tuple[Tensor, dict[str, Tensor]]]
    every: int = 1


@dataclass(frozen=True)
class System:
    """Networks and how they are trained: one entry of `gantools.models.SYSTEMS`.

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
