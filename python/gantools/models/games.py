"""Games: stages and phases that many systems share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError, check_least
from gantools.layers.memory import History, Pool
from gantools.layers.spectral import iterate
from gantools.models.system import Batch, Networks, Out, Phase, Role, Scalars, Seen, Stage, classes_of
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import PENALTIES, Penalties, PenaltyConfig
from gantools.objectives.terms import classification, feature_matching, historical, pulling_away, recognised


@dataclass(frozen=True)
class Auxiliary:
    """Weights of the cross-entropy of classes, which the discriminator names as in AC-GAN; both 0: it is told them.

    Source: Odena et al. 2017 (arXiv:1610.09585), equations 2 and 3, where both weights are 1.

    Attributes:
        discriminator: of real and of generated images, in its loss.
        generator: of its own images, in its loss.
    """

    discriminator: float = 0.0
    generator: float = 0.0

    def __post_init__(self) -> None:
        check_least("game.auxiliary", self, "discriminator", "generator", least=0)

    @property
    def on(self) -> bool:
        """Whether the discriminator names classes."""
        return max(self.discriminator, self.generator) > 0


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
        check_least("game.bursts", self, "steps", "every")
        check_least("game.bursts", self, "first", least=0)

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


After = Callable[[Networks, Seen], None]
"""What a phase does once its weights have changed."""


@dataclass(frozen=True)
class TwoPlayer:
    """A generator against a discriminator: a recipe's section `game` for most systems.

    Three switches need a discriminator with a method `examine(images, labels) -> (outputs, features before the last
    layer)`; `auxiliary` one with `recognise(features) -> logits of classes` besides.

    Attributes:
        loss: which adversarial loss, and its options.
        penalties: of the discriminator, by name.
        critic_steps: discriminator steps to one generator step, each on a fresh batch of real images.
        clip: the discriminator's weights are clipped to [-clip, clip] after each of its steps; null: not.
        labels: classes of generated images: each as often as any other, or those of the batch's real images.
        bursts: more critic steps before some of the generator's; null: as many before each.
        together: the discriminator sees real and generated images as one batch, not as two; refused with batch
            normalisation in it.
        adversarial: weight of the adversarial loss in the generator's.
        feature_matching: of the distance of real and generated images' mean features, in the generator's loss.
        pulling_away: of the likeness of generated images' features, in the generator's loss.
        historical: of the distance of the weights from their mean over all steps, in both losses.
        auxiliary: of the cross-entropy of classes.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    penalties: Penalties = field(default_factory=Penalties)
    critic_steps: int = 1
    clip: float | None = None
    labels: Literal["uniform", "data"] = "uniform"
    bursts: Bursts | None = None
    together: bool = False
    adversarial: float = 1.0
    feature_matching: float = 0.0
    pulling_away: float = 0.0
    historical: float = 0.0
    auxiliary: Auxiliary = field(default_factory=Auxiliary)

    def __post_init__(self) -> None:
        check_least("game", self, "critic_steps")
        if self.clip is not None and self.clip <= 0:
            raise ConfigError(f"game.clip: must be above 0, or null for no clipping, not {self.clip}.")
        check_least("game", self, "adversarial", "feature_matching", "pulling_away", "historical", least=0)
        if self.adversarial == self.feature_matching == 0:
            raise ConfigError(
                "game: the generator has neither an adversarial loss nor feature matching.",
                "Set game.adversarial or game.feature_matching above 0.",
            )

    @property
    def features(self) -> list[str]:
        """The switches that are on and need a discriminator with features."""
        named = {"feature_matching": self.feature_matching, "pulling_away": self.pulling_away}
        return [name for name, weight in named.items() if weight > 0] + ["auxiliary"] * self.auxiliary.on

    def prepare(self, networks: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """What its switches remember, by name.

        Raises:
            ConfigError: the discriminator lacks what a switch needs.
        """
        judge = networks.get("discriminator")
        if self.features and not hasattr(judge, "examine"):
            raise ConfigError(
                f"game.{self.features[0]}: the discriminator of this model shows no features (no method `examine`).",
                f"Take it out, or train a model that does: {FEATURED}.",
            )
        if self.auxiliary.on and (getattr(judge, "classes", None) is None or not hasattr(judge, "recognise")):
            raise ConfigError(
                "game.auxiliary: the discriminator of this model names no classes.",
                "Images with classes are needed, and model dcgan or resnet.",
            )
        if self.loss.loss.energies != getattr(judge, "energies", False):
            raise ConfigError(
                f"game.loss.name: {self.loss.name} does not fit the discriminator: the loss energy is for those whose "
                "outputs are energies, as in model ebgan, and they for it.",
                f"Set game.loss.name={'non_saturating' if self.loss.loss.energies else 'energy'}, or another model.",
            )
        kept = ("generator", "discriminator") if self.historical > 0 else ()
        return {f"{name}_history": History(networks[name]) for name in kept}


FEATURED = "conv-mnist, dcgan, dcgan-faces, dcgan-fashion, dcgan-keras, ebgan, resnet"


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


def discriminator_loss(loss: LossConfig, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The adversarial loss of a discriminator's outputs float (n,), and what is logged of it: `loss_d` and `scores`."""
    value = loss.discriminator(real, fake)
    return value, {"loss_d": value.detach(), **scores(loss, real, fake)}


def with_penalties(out: Out, penalties: Penalties, term: Callable[[PenaltyConfig], Tensor]) -> Out:
    """`out` and the terms of those penalties that are of every step, each logged by its name."""
    value, means = out.value, dict(out.means)
    for penalty in penalties.always:
        added = term(penalty)
        value, means[penalty.name] = value + added, added.detach()
    return Out(value, means, out.rows)


def summed(terms: Mapping[str, Tensor], name: str = "loss_g") -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of the terms of a loss, and what is logged of it: each term, and their sum by this name."""
    value = sum(terms.values(), start=next(iter(terms.values())).new_zeros(()))
    return value, {**{term: part.detach() for term, part in terms.items()}, name: value.detach()}


def roles(classes: int) -> tuple[Role, ...]:
    """What a stage needs of the data whose networks are told `classes` classes: see `Stage.needs`."""
    return ("images", "labels") if classes else ("images",)


def two_player(config: Any, game: TwoPlayer) -> tuple[Stage, ...]:
    """The ordinary game: discriminator steps, then one generator step against fresh latents.

    Logged: `loss_d` (the adversarial one), `loss_g` and its terms, if it has several, the penalties by name, `scores`,
    and with `auxiliary` the shares of real and of generated images whose class is recognised.
    """
    classes = classes_of(config)
    told = 0 if game.auxiliary.on else classes  # classes that the discriminator is told

    def judge(networks: Networks, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outputs and features of the discriminator; without a use for features its outputs twice."""
        network, labels = networks["discriminator"], labels if told else None
        if not game.features:
            return (outputs := call(network, images, labels)), outputs
        found: tuple[Tensor, Tensor] = network.examine(images, labels)  # type: ignore[operator]
        return found

    def judge_both(
        networks: Networks, batch: Batch, fake: Tensor, labels: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Outputs and features for real images, and for generated ones."""
        if not game.together:
            # Two passes, because BatchNorm in D would mix the statistics of real and fake (ganhacks, 4).
            return judge(networks, batch.images, batch.labels), judge(networks, fake, labels)
        both = None if batch.labels is None or labels is None else torch.cat((batch.labels, labels))
        outputs, features = judge(networks, torch.cat((batch.images, fake)), both)
        n = len(batch)
        return (outputs[:n], features[:n]), (outputs[n:], features[n:])

    def logits(networks: Networks, features: Tensor) -> Tensor:
        found: Tensor = networks["discriminator"].recognise(features)  # type: ignore[operator]
        return found

    def remembered(networks: Networks, name: str) -> Tensor:
        """The term of a network's history, with its weight; 0 before its first step."""
        history = cast(History, networks[f"{name}_history"])
        distance = historical(networks[name].parameters(), history.means())
        return game.historical * history.count.clamp(max=1) * distance

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch, game.labels)
        with torch.no_grad():
            fake = call(networks["generator"], draw_latents(networks, batch), labels)
        (real_outputs, real_features), (fake_outputs, fake_features) = judge_both(networks, batch, fake, labels)

        def term(penalty: PenaltyConfig) -> Tensor:
            of_these = labels if PENALTIES[penalty.name].generated else batch.labels
            return penalty(critic(networks, of_these, told), batch.images, fake, batch)

        out = Out(*discriminator_loss(game.loss, real_outputs, fake_outputs))
        out = with_penalties(out, game.penalties, term)
        value, means = out.value, dict(out.means)
        if game.auxiliary.on:
            assert batch.labels is not None and labels is not None
            for kind, features, right in (("real", real_features, batch.labels), ("fake", fake_features, labels)):
                named = logits(networks, features)
                value = value + game.auxiliary.discriminator * classification(named, right)
                means[f"recognised_{kind}"] = recognised(named, right)
        if game.historical > 0:
            value = value + remembered(networks, "discriminator")
        return Out(value, means)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch, game.labels)
        fake = call(networks["generator"], draw_latents(networks, batch), labels)
        outputs, features = judge(networks, fake, labels)
        real_outputs = real_features = None
        if game.loss.loss.pairs or game.feature_matching > 0:
            real_outputs, real_features = judge(networks, batch.images, batch.labels)
        terms = {}
        if game.adversarial > 0:
            terms["adversarial"] = game.adversarial * game.loss.generator(outputs, real_outputs)
        if game.feature_matching > 0 and real_features is not None:
            terms["feature_matching"] = game.feature_matching * feature_matching(real_features, features)
        if game.pulling_away > 0:
            terms["pulling_away"] = game.pulling_away * pulling_away(features)
        if game.auxiliary.generator > 0 and labels is not None:
            terms["auxiliary"] = game.auxiliary.generator * classification(logits(networks, features), labels)
        if game.historical > 0:
            terms["historical"] = remembered(networks, "generator")
        value = torch.stack(list(terms.values())).sum()
        shown = {name: term.detach() for name, term in terms.items()} if len(terms) > 1 else {}
        return Out(value, {"loss_g": value.detach(), **shown})

    def after(name: str) -> After:
        """What follows a step of network `name`: clipping, its history, its spectral norms."""

        def first(networks: Networks, seen: Seen) -> None:
            if game.clip is not None and name == "discriminator":
                clip_weights(networks[name], game.clip)
            if game.historical > 0:
                cast(History, networks[f"{name}_history"]).remember(networks[name])

        return follow(name, first)

    uncoupled = ("discriminator",) if game.penalties.gradient or game.together else ()
    when = None if game.bursts is None else game.bursts.ends(game.critic_steps)
    phases = [
        Phase(
            "discriminator",
            ("discriminator",),
            discriminator,
            after=after("discriminator"),
            uncoupled=uncoupled,
        ),
        *lazy_penalties(game.penalties, classes, game.labels, told),
        Phase("generator", ("generator",), generator, every=game.critic_steps, after=after("generator"), when=when),
    ]
    return (Stage("all", tuple(phases), needs=roles(classes)),)


def critic(networks: Networks, labels: Tensor | None, classes: int) -> Callable[[Tensor], Tensor]:
    """The discriminator as a function of images alone, told the classes of these rows.

    Between a real image and a generated one, as in the gradient penalty, the class is that of the generated one.
    """
    return lambda x: call(networks["discriminator"], x, labels if classes else None)


def lazy_penalties(penalties: Penalties, classes: int, labels: Literal["uniform", "data"], told: int) -> list[Phase]:
    """A phase of its own for each penalty that is computed seldom; `told`: classes that the discriminator is told."""

    def phase(name: str) -> Phase:
        penalty = penalties.of[name]

        def loss(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
            fake, of_these = batch.images, batch.labels
            if PENALTIES[name].generated:
                of_these = draw_labels(classes, batch, labels)
                with torch.no_grad():
                    fake = call(networks["generator"], draw_latents(networks, batch), of_these)
            value = penalty(critic(networks, of_these, told), batch.images, fake, batch)
            return Out(value, {name: value.detach()})

        after, uncoupled = follow("discriminator"), ("discriminator",)
        return Phase(name, ("discriminator",), loss, penalty.every, lazy=True, after=after, uncoupled=uncoupled)

    return [phase(penalty.name) for penalty in penalties.lazy]


def put_in_pools(*sides: str) -> After:
    """An `after` that hands the rows named `sides` to the pools `pool_<side>`."""

    def after(networks: Networks, seen: Seen) -> None:
        for side in sides:
            cast(Pool, networks[f"pool_{side}"]).put(seen.rows[side])

    return after


def pooled_judge(loss: LossConfig, side: str, real: Callable[[Networks, Batch], Tensor]) -> Phase:
    """The phase of `judge_<side>`, who tells `real` images from those of `pool_<side>`.

    Logged: `loss_d_<side>` and `scores` with `_<side>`.
    """

    def judged(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        network, pool = networks[f"judge_{side}"], cast(Pool, networks[f"pool_{side}"])
        value, means = discriminator_loss(loss, network(real(networks, batch)), network(pool.take(batch)))
        return Out(value, {f"{name}_{side}": mean for name, mean in means.items()})

    return Phase(f"judge_{side}", (f"judge_{side}",), judged)


def follow(name: str, first: After | None = None) -> After:
    """An `after` that does `first` and then moves the vectors of the spectral norms in network `name`, if any.

    One iteration for each change of the weights: Miyato et al. 2018 (arXiv:1802.05957), algorithm 1.
    """

    def after(networks: Networks, seen: Seen) -> None:
        if first is not None:
            first(networks, seen)
        iterate(networks[name])

    return after


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Clip the weights of a network to [-limit, limit], in place.

    Source: Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1.
    """
    torch._foreach_clamp_min_(list(network.parameters()), -limit)
    torch._foreach_clamp_max_(list(network.parameters()), limit)
