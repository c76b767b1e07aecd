"""Numbers that change while a training runs, as pure functions of the real images shown."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from gantools.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """From `start` to `to` over `over_kimg` thousand images, beginning at `after_kimg`; constant before and behind.

    `linear` and `cosine` (half a period) go there, `exponential` by the same factor for each image, `steps` in `steps`
    equal falls of an exponential one.
    """

    start: float
    to: float
    over_kimg: float
    after_kimg: float = 0.0
    shape: Literal["linear", "cosine", "exponential", "steps"] = "linear"
    steps: int = 4  # of shape "steps"

    def __post_init__(self) -> None:
        if self.over_kimg <= 0 or self.after_kimg < 0:
            raise ConfigError("a schedule's over_kimg must be above 0, its after_kimg at least 0.")
        if self.shape in ("exponential", "steps") and (self.start <= 0 or self.to <= 0):
            raise ConfigError(f"a schedule of shape {self.shape} needs start and to above 0.")
        if self.steps < 1:
            raise ConfigError(f"a schedule's steps must be at least 1, not {self.steps}.")

    def at(self, nimg: int) -> float:
        """Its value once `nimg` real images have been shown."""
        t = min(1.0, max(0.0, (nimg / 1000 - self.after_kimg) / self.over_kimg))
        if self.shape == "linear":
            return self.start + (self.to - self.start) * t
        if self.shape == "cosine":
            return self.to + (self.start - self.to) * 0.5 * (1.0 + math.cos(math.pi * t))
        if self.shape == "steps":
            t = math.floor(t * self.steps) / self.steps
        return float(self.start * (self.to / self.start) ** t)


@dataclass(frozen=True)
class Staircase:
    """`levels` one after another, each from its place in `at_kimg` on, the first from the beginning."""

    levels: tuple[float, ...]
    at_kimg: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.at_kimg) + 1:
            raise ConfigError(
                f"a staircase of {len(self.levels)} levels changes at one place less, at_kimg has {len(self.at_kimg)}."
            )
        if list(self.at_kimg) != sorted(set(self.at_kimg)) or min(self.at_kimg, default=1) <= 0:
            raise ConfigError("a staircase's at_kimg must rise, and be above 0.")

    def at(self, nimg: int) -> float:
        """Its value once `nimg` real images have been shown."""
        return self.levels[bisect_right(self.at_kimg, nimg / 1000)]


def another_kind(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether plain values `after` are of a schedule of another kind than `before`, and take none of its keys."""

    def kind(values: Mapping[str, Any]) -> type | None:
        return next((c for c in (Schedule, Staircase) if values and values.keys() <= {f.name for f in fields(c)}), None)

    return None not in (kind(before), kind(after)) and kind(before) is not kind(after)


def value_at(value: float | Schedule | Staircase, nimg: int) -> float:
    """A number, or a schedule's value once `nimg` real images have been shown."""
    return value if isinstance(value, int | float) else value.at(nimg)


def values_of(value: float | Schedule | Staircase) -> tuple[float, ...]:
    """The numbers that decide a setting, to be checked: itself, both ends of its schedule, or all its levels."""
    if isinstance(value, Staircase):
        return value.levels
    return (value.start, value.to) if isinstance(value, Schedule) else (value,)
