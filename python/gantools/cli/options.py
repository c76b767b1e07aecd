"""Kinds of options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gantools.errors import ConfigError

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


def named_numbers(given: Sequence[str]) -> dict[str, float]:
    """The values of `--control NAME=VALUE`, by name.

    Raises:
        ConfigError: one is not of that form.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigError(f"--control {text}: expected NAME=NUMBER.", "For example: --control truncation=0.7")
    return found
