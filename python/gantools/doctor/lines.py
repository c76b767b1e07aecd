"""A finding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Line:
    """A finding.

    Attributes:
        topic: what it is about, in a word.
        level: `ok`; `note`: something is missing or slower, all else works; `problem`: preparing, training, sampling or
            scoring cannot work here.
        text: the finding.
        hint: what to type or do about it.
        facts: the same as values, for programs.
    """

    topic: str
    level: Level
    text: str
    hint: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def first_line(error: BaseException) -> str:
    """The first line of what a library says, without its full stop, or the name of the error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
