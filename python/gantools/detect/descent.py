"""The loop that the networks of this folder learn by: Adam, a rate that falls to 0, a look at the loss now and then."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gantools.errors import GantoolsError
from gantools.progress import Progress
from gantools.schedules import Schedule

# Steps between two looks at the loss, which wait for the device.
LOOK = 10


def descend(
    network: nn.Module, loss_at: Callable[[int], Tensor], *, kimg: float, batch: int, lr: float, called: str, show: bool
) -> None:
    """Step a network's weights down a loss by Adam, whose rate falls by half a cosine.

    Args:
        network: whose weights are trained, in the mode they are trained in.
        loss_at: the loss at a step, counted from 0; what it draws is a function of the step alone.
        kimg: length in thousands of images shown.
        batch: images a step.
        lr: the rate at the beginning.
        called: what the network is called in messages.
        show: a progress bar on stderr.

    Raises:
        GantoolsError: the loss is not a finite number.
    """
    adam = torch.optim.Adam(network.parameters(), lr=lr)
    rate, steps = Schedule(lr, 0.0, kimg, shape="cosine"), max(1, round(kimg * 1000 / batch))
    with Progress(f"training the {called}", steps * batch, show=show) as bar:
        for step in range(steps):
            adam.param_groups[0]["lr"] = rate.at(step * batch)
            adam.zero_grad()
            loss = loss_at(step)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            if step % LOOK == 0 or step == steps - 1:
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise GantoolsError(
                        f"the {called}'s loss is {value} after {step * batch:,} images.", "Train with a lower --lr."
                    )
                bar.update((step + 1) * batch, f"loss {value:.3f}")
