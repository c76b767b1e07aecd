"""`gantools recipes`: list, show and compare recipes."""

from __future__ import annotations

from typing import Any

import click

from gantools.cli.options import complete_recipe

# Keys for people: two recipes differ in all of them, and each is a paragraph.
WORDS = ("name", "description", "source", "target", "prep")


@click.group("recipes")
def command() -> None:
    """List the recipes of gantools, and show or compare recipes.

    \b
    gantools recipes list
    gantools recipes show dcgan > mine.yaml            all keys, as they are used
    gantools recipes diff dcgan runs/00003-dcgan-faces  what was another there

    docs/recipes.md says what the keys mean.
    """


@command.command("list")
def list_command() -> None:
    """List the recipes that come with gantools: name, model and description."""
    from gantools.recipes.files import catalogue

    found = catalogue()
    widths = [max(len(entry[i]) for entry in found) for i in range(2)]
    for name, model, description in found:
        click.echo(f"{name:{widths[0]}}  {model:{widths[1]}}  {description}")


@command.command("show")
@click.argument("recipe", shell_complete=complete_recipe)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe before it is shown.")
def show_command(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print a recipe with all its keys, as YAML that gantools train takes.

    RECIPE is a name, the path of a YAML file, a run or one of its checkpoints. What it extends is resolved, and keys
    that it leaves out have their defaults.
    """
    from gantools.recipes.recipe import recipe_of

    click.echo(_yaml(recipe_of(recipe, overrides).to_dict()), nl=False)


@command.command("diff")
@click.argument("first", metavar="A", shell_complete=complete_recipe)
@click.argument("second", metavar="B", shell_complete=complete_recipe)
@click.option("--words", is_flag=True, help="Compare description, source, target and prep as well.  [default: off]")
def diff_command(first: str, second: str, words: bool) -> None:
    """Print the keys in which two recipes differ, a line each: those of A, then those of B.

    A and B are names of recipes, paths of YAML files, runs or checkpoints. Nothing is printed where they are equal.
    """
    from gantools.recipes.recipe import recipe_of
    from gantools.recipes.strict import differences

    absent = object()
    before, after = (recipe_of(place).to_dict() for place in (first, second))
    for key, old, new in differences(before, after, absent):
        if words or key not in WORDS:
            click.echo(f"{key}: {' -> '.join('(none)' if v is absent else _flow(v) for v in (old, new))}")


def _yaml(value: Any, **options: Any) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, **{"width": 120, **options}))


def _flow(value: Any) -> str:
    """A value on one line, as it may be given to --set."""
    return _yaml(value, default_flow_style=True, width=float("inf")).removesuffix("\n").removesuffix("\n...")
