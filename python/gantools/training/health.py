"""Signs that a training goes wrong, in plain words, with what to try."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gantools.errors import GantoolsError
from gantools.objectives.losses import LossConfig

# A discriminator this sure, at a loss this near to the least possible, teaches the generator nothing any more.
SURE_ACCURACY = 0.995
SURE_LOSS = 0.05
# Samples that differ this little, compared with real images, are one image; if they once differed more, they collapsed.
COLLAPSED, FALLEN = 0.1, 1 / 3
# Where so many of the samples have a twin, the generator makes few images again and again.
REPEATED = 0.25
# Before so many steps a generator has not learnt anything that it could lose.
FIRST_STEPS = 500
# A gradient this small beside the largest that a tick has seen moves nothing.
VANISHED = 1e-5
# A loss so many times the largest that was seen (which is taken for 1 at least) runs away.
RUNAWAY = 1e3
# Ticks in a row that a sign must be seen: one alone may be chance.
TICKS = 2


class Diverged(GantoolsError):
    """A loss or a weight is not a finite number any more."""


class Unhealthy(GantoolsError):
    """A training that goes on without learning, where the user asked to stop it."""


@dataclass(frozen=True)
class Sign:
    """Something that goes wrong: what kind, and a sentence for the user."""

    kind: str
    text: str


def check_finite(losses: Mapping[str, float], networks: Mapping[str, nn.Module]) -> None:
    """Raise `Diverged` when a mean loss or any weight or buffer is NaN or infinite, naming the first one."""
    for name, value in losses.items():
        if not math.isfinite(value):
            where = _first_not_finite(networks)
            raise Diverged(f"{name} is {value}{f', {where}' if where else ''}: the training has diverged.")
    where = _first_not_finite(networks)
    if where:
        raise Diverged(f"{where}: the training has diverged.")


def _first_not_finite(networks: Mapping[str, nn.Module]) -> str | None:
    for name, network in networks.items():
        tensors: dict[str, Tensor] = {
            k: v for k, v in network.state_dict().items() if v.is_floating_point() and v.numel()
        }
        if not tensors:
            continue
        # One number for all of them first, so that a healthy network costs one wait for the device.
        if not torch.stack([v.abs().max() for v in tensors.values()]).max().isfinite():
            layer = next(k for k, v in tensors.items() if not v.isfinite().all())
            return f"the {name}'s weights are not finite any more, first in {layer}"
    return None


def diversity(images: Tensor) -> float:
    """Mean distance between two different images of a uint8 (n, ...) tensor: root mean square of pixels, in 0..255."""
    flat = images.reshape(len(images), -1).double()
    return float(torch.pdist(flat).mean()) / math.sqrt(flat.shape[1]) if len(images) > 1 else math.nan


def duplicates(images: Tensor, scale: float) -> float:
    """The share of a uint8 (n, ...) tensor's images that have a twin among the others.

    Twins are apart less than `COLLAPSED` of `scale`, the `diversity` of real images: root mean square of pixels.
    """
    if len(images) < 2:
        return 0.0
    flat = images.reshape(len(images), -1).double()
    # Not by way of the product of matrices, in which equal images are not quite at distance 0.
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist") / math.sqrt(flat.shape[1])
    return float((apart.fill_diagonal_(math.inf).amin(1) <= COLLAPSED * scale).double().mean())


class Monitor:
    """Looks at each tick's numbers, knows those before, and says what goes wrong.

    Args:
        loss: of the game, where it has one: decides when a discriminator is too sure.
        penalties: whether the game has penalties to advise.
        real_duplicates: the share of real images with a twin, among as many as there are samples.
    """

    def __init__(self, loss: LossConfig | None, penalties: bool = True, real_duplicates: float = 0.0) -> None:
        self.loss = loss
        self.penalty = " or a penalty (penalties.r1.weight=1)" if penalties else ""
        self.real_duplicates = real_duplicates
        self.best_diversity, self.least_duplicates = 0.0, 1.0
        self.largest_losses: dict[str, float] = {}
        self.largest_gradient = 0.0
        self.last: Mapping[str, Any] = {}
        self.seen: dict[str, int] = {}

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Learn from the ticks of a training that goes on."""
        for line in lines:
            self.look(line)

    def look(self, line: Mapping[str, Any]) -> list[Sign]:
        """What goes wrong at this tick: signs that were seen at `TICKS` ticks running.

        Args:
            line: `step`, and as far as there are any: the losses, `discriminator_accuracy`, `sample_diversity` (a share
                of the real images'), `sample_duplicates`, `gradient_generator`, `luma_correlation`.
        """
        signs = (self._wins, self._collapse, self._repeats, self._stuck, self._runs_away, self._inverted)
        found = [sign for look in signs if (sign := look(line)) is not None]
        kinds = {sign.kind for sign in found}
        self.seen = {kind: self.seen.get(kind, 0) + 1 for kind in kinds}
        self.best_diversity = max(self.best_diversity, line.get("sample_diversity") or 0.0)
        self.least_duplicates = min(self.least_duplicates, line.get("sample_duplicates", 1.0))
        for name, value in _losses(line).items():
            if not self._far(name, value):
                self.largest_losses[name] = max(abs(value), self.largest_losses.get(name, 0.0))
        self.largest_gradient = max(self.largest_gradient, line.get("gradient_generator") or 0.0)
        self.last = line
        return [sign for sign in found if self.seen[sign.kind] >= (1 if sign.kind == "discriminator" else TICKS)]

    def _wins(self, line: Mapping[str, Any]) -> Sign | None:
        """The discriminator told real from generated almost without error over a whole tick."""
        accuracy, loss = line.get("discriminator_accuracy"), line.get("loss_d")
        least = None if self.loss is None else self.loss.least()
        if accuracy is None or loss is None or least is None:
            return None
        if accuracy < SURE_ACCURACY or loss - least > SURE_LOSS:
            return None
        smoothing = ", loss.real_target=0.9" if self.loss is not None and self.loss.name == "non_saturating" else ""
        return Sign(
            "discriminator",
            f"the discriminator tells every image apart (accuracy {accuracy:.1%}, loss_d {loss:.4f}); the generator "
            f"gets little to learn from. If the grids stop improving, try a lower "
            f"optim.discriminator.lr{smoothing}{self.penalty}.",
        )

    def _collapse(self, line: Mapping[str, Any]) -> Sign | None:
        """Samples differ far less than they once did, and hardly at all."""
        share = line.get("sample_diversity")
        if share is None or line.get("step", 0) < FIRST_STEPS:
            return None
        if share >= COLLAPSED or share >= FALLEN * self.best_diversity:
            return None
        return Sign(
            "collapse",
            f"the samples hardly differ from each other any more ({share:.1%} of the real images' distance, after "
            f"{self.best_diversity:.1%}): the generator has collapsed. Go back to an earlier checkpoint, with a lower "
            f"optim.lr{self.penalty}.",
        )

    def _repeats(self, line: Mapping[str, Any]) -> Sign | None:
        """Many samples are the same image as another one, which once they were not, and real images are not."""
        share = line.get("sample_duplicates")
        if share is None or line.get("step", 0) < FIRST_STEPS:
            return None
        if share < REPEATED + self.real_duplicates or share < 2 * self.least_duplicates:
            return None
        if line.get("sample_diversity", 1.0) < COLLAPSED:
            return None  # all are one image, which is said by `_collapse`
        return Sign(
            "duplicates",
            f"{share:.0%} of the samples are nearly the same image as another one (of real images "
            f"{self.real_duplicates:.0%}): the generator collapses to a few images. Go back to an earlier checkpoint, "
            f"with a lower optim.lr{self.penalty}.",
        )

    def _far(self, name: str, value: float) -> bool:
        """Whether a loss is far beyond all that was seen of it."""
        return name in self.largest_losses and abs(value) > RUNAWAY * max(1.0, self.largest_losses[name])

    def _runs_away(self, line: Mapping[str, Any]) -> Sign | None:
        """A loss is a number still, and grows without bounds."""
        for name, value in _losses(line).items():
            if self._far(name, value):
                return Sign(
                    "divergence",
                    f"{name} is {value:.3g}, after {self.largest_losses[name]:.3g} at most: the training diverges. Go "
                    f"back to an earlier checkpoint, with a lower optim.lr{self.penalty}.",
                )
        return None

    def _stuck(self, line: Mapping[str, Any]) -> Sign | None:
        """Nothing moves: the losses stand still, or no gradient reaches the generator."""
        losses = _losses(line)
        same = bool(losses) and all(
            math.isclose(v, self.last.get(k, math.nan), rel_tol=1e-6) for k, v in losses.items()
        )
        if same:
            return Sign(
                "frozen",
                "the losses do not change any more: the networks are saturated and the training stands still. "
                "Start again with a lower optim.lr.",
            )
        gradient = line.get("gradient_generator")
        if gradient is not None and gradient <= VANISHED * self.largest_gradient:
            return Sign(
                "gradient",
                f"hardly any gradient reaches the generator ({gradient:.1e}, after {self.largest_gradient:.1e}): it "
                "learns nothing. Try a lower optim.discriminator.lr, another loss (loss.name=relativistic)"
                f"{self.penalty}.",
            )
        return None

    def _inverted(self, line: Mapping[str, Any]) -> Sign | None:
        """Translated images are the negatives of what they start from."""
        correlation = line.get("luma_correlation")
        if correlation is None or line.get("step", 0) < FIRST_STEPS or correlation >= 0:
            return None
        return Sign(
            "inverted",
            f"translated images are dark where their inputs are light (correlation {correlation:.2f}): inverted "
            "colours, which do not go away by themselves. Start again with game.identity=0.5 or another --seed.",
        )


def _losses(line: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name.startswith("loss_")}
