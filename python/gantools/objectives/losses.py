"""Adversarial losses: pure functions of logits.

The discriminator returns logits, one a sample; D(x) = sigmoid(logit) is the probability that x is real. Every loss is
a mean over the batch, computed in float32 whatever the networks computed in, and returned as a scalar tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from gantools.errors import ConfigError


class AdversarialLoss(NamedTuple):
    """The two halves of a two-player game."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (logits of real, logits of fake) -> scalar
    generator: Callable[[Tensor], Tensor]  # logits of fake -> scalar


def non_saturating_discriminator(real: Tensor, fake: Tensor, real_target: float = 1.0) -> Tensor:
    """-E[t log D(x) + (1 - t) log(1 - D(x))] - E[log(1 - D(G(z)))], binary cross-entropy with logits.

    `real_target` t < 1 is one-sided label smoothing (Salimans et al. 2016, arXiv:1606.03498, section 3.4).
    Source: Goodfellow et al. 2014 (arXiv:1406.2661), equation 1.
    """
    real, fake = real.float(), fake.float()
    # softplus(-r) + (1 - t) r is the cross-entropy against target t, stable for large |r|.
    return (F.softplus(-real) + (1.0 - real_target) * real).mean() + F.softplus(fake).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E[log D(G(z))]. Source: Goodfellow et al. 2014 (arXiv:1406.2661), section 3."""
    return F.softplus(-fake.float()).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """½ E[(D(x) - 1)²] + ½ E[D(G(z))²] on raw outputs. Source: Mao et al. 2017 (arXiv:1611.04076), equation 9."""
    return 0.5 * (real.float() - 1.0).square().mean() + 0.5 * fake.float().square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """½ E[(D(G(z)) - 1)²]. Source: Mao et al. 2017 (arXiv:1611.04076), equation 9."""
    return 0.5 * (fake.float() - 1.0).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]. Source: Lim and Ye 2017 (arXiv:1705.02894)."""
    return F.relu(1.0 - real.float()).mean() + F.relu(1.0 + fake.float()).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-E[D(G(z))]. Source: Lim and Ye 2017 (arXiv:1705.02894)."""
    return -fake.float().mean()


LOSSES: dict[str, AdversarialLoss] = {
    "non_saturating": AdversarialLoss(non_saturating_discriminator, non_saturating_generator),
    "least_squares": AdversarialLoss(least_squares_discriminator, least_squares_generator),
    "hinge": AdversarialLoss(hinge_discriminator, hinge_generator),
}


@dataclass(frozen=True)
class LossConfig:
    """Which loss; `real_target` is the target for real images, 0.9 for one-sided label smoothing."""

    name: Literal["non_saturating", "least_squares", "hinge"] = "non_saturating"
    real_target: float = 1.0

    def __post_init__(self) -> None:
        if not 0.5 < self.real_target <= 1.0:
            raise ConfigError(f"loss.real_target: must be in (0.5, 1], not {self.real_target}.")
        if self.real_target != 1.0 and self.name != "non_saturating":
            raise ConfigError(
                f"loss.real_target: label smoothing belongs to the non_saturating loss, not to {self.name}.",
                "Remove loss.real_target, or set loss.name to non_saturating.",
            )

    def functions(self) -> AdversarialLoss:
        """The two loss functions these settings mean."""
        loss = LOSSES[self.name]
        if self.real_target == 1.0:
            return loss
        return loss._replace(discriminator=partial(non_saturating_discriminator, real_target=self.real_target))
