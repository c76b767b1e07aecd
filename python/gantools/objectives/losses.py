"""Adversarial losses: pure functions of what the discriminator returns, one number a sample.

For the losses of probabilities that number is a logit, D(x) = sigmoid(logit). Every loss is a mean over the batch,
computed in float32 at least, whatever the networks computed in, and returned as a scalar tensor. Their keywords are the
keys of a recipe's section `game.loss`. To add one, write its two functions and one line of `LOSSES`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gantools.errors import ConfigError, nearest, unknown_name
from gantools.layers.precision import wide

Half = Callable[..., Tensor]


@dataclass(frozen=True)
class Loss:
    """The two halves of a two-player game.

    Attributes:
        discriminator: (outputs for real, outputs for fake, **options) -> scalar.
        generator: (outputs for fake, outputs for real or None, **options) -> scalar.
        pairs: whether the generator's half needs the outputs for real images.
        score: outputs -> what is logged as `real_score` and `fake_score`; a probability where there is one.
        threshold: (**options) -> the output above which a sample counts as taken for real; None: the outputs have no
            such point, only their difference says something.
        least: (**options) -> the least value the discriminator's half can take; None: there is none.
        energies: whether the outputs must be energies with a minus sign, never above 0.
    """

    discriminator: Half
    generator: Half
    pairs: bool = False
    score: Callable[[Tensor], Tensor] = torch.sigmoid
    threshold: Callable[..., float] | None = lambda **options: 0.0
    least: Callable[..., float] | None = lambda **options: 0.0
    energies: bool = False

    def options(self) -> dict[str, float]:
        """The keywords of both halves with their defaults."""
        found: dict[str, float] = {}
        for half in (self.discriminator, self.generator):
            for name, parameter in inspect.signature(half).parameters.items():
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                    found[name] = parameter.default
        return found


def non_saturating_discriminator(real: Tensor, fake: Tensor, *, real_target: float = 1.0) -> Tensor:
    """-E[t log D(x) + (1 - t) log(1 - D(x))] - E[log(1 - D(G(z)))], binary cross-entropy with logits.

    `real_target` t < 1 is one-sided label smoothing (Salimans et al. 2016, arXiv:1606.03498, section 3.4).
    Source: Goodfellow et al. 2014 (arXiv:1406.2661), equation 1.
    """
    real, fake = wide(real), wide(fake)
    # softplus(-r) + (1 - t) r is the cross-entropy against target t, stable for large |r|.
    return (F.softplus(-real) + (1.0 - real_target) * real).mean() + F.softplus(fake).mean()


def non_saturating_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-E[log D(G(z))]. Source: Goodfellow et al. 2014 (arXiv:1406.2661), section 3."""
    return F.softplus(-wide(fake)).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor, *, a: float = 0.0, b: float = 1.0) -> Tensor:
    """½ E[(D(x) - b)²] + ½ E[(D(G(z)) - a)²]. Source: Mao et al. 2017 (arXiv:1611.04076), equation 2."""
    return 0.5 * (wide(real) - b).square().mean() + 0.5 * (wide(fake) - a).square().mean()


def least_squares_generator(fake: Tensor, real: Tensor | None = None, *, c: float = 1.0) -> Tensor:
    """½ E[(D(G(z)) - c)²]. Source: Mao et al. 2017 (arXiv:1611.04076), equation 2."""
    return 0.5 * (wide(fake) - c).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]. Source: Lim and Ye 2017 (arXiv:1705.02894)."""
    return F.relu(1.0 - wide(real)).mean() + F.relu(1.0 + wide(fake)).mean()


def hinge_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-E[D(G(z))]. Source: Lim and Ye 2017 (arXiv:1705.02894)."""
    return -wide(fake).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)]. Source: Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1."""
    return wide(fake).mean() - wide(real).mean()


def wasserstein_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-E[D(G(z))]. Source: Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1."""
    return -wide(fake).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[softplus(-(D(x) - D(G(z))))], each real sample paired with a fake one.

    Source: Jolicoeur-Martineau 2018 (arXiv:1807.00734), equation 6; as in R3GAN (arXiv:2501.05441), equation 2.
    """
    return F.softplus(wide(fake) - wide(real)).mean()


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """E[softplus(-(D(G(z)) - D(x)))]. Source: as `relativistic_discriminator`."""
    return F.softplus(wide(real) - wide(fake)).mean()


def relativistic_average_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """½ E[softplus(-(D(x) - E D(G(z))))] + ½ E[softplus(D(G(z)) - E D(x))].

    Source: Jolicoeur-Martineau 2018 (arXiv:1807.00734), section 4.2; halved as in ESRGAN (arXiv:1809.00219).
    """
    real, fake = wide(real), wide(fake)
    return 0.5 * (F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean())


def relativistic_average_generator(fake: Tensor, real: Tensor) -> Tensor:
    """The discriminator's half with real and fake exchanged. Source: as `relativistic_average_discriminator`."""
    return relativistic_average_discriminator(fake, real)


def relativistic_average_detached_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """`relativistic_average_discriminator` without the gradients that flow through the two means.

    Source: the code of ESRGAN (arXiv:1809.00219), which takes the gradients of real and of generated images one after
    the other. The generator's half is the one with them: there only the mean of the real ones is held.
    """
    real, fake = wide(real), wide(fake)
    above, below = fake.mean().detach() - real, fake - real.mean().detach()
    return 0.5 * (F.softplus(above).mean() + F.softplus(below).mean())


def energy_discriminator(real: Tensor, fake: Tensor, *, margin: float = 10.0) -> Tensor:
    """E[E(x)] + E[max(0, m - E(G(z)))] of energies E = -D, one margin m a sample: the lower, the more real.

    Source: Zhao et al. 2017 (arXiv:1609.03126), equation 1.
    """
    return F.relu(margin + wide(fake)).mean() - wide(real).mean()


def energy_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """E[E(G(z))]. Source: Zhao et al. 2017 (arXiv:1609.03126), equation 2."""
    return -wide(fake).mean()


def relativistic_average_hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - (D(x) - E D(G(z))))] + E[max(0, 1 + (D(G(z)) - E D(x)))].

    Source: Jolicoeur-Martineau 2018 (arXiv:1807.00734), section 4.2 with the hinge; not halved, as in BMSG-GAN.
    """
    real, fake = wide(real), wide(fake)
    return F.relu(1 - (real - fake.mean())).mean() + F.relu(1 + (fake - real.mean())).mean()


def relativistic_average_hinge_generator(fake: Tensor, real: Tensor) -> Tensor:
    """The discriminator's half with real and fake exchanged. Source: as `relativistic_average_hinge_discriminator`."""
    return relativistic_average_hinge_discriminator(fake, real)


def _entropy(real_target: float = 1.0) -> float:
    """The entropy of a target t: the least cross-entropy against it, in nats."""
    t = real_target
    return -(t * math.log(t) + (1 - t) * math.log(1 - t)) if t < 1 else 0.0


def _raw(outputs: Tensor) -> Tensor:
    return outputs


LOSSES: dict[str, Loss] = {
    "non_saturating": Loss(non_saturating_discriminator, non_saturating_generator, least=_entropy),
    "least_squares": Loss(
        least_squares_discriminator,
        least_squares_generator,
        score=_raw,
        threshold=lambda a=0.0, b=1.0, c=1.0: (a + b) / 2,
    ),
    "hinge": Loss(hinge_discriminator, hinge_generator, score=_raw),
    "wasserstein": Loss(wasserstein_discriminator, wasserstein_generator, score=_raw, threshold=None, least=None),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, pairs=True, score=_raw, threshold=None),
    "relativistic_average": Loss(
        relativistic_average_discriminator, relativistic_average_generator, pairs=True, score=_raw, threshold=None
    ),
    "relativistic_average_detached": Loss(
        relativistic_average_detached_discriminator,
        relativistic_average_generator,
        pairs=True,
        score=_raw,
        threshold=None,
    ),
    # At the best generator's equilibrium real images have energy 0 and generated ones at most the margin.
    "energy": Loss(
        energy_discriminator, energy_generator, score=_raw, threshold=lambda margin=10.0: -margin / 2, energies=True
    ),
    "relativistic_average_hinge": Loss(
        relativistic_average_hinge_discriminator,
        relativistic_average_hinge_generator,
        pairs=True,
        score=_raw,
        threshold=None,
    ),
}


@dataclass(frozen=True)
class LossConfig:
    """Which loss, and its options; in a recipe one flat section: `{name: least_squares, b: 0.9}`."""

    name: str = "non_saturating"
    options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise unknown_name("game.loss.name", self.name, LOSSES)
        known = LOSSES[self.name].options()
        for key, value in self.options.items():
            if key not in known:
                owners = [name for name, loss in LOSSES.items() if key in loss.options()]
                meant = nearest(key, known)
                hint = (
                    f"It belongs to {', '.join(owners)}." if owners else f"Did you mean {meant!r}?" if meant else None
                )
                takes = f"takes {', '.join(known)}" if known else "has no options"
                raise ConfigError(f"game.loss.{key}: the loss {self.name} {takes}.", hint)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"game.loss.{key}: expected a number, found {value!r}.")
        if not 0.5 < self.options.get("real_target", 1.0) <= 1.0:
            raise ConfigError(f"game.loss.real_target: must be in (0.5, 1], not {self.options['real_target']}.")
        if self.options.get("margin", 1.0) <= 0:
            raise ConfigError(f"game.loss.margin: must be above 0, not {self.options['margin']}.")
        if "b" in known:
            a, b = ({**known, **self.options}[key] for key in "ab")
            if a >= b:
                raise ConfigError(
                    f"game.loss: b, the target of real images, must be above a = {a}, that of generated ones."
                )

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> LossConfig:
        """From a recipe's flat section.

        Raises:
            ConfigError: it is no section, or there is no such loss, or no such option of it.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"game.loss: expected keys and values, found {values!r}.",
                f"For example: {{name: {nearest(str(values), LOSSES) or cls.name}}}",
            )
        options = {key: value for key, value in values.items() if key != "name"}
        return cls(str(values.get("name", cls.name)), options)

    def to_plain(self) -> dict[str, Any]:
        """The inverse of `from_plain`."""
        return {"name": self.name, **self.options}

    @property
    def loss(self) -> Loss:
        """The entry of `LOSSES`."""
        return LOSSES[self.name]

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's half of outputs float (n,)."""
        return self._with(self.loss.discriminator)(real, fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The generator's half of outputs float (n,); `real` where `loss.pairs`."""
        return self._with(self.loss.generator)(fake, real)

    def threshold(self) -> float | None:
        """The output above which a sample counts as taken for real, None where there is no such point."""
        return None if self.loss.threshold is None else self.loss.threshold(**self.options)

    def least(self) -> float | None:
        """The least value the discriminator's half can take, None where there is none."""
        return None if self.loss.least is None else self.loss.least(**self.options)

    def _with(self, half: Half) -> Half:
        known = inspect.signature(half).parameters
        return partial(half, **{key: value for key, value in self.options.items() if key in known})
