"""The recipes that come with gantools, a YAML file each; `gantools.recipes.recipe` reads them."""

from __future__ import annotations

from importlib import resources


def recipe_names() -> list[str]:
    """Names of the recipes that come with gantools."""
    files = resources.files(__name__).iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))
