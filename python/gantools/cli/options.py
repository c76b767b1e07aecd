"""Kinds of options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from gantools.errors import ConfigError
from gantools.recipes import recipe_names

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


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the shell offers where a recipe is wanted: names that begin so, else files."""
    names = [CompletionItem(name) for name in recipe_names() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def on_images(command: F) -> F:
    """Decorates a command that makes images from latents with the options of all such commands."""
    for option in (
        click.option("--batch", type=int, default=64, show_default=True, help="Images computed at once."),
        click.option(
            "--direction",
            "directions",
            multiple=True,
            metavar="NAME=AMOUNT",
            help="Move along a direction of the run, in standard deviations; may be repeated.",
        ),
        click.option(
            "--control", "controls", multiple=True, metavar="NAME=VALUE", help="Turn what the system lets you turn."
        ),
        click.option("--truncation", type=float, metavar="PSI", help="The same as --control truncation=PSI."),
    ):
        command = option(command)
    return command


def on_run(command: F) -> F:
    """Decorates a command that loads a trained run with the options of which checkpoint, and where it computes."""
    for option in (
        click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1.  [default: CUDA when there is one]"),
        click.option(
            "--checkpoint", default="last", show_default=True, metavar="NAME", help="last, best or thousands of images."
        ),
    ):
        command = option(command)
    return command


def numbers(option: str, given: Sequence[str], example: str) -> dict[str, float]:
    """The values of an option that is given as NAME=NUMBER any number of times.

    Args:
        option: its name, for the error.
        given: what was typed.
        example: of one, for the error.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise ConfigError(f"{option} {text}: expected NAME=NUMBER.", f"For example: {option} {example}")
    return found


def turned(controls: Sequence[str], truncation: float | None) -> dict[str, float]:
    """What --truncation and --control say."""
    found = {} if truncation is None else {"truncation": truncation}
    return found | numbers("--control", controls, "truncation=0.7")


def moved(directions: Sequence[str]) -> dict[str, float]:
    """What --direction says."""
    return numbers("--direction", directions, "pca0=2")


def seeds(text: str | None) -> list[int] | None:
    """The seeds of a list such as 1,5,9-12."""
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise ConfigError(f"--seeds {text}: {part.strip()!r} is no seed and no range of seeds.", "E.g. 1,5,9-12")
        found += range(int(first), int(last or first) + 1)
    return found
