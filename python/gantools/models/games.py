"""Games: stages and phases that many systems share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.models.system import Batch, Networks, Out, Phase, Role, Scalars, Seen, Stage, classes_of
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import PENALTIES, Penalties


@dataclass(frozen=True)
class Bursts:
    """Before some of the generator's steps the discriminator takes more steps than before others.

    Source: the code of Arjovsky et al. 2017 (arXiv:1701.07875), main.py: 100 before each of the first 25 generator
    steps and before every 500th.

    Attributes:
        steps: the discriminator's, before each of those.
        first: that many of the generator's first steps.
        every: and each step of it whose number, counted from 0, is a multiple of this.
    """

    steps: int = 100
    first: int = 25
    every: int = 500

    def __post_init__(self) -> None:
        if min(self.steps, self.every) < 1 or self.first < 0:
            raise ConfigError("game.bursts: steps and every must be at least 1, first at least 0.")

    def ends(self, critic_steps: int) -> Callable[[int], bool]:
        """Whether a step, counted from 0, is the last before the generator moves: a phase's `when`."""
        first, every, most = self.first, self.every, self.steps
        begin = first * most
        # Before the first multiple of `every` that is not among the first ones there may be a piece of a round.
        piece = (-first % every) * critic_steps
        usual = (every - 1) * critic_steps

        def when(step: int) -> bool:
            if step < begin:
                return step % most == most - 1
            step -= begin
            if step < piece:
                return step % critic_steps == critic_steps - 1
            step = (step - piece) % (most + usual)
            return step == most - 1 if step < most else (step - most) % critic_steps == critic_steps - 1

        return when


@dataclass(frozen=True)
class TwoPlayer:
    """A generator against a discriminator: a recipe's section `game` for most systems.

    Attributes:
        loss: which adversarial loss, and its options.
        penalties: of the discriminator, by name.
        critic_steps: discriminator steps to one generator step, each on a fresh batch of real images.
        clip: the discriminator's weights are clipped to [-clip, clip] after each of its steps; null: not.
        labels: classes of generated images: each as often as any other, or those of the batch's real images.
        bursts: more critic steps before some of the generator's; null: as many before each.
        together: the discriminator sees real and generated images as one batch, not as two; refused with batch
            normalisation in it.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    penalties: Penalties = field(default_factory=Penalties)
    critic_steps: int = 1
    clip: float | None = None
    labels: Literal["uniform", "data"] = "uniform"
    bursts: Bursts | None = None
    together: bool = False

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
        told = batch.labels if classes else None
        if game.together:
            both = None if told is None or labels is None else torch.cat((told, labels))
            outputs = call(judge, torch.cat((batch.images, fake)), both)
            real_outputs, fake_outputs = outputs[: len(fake)], outputs[len(fake) :]
        else:
            # Two passes, because BatchNorm in D would mix the statistics of real and fake (ganhacks, 4).
            real_outputs, fake_outputs = call(judge, batch.images, told), call(judge, fake, labels)
        value = game.loss.discriminator(real_outputs, fake_outputs)
        means = {"loss_d": value.detach(), **scores(game.loss, real_outputs, fake_outputs)}
        for penalty in game.penalties.always:
            classes_told = labels if PENALTIES[penalty.name].generated else batch.labels
            term = penalty(critic(networks, classes_told, classes), batch.images, fake, batch)
            value, means[penalty.name] = value + term, term.detach()
        return Out(value, means)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch, game.labels)
        fake = call(networks["generator"], draw_latents(networks, batch), labels)
        judge = networks["discriminator"]
        real_outputs = call(judge, batch.images, batch.labels if classes else None) if game.loss.loss.pairs else None
        value = game.loss.generator(call(judge, fake, labels), real_outputs)
        return Out(value, {"loss_g": value.detach()})

    uncoupled = ("discriminator",) if game.penalties.gradient or game.together else ()
    when = None if game.bursts is None else game.bursts.ends(game.critic_steps)
    phases = [
        Phase(
            "discriminator",
            ("discriminator",),
            discriminator,
            after=None if game.clip is None else clip_weights(game.clip),
            uncoupled=uncoupled,
        ),
        *lazy_penalties(game.penalties, classes, game.labels),
        Phase("generator", ("generator",), generator, every=game.critic_steps, when=when),
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

        return Phase(name, ("discriminator",), loss, penalty.every, lazy=True, uncoupled=("discriminator",))

    return [phase(penalty.name) for penalty in penalties.lazy]


def clip_weights(limit: float, name: str = "discriminator") -> Callable[[Networks, Seen], None]:
    """An `after` that clips the weights of network `name` to [-limit, limit].

    Source: Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1.
    """

    def after(networks: Networks, seen: Seen) -> None:
        torch._foreach_clamp_min_(list(networks[name].parameters()), -limit)
        torch._foreach_clamp_max_(list(networks[name].parameters()), limit)

    return after
