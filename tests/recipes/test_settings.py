"""The settings of every recipe that comes from a report or a paper, against `settings.json`.

The file is written by hand or by `python -m tests.recipes.test_settings`, whose changes are to be read against the
tables that the recipe's `source` names before they are committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gantools.recipes import recipe_names
from gantools.recipes.recipe import Recipe, load_recipe
from gantools.recipes.strict import to_plain

FILE = Path(__file__).with_name("settings.json")
OWN = "gantools' own"
COMMAND = "python -m tests.recipes.test_settings"


def settings(recipe: Recipe) -> dict[str, Any]:
    """What a table of a report or paper says of a training, as plain values; of the game what is not as usual."""
    plain = recipe.to_dict()
    usual = to_plain(recipe.system.game())
    found = {key: plain[key] for key in ("model", "batch", "epochs", "kimg") if plain[key] is not None}
    found |= {"latent": plain["network"]["latent"]} if "latent" in plain["network"] else {}
    optim = {key: value for key, value in plain["optim"].items() if key not in ("weight_decay", "momentum") or value}
    game = {key: value for key, value in plain["game"].items() if key == "loss" or value != usual[key]}
    return {**found, "optim": optim, "game": game}


def published() -> list[str]:
    return [name for name in recipe_names() if not load_recipe(name).source.startswith(OWN)]


GOLDEN: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def test_every_recipe_of_a_report_or_paper_is_in_the_file() -> None:
    assert sorted(GOLDEN) == sorted(published()), f"add or take out an entry by hand, or: {COMMAND}"


@pytest.mark.parametrize("name", GOLDEN)
def test_settings_are_those_of_the_table(name: str) -> None:
    assert settings(load_recipe(name)) == GOLDEN[name], f"if the table says so: {COMMAND}"


@pytest.mark.parametrize(
    "change",
    ["batch=64", "optim.lr=0.0002", "optim.betas=[0.9, 0.999]", "optim.eps=1e-7", "epochs=25", "loss.real_target=0.9"],
)
def test_a_setting_that_is_another_is_found(change: str) -> None:
    assert settings(load_recipe("dcgan", [change])) != GOLDEN["dcgan"]


if __name__ == "__main__":
    found = {name: settings(load_recipe(name)) for name in published()}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(values)}" for name, values in found.items())
    FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
