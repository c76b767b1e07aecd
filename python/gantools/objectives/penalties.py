"""Penalties on what a discriminator is, beside what it says: of its gradients and of its outputs.

Each is a pure function of the discriminator, real and fake images, and random numbers, that returns a mean over rows,
in float32 at least. A gradient is taken of each sample alone, so it makes no sense for a discriminator that couples the
samples of a batch. To add one, write its function and one line of `PENALTIES`; its keywords are keys of a recipe's
section `game.penalties.<name>`, beside `weight` and `every`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from gantools.errors import ConfigError, nearest, unknown_name
from gantools.layers.precision import wide

Critic = Callable[[Tensor], Tensor]


class Draws(Protocol):
    """Where random numbers come from, a row an image; a batch is one."""

    def normal(self, *shape: int) -> Tensor:
        """N(0, 1), float32 (n, *shape)."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), float32 (n, *shape)."""
        ...


@dataclass(frozen=True)
class Penalty:
    """A penalty and what it asks for.

    Attributes:
        function: (critic, real, fake, draws, **options) -> scalar.
        weight: its weight when a recipe names none.
        gradient: whether it takes the gradient of each sample, which a coupled batch does not have.
        generated: whether it looks at generated images; one that does not is handed the real ones twice.
    """

    function: Callable[..., Tensor]
    weight: float
    gradient: bool = True
    generated: bool = False

    def options(self) -> dict[str, float]:
        """The keywords with their defaults."""
        found = inspect.signature(self.function).parameters.items()
        return {name: p.default for name, p in found if p.kind is inspect.Parameter.KEYWORD_ONLY}


def outputs_and_gradients(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """D(x) and ∇ₓ D(x) of each sample by one pass: (n,) and the shape of `x`.

    Both are differentiable with respect to the critic's weights.
    """

    def total(rows: Tensor) -> tuple[Tensor, Tensor]:
        outputs = wide(critic(rows))
        # The sum has the gradient of each sample in its row, because no sample's output depends on another.
        return outputs.sum(), outputs

    if torch.compiler.is_compiling():
        # The same gradient: torch 2.11 compiles no `requires_grad_`. Plain it would refuse layers that write buffers.
        found, outputs = torch.func.grad(total, has_aux=True)(wide(x.detach()))
        return outputs, found
    x = wide(x.detach()).requires_grad_(True)
    summed, outputs = total(x)
    (found,) = torch.autograd.grad(summed, x, create_graph=True)
    return outputs, found


def gradients(critic: Critic, x: Tensor) -> Tensor:
    """∇ₓ D(x) of each sample, with the shape of `x`, differentiable with respect to the critic's weights."""
    return outputs_and_gradients(critic, x)[1]


def norms(gradient: Tensor) -> Tensor:
    """‖g‖₂ of each sample, (n,); its own derivative is finite at 0."""
    return (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, draws: Draws, *, target: float = 1.0) -> Tensor:
    """E[(‖∇D(x̂)‖₂ - target)²], x̂ = x + α (G(z) - x), α ~ U(0, 1) a sample.

    Source: Gulrajani et al. 2017 (arXiv:1704.00028), equation 3.
    """
    alpha = draws.uniform(1, 1, 1)
    return (norms(gradients(critic, real + alpha * (fake - real))) - target).square().mean()


def dragan(
    critic: Critic, real: Tensor, fake: Tensor, draws: Draws, *, target: float = 1.0, spread: float = 0.5
) -> Tensor:
    """E[(‖∇D(x + α δ)‖₂ - target)²], δ = spread · std(x) · u, u ~ U(0, 1) a pixel, α ~ U(0, 1) a sample.

    Around real images alone. Source: Kodali et al. 2017 (arXiv:1705.07215), section 2.3, whose noise is N(0, c I); u
    and α are those of its reference code (kodalinaveen3/DRAGAN). That takes the deviation of the whole batch, here it
    is that of a sample's own pixels, so that no sample depends on another.
    """
    deviation = real.flatten(1).std(1)[:, None, None, None]
    noise = spread * deviation * draws.uniform(*real.shape[1:])
    return (norms(gradients(critic, real + draws.uniform(1, 1, 1) * noise)) - target).square().mean()


def zero_centred(gradient: Tensor) -> Tensor:
    """½ E[‖g‖²] of the gradients of samples, float (n, ...)."""
    return 0.5 * gradient.square().flatten(1).sum(1).mean()


def r1(critic: Critic, real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
    """½ E[‖∇D(x)‖²] on real images. Source: Mescheder et al. 2018 (arXiv:1801.04406), equation 9."""
    return zero_centred(gradients(critic, real))


def r2(critic: Critic, real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
    """½ E[‖∇D(G(z))‖²] on generated images. Source: Mescheder et al. 2018 (arXiv:1801.04406), equation 10."""
    return zero_centred(gradients(critic, fake))


def drift(critic: Critic, real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
    """E[D(x)²]: keeps a Wasserstein critic's outputs near 0. Source: Karras et al. 2018 (arXiv:1710.10196), A.1."""
    return wide(critic(real)).square().mean()


PENALTIES: dict[str, Penalty] = {
    "gradient": Penalty(gradient_penalty, 10.0, generated=True),
    "dragan": Penalty(dragan, 10.0),
    "r1": Penalty(r1, 10.0),
    "r2": Penalty(r2, 10.0, generated=True),
    "drift": Penalty(drift, 0.001, gradient=False),
}


@dataclass(frozen=True)
class PenaltyConfig:
    """How a penalty is used; in a recipe one flat section: `r1: {weight: 5, every: 16}`.

    Attributes:
        name: a key of `PENALTIES`.
        weight: of its value in the discriminator's loss.
        every: computed at one step of this many, with its weight multiplied by as much (lazy regularisation).
        options: its keywords.
    """

    name: str
    weight: float
    every: int = 1
    options: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
        """The penalty times its weight, computed in float32 at least, also where the losses are in bfloat16."""
        with torch.autocast(real.device.type, enabled=False):
            value = PENALTIES[self.name].function(critic, wide(real), wide(fake), draws, **self.options)
        return self.weight * value


def read_penalties(values: Mapping[str, Any], place: str = "game.penalties") -> dict[str, PenaltyConfig]:
    """Penalties by name from a recipe's section: `{gradient: {weight: 10}}`; `null` takes one out again.

    Raises:
        ConfigError: no such penalty, or no such option of it.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{place}: expected penalties by name, found {values!r}.", "For example: {gradient: 10}")
    found = {}
    for name, given in values.items():
        if given is None:
            continue
        if name not in PENALTIES:
            raise unknown_name(place, str(name), PENALTIES)
        if isinstance(given, int | float) and not isinstance(given, bool):
            given = {"weight": given}
        if not isinstance(given, Mapping):
            raise ConfigError(f"{place}.{name}: expected its weight or keys and values, found {given!r}.")
        known = PENALTIES[name].options()
        for key, value in given.items():
            if key not in (*known, "weight", "every"):
                meant = nearest(str(key), (*known, "weight", "every"))
                raise ConfigError(
                    f"{place}.{name}.{key}: unknown key.{f' Did you mean {meant!r}?' if meant else ''}",
                    f"Keys: {', '.join(('weight', 'every', *known))}.",
                )
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"{place}.{name}.{key}: expected a number, found {value!r}.")
            if value < 0:
                raise ConfigError(f"{place}.{name}.{key}: must not be below 0, but is {value}.")
        every = given.get("every", 1)
        if every != int(every) or every < 1:
            raise ConfigError(f"{place}.{name}.every: must be a whole number from 1 on, not {every}.")
        options = {key: float(value) for key, value in given.items() if key in known}
        found[name] = PenaltyConfig(name, float(given.get("weight", PENALTIES[name].weight)), int(every), options)
    return found


@dataclass(frozen=True)
class Penalties:
    """The penalties of a game: those computed at every step, and those computed seldom."""

    of: Mapping[str, PenaltyConfig] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Penalties:
        """From a recipe's section."""
        return cls(read_penalties(values))

    def to_plain(self) -> dict[str, Any]:
        """The inverse of `from_plain`."""
        return {name: {"weight": p.weight, "every": p.every, **p.options} for name, p in self.of.items()}

    @property
    def always(self) -> list[PenaltyConfig]:
        """Those that are part of every discriminator step."""
        return [p for p in self.of.values() if p.every == 1]

    @property
    def lazy(self) -> list[PenaltyConfig]:
        """Those that are phases of their own."""
        return [p for p in self.of.values() if p.every > 1]

    def refuse_lazy(self) -> None:
        """For a game that computes them at every step.

        Raises:
            ConfigError: one is to be computed seldom.
        """
        if self.lazy:
            raise ConfigError(
                f"game.penalties.{self.lazy[0].name}.every: here penalties are computed at every step.",
                "Leave `every` out.",
            )

    @property
    def gradient(self) -> bool:
        """Whether one of them takes the gradient of each sample."""
        return any(PENALTIES[p.name].gradient for p in self.of.values())
