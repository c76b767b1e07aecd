"""Games: stages and phases that many systems share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.spectral import iterate
from gantools.models.system import Batch, Networks, Out, Phase, Role, Scalars, Seen, Stage, classes_of
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import PENALTIES, Penalties

After = Callable[[Networks, Seen], None]
"""What a phase does once its weights have changed."""


@dataclass(frozen=True)
class TwoPlayer:
    """A generator against a discriminator: a recipe's section `game` for most systems.

    Attributes:
        loss: which adversarial loss, and its options.
        penalties: of the discriminator, by name.
        critic_steps: discriminator steps to one generator step, each on a fresh batch of real images.
        clip: the discriminator's weights are clipped to [-clip, clip] after each of its steps; null: not.
        labels: classes of generated images: each as often as any other, or those of the batch's real images.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    penalties: Penalties = field(default_factory=Penalties)
    critic_steps: int = 1
    clip: float | None = None
    labels: Literal["uniform", "data"] = "uniform"

    def __post_init__(self) -> None:
        if self.critic_steps < 1:
            raise ConfigError(f"game.critic_steps: must be at least 1, not {self.critic_steps}.")
        if self.clip is not None and self.clip <= 0:
            raise ConfigError(f"game.clip: must be above 0, or null for no clipping, not {self.clip}.")


def draw_latents(networks: Networks, batch: Batch, name: str = "generator") -> Tensor:
    """Fresh latents N(0, 1), float32 (n, latent): one a row of the batch."""
    return batch.normal(int(networks[name].latent))  # type: ignore[arg-type]


def call(network: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """`network` of `x`, and of classes where there are some."""
    out: Tensor = network(x) if labels is None else network(x, labels)
    return out


def draw_labels(classes: int, batch: Batch, kind: Literal["uniform", "data"] = "uniform") -> Tensor | None:
    """Classes int64 (n,) for generated images; None where the networks know no classes."""
    if classes == 0:
        return None
    return batch.labels if kind == "data" else batch.integers(classes)


def scores(loss: LossConfig, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """What a discriminator's outputs for real and generated images say of it, for the statistics.

    `real_score` and `fake_score`, means of D(x) and D(G(z)): probabilities where the loss has them, else its raw
    outputs; `discriminator_accuracy`, the share of both that it takes for what they are, where the loss has a point
    between them, or of the pairs that it orders rightly, where it compares pairs.
    """
    real, fake = real.detach().float(), fake.detach().float()
    found = {"real_score": loss.loss.score(real).mean(), "fake_score": loss.loss.score(fake).mean()}
    border = loss.threshold()
    if border is not None:
        right = (real > border).float().mean() + (fake < border).float().mean()
        found["discriminator_accuracy"] = 0.5 * right
    elif loss.loss.pairs:
        found["discriminator_accuracy"] = (real > fake).float().mean()
    return found


def two_player(config: Any, game: TwoPlayer) -> tuple[Stage, ...]:
    """The ordinary game: discriminator steps, then one generator step against fresh latents.

    Logged: `loss_d`, `loss_g`, the penalties by name, and `scores`.
    """
    classes = classes_of(config)

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch, game.labels)
        with torch.no_grad():
            fake = call(networks["generator"], draw_latents(networks, batch), labels)
        judge = networks["discriminator"]
        # Two passes, because BatchNorm in D would mix the statistics of real and fake (ganhacks, 4).
        real_outputs = call(judge, batch.images, batch.labels if classes else None)
        fake_outputs = call(judge, fake, labels)
        value = game.loss.discriminator(real_outputs, fake_outputs)
        means = {"loss_d": value.detach(), **scores(game.loss, real_outputs, fake_outputs)}
        for penalty in game.penalties.always:
            told = labels if PENALTIES[penalty.name].generated else batch.labels
            term = penalty(critic(networks, told, classes), batch.images, fake, batch)
            value, means[penalty.name] = value + term, term.detach()
        return Out(value, means)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch, game.labels)
        fake = call(networks["generator"], draw_latents(networks, batch), labels)
        judge = networks["discriminator"]
        real_outputs = call(judge, batch.images, batch.labels if classes else None) if game.loss.loss.pairs else None
        value = game.loss.generator(call(judge, fake, labels), real_outputs)
        return Out(value, {"loss_g": value.detach()})

    uncoupled = ("discriminator",) if game.penalties.gradient else ()
    phases = [
        Phase(
            "discriminator",
            ("discriminator",),
            discriminator,
            after=follow("discriminator", None if game.clip is None else clip_weights(game.clip)),
            uncoupled=uncoupled,
        ),
        *lazy_penalties(game.penalties, classes, game.labels),
        Phase("generator", ("generator",), generator, every=game.critic_steps, after=follow("generator")),
    ]
    needs: tuple[Role, ...] = ("images", "labels") if classes else ("images",)
    return (Stage("all", tuple(phases), needs=needs),)


def critic(networks: Networks, labels: Tensor | None, classes: int) -> Callable[[Tensor], Tensor]:
    """The discriminator as a function of images alone, told the classes of these rows.

    Between a real image and a generated one, as in the gradient penalty, the class is that of the generated one.
    """
    return lambda x: call(networks["discriminator"], x, labels if classes else None)


def lazy_penalties(penalties: Penalties, classes: int, labels: Literal["uniform", "data"]) -> list[Phase]:
    """A phase of its own for each penalty that is computed seldom."""

    def phase(name: str) -> Phase:
        penalty = penalties.of[name]

        def loss(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
            fake, told = batch.images, batch.labels
            if PENALTIES[name].generated:
                told = draw_labels(classes, batch, labels)
                with torch.no_grad():
                    fake = call(networks["generator"], draw_latents(networks, batch), told)
            value = penalty(critic(networks, told, classes), batch.images, fake, batch)
            return Out(value, {name: value.detach()})

        after, uncoupled = follow("discriminator"), ("discriminator",)
        return Phase(name, ("discriminator",), loss, penalty.every, lazy=True, after=after, uncoupled=uncoupled)

    return [phase(penalty.name) for penalty in penalties.lazy]


def follow(name: str, first: After | None = None) -> After:
    """An `after` that does `first` and then moves the vectors of the spectral norms in network `name`, if any.

    One iteration for each change of the weights: Miyato et al. 2018 (arXiv:1802.05957), algorithm 1.
    """

    def after(networks: Networks, seen: Seen) -> None:
        if first is not None:
            first(networks, seen)
        iterate(networks[name])

    return after


def clip_weights(limit: float, name: str = "discriminator") -> After:
    """An `after` that clips the weights of network `name` to [-limit, limit].

    Source: Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1.
    """

    def after(networks: Networks, seen: Seen) -> None:
        torch._foreach_clamp_min_(list(networks[name].parameters()), -limit)
        torch._foreach_clamp_max_(list(networks[name].parameters()), limit)

    return after
