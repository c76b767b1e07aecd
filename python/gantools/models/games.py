"""Games: phases that many systems share."""

from __future__ import annotations

import torch
from torch import Tensor

from gantools.models.system import Networks, Phase
from gantools.objectives.losses import LossConfig


def draw_latents(networks: Networks, real: Tensor) -> Tensor:
    """Fresh latents N(0, 1), float32 (n, latent): as many as there are real images, drawn from torch's random state."""
    return torch.randn(len(real), int(networks["generator"].latent), device=real.device)  # type: ignore[arg-type]


def two_player(loss: LossConfig) -> list[Phase]:
    """The ordinary game: one discriminator step, then one generator step against fresh latents.

    Logged: `loss_d`, `loss_g`; `real_score` and `fake_score`, the mean of D(x) and D(G(z)) in the discriminator step as
    probabilities; `discriminator_accuracy`, the share of both that it takes for what they are.
    """
    losses = loss.functions()

    def discriminator(networks: Networks, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            fake = networks["generator"](draw_latents(networks, real))
        # Two passes, because BatchNorm in D would mix the statistics of real and fake (ganhacks, 4).
        real_logits = networks["discriminator"](real)
        fake_logits = networks["discriminator"](fake)
        value = losses.discriminator(real_logits, fake_logits)
        with torch.no_grad():
            scores = {
                "loss_d": value.detach(),
                "real_score": real_logits.float().sigmoid().mean(),
                "fake_score": fake_logits.float().sigmoid().mean(),
                "discriminator_accuracy": 0.5 * ((real_logits > 0).float().mean() + (fake_logits < 0).float().mean()),
            }
        return value, scores

    def generator(networks: Networks, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        fake_logits = networks["discriminator"](networks["generator"](draw_latents(networks, real)))
        value = losses.generator(fake_logits)
        return value, {"loss_g": value.detach()}

    return [
        Phase("discriminator", ("discriminator",), discriminator),
        Phase("generator", ("generator",), generator),
    ]
