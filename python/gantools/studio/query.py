"""What an address asks for after its question mark: read strictly, a value at a time, nothing left over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

from gantools.errors import ConfigError

#: Characters of all that is asked, and seeds in a list.
LONGEST, MOST_SEEDS = 8192, 64
T = TypeVar("T", bound=str)


class Query:
    """The parameters of an address.

    Args:
        text: what stands after the question mark, percent-encoded.

    Raises:
        ConfigError: it is too long, no text, or has a name twice.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ConfigError(f"an address of {len(text):,} characters; at most {LONGEST:,} are read.")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict")
        except ValueError:
            raise ConfigError("the address cannot be read.") from None
        self._values = dict(pairs)
        if len(self._values) < len(pairs):
            raise ConfigError("a name stands twice in the address.")
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """A word as it stands."""
        self._read.add(name)
        return self._values.get(name, default)

    def choice(self, name: str, choices: Sequence[T], default: T) -> T:
        """One of some words."""
        value = self.text(name, default)
        for choice in choices:
            if value == choice:
                return choice
        raise ConfigError(f"{name}: must be one of {', '.join(choices)}, not {value!r}.")

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number in [low, high]."""
        value = self.text(name, str(default))
        # int() alone takes spaces, underscores and digits of other scripts.
        if not (value.removeprefix("-").isdecimal() and value.isascii() and low <= int(value) <= high):
            raise ConfigError(f"{name}: must be a whole number from {low} to {high}, not {value!r}.")
        return int(value)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number in [low, high]."""
        value = self.text(name, repr(default))
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            raise ConfigError(f"{name}: must be a number from {low:g} to {high:g}, not {value!r}.")
        return found

    def switch(self, name: str) -> bool:
        """1 for true; 0 where it is not there."""
        return self.choice(name, ("0", "1"), "0") == "1"

    def integers(self, name: str, low: int, high: int, default: Sequence[int]) -> tuple[int, ...]:
        """Whole numbers with commas between them, each in [low, high]."""
        parts = self.text(name, ",".join(map(str, default))).split(",")
        if len(parts) > MOST_SEEDS:
            raise ConfigError(f"{name}: at most {MOST_SEEDS} numbers, not {len(parts)}.")
        found = []
        for part in parts:
            if not (part.isdecimal() and part.isascii() and low <= int(part) <= high):
                raise ConfigError(f"{name}: whole numbers from {low} to {high} with commas, not {part!r}.")
            found.append(int(part))
        return tuple(found)

    def starting(self, prefix: str) -> dict[str, str]:
        """Those whose name starts with `prefix`, which is taken off, in the order of the names."""
        names = sorted(name for name in self._values if name.startswith(prefix))
        self._read.update(names)
        return {name.removeprefix(prefix): self._values[name] for name in names}

    def done(self) -> None:
        """Refuse what nobody read.

        Raises:
            ConfigError: there is such a thing.
        """
        left = sorted(set(self._values) - self._read)
        if left:
            raise ConfigError(f"the address says {left[0]!r}, which means nothing here.")
