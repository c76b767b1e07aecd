"""Signs that a training goes wrong, in plain words."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gantools.errors import GantoolsError
from gantools.objectives.losses import LossConfig

# A discriminator this sure, at a loss this near to the least possible, teaches the generator nothing any more.
SURE_ACCURACY = 0.995
SURE_LOSS = 0.05
# Samples that differ this little, compared with real images, are one image.
COLLAPSED = 0.1


class Diverged(GantoolsError):
    """A loss or a weight is not a finite number any more."""


def check_finite(losses: dict[str, float], networks: dict[str, nn.Module]) -> None:
    """Raise `Diverged` when a mean loss or any weight or buffer is NaN or infinite, naming the first one."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} is {value}: the training has diverged.")
    for name, network in networks.items():
        tensors: dict[str, Tensor] = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
        # One number for all of them first, so that a healthy network costs one wait for the device.
        if not torch.stack([v.abs().max() for v in tensors.values()]).max().isfinite():
            layer = next(k for k, v in tensors.items() if not v.isfinite().all())
            raise Diverged(
                f"the {name}'s weights are not finite any more, first in {layer}: the training has diverged."
            )


def least_loss(loss: LossConfig) -> float:
    """The least value the discriminator's loss can take: above 0 with label smoothing, where it is the entropy of t."""
    t = loss.real_target
    return -(t * math.log(t) + (1 - t) * math.log(1 - t)) if t < 1 else 0.0


def discriminator_wins(means: dict[str, float], loss: LossConfig) -> str | None:
    """A warning when D told real from generated almost without error over a whole tick, else None."""
    if "discriminator_accuracy" not in means or "loss_d" not in means:
        return None
    if means["discriminator_accuracy"] < SURE_ACCURACY or means["loss_d"] - least_loss(loss) > SURE_LOSS:
        return None
    return (
        f"the discriminator tells every image apart (accuracy {means['discriminator_accuracy']:.1%}, "
        f"loss_d {means['loss_d']:.4f}); the generator gets little to learn from. If the grids stop improving, try a "
        "lower optim.lr, or loss.real_target=0.9."
    )


def diversity(images: Tensor) -> float:
    """Mean distance between two different images of a uint8 (n, ...) tensor: root mean square of pixels, in 0..255."""
    flat = images.reshape(len(images), -1).double()
    return float(torch.pdist(flat).mean()) / math.sqrt(flat.shape[1]) if len(images) > 1 else math.nan


def samples_collapsed(share: float) -> str | None:
    """A warning when samples differ by less than `COLLAPSED` of what real images differ by, else None."""
    if not share < COLLAPSED:
        return None
    return (
        f"the samples hardly differ from each other ({share:.1%} of the real images' distance): the generator may have "
        "collapsed to one image. Look at the newest grid; if it stays so, start again with another seed or a lower "
        "optim.lr."
    )
