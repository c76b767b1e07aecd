"""Kinds of options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def one_of(name: str, choices: Sequence[str], default: str, help: str) -> Callable[[F], F]:
    """Decorates a command with an option that is one of some words and shows its default in the help.

    Args:
        name: of the option, `--crop` for example.
        choices: the words.
        default: one of them.
        help: what it is for; the choices and the default are added to it.
    """
    return click.option(name, type=click.Choice(choices), default=default, show_default=True, help=help)
