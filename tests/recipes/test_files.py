"""Recipes that extend others: what both say together, and what is said where they cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gantools.errors import ConfigError
from gantools.models import NAMES
from gantools.recipes import recipe_names
from gantools.recipes.files import Layer, catalogue, merged, read_layers
from gantools.recipes.recipe import load_recipe, recipe_from_dict

PARENT = """
name: called-so
description: the parent
model: dcgan
network: {size: 16, latent: 8}
loss: {name: non_saturating, real_target: 0.9}
penalties: {r1: {weight: 2, every: 4}}
optim: {lr: {start: 0.001, to: 0, over_kimg: 5}, betas: [0.0, 0.9], discriminator: {lr: 0.004}}
batch: 8
epochs: 3
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(name, *lines): the path of a file with these lines."""

    def made(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines))
        return path

    return made


def test_sections_are_merged_and_own_values_go_over_the_parents(write: Write) -> None:
    write("parent.yaml", PARENT)
    child = write(
        "deep/child.yaml",
        "extends: ../parent.yaml",
        "network: {latent: 5}",
        "optim: {lr: {to: 0.0005}, generator: {eps: 0.001}}",
        "game: {penalties: {r1: {weight: 3}, drift: 1}}",
        "seed: 4",
    )
    found = load_recipe(child)
    assert (found.name, found.description, found.seed, found.epochs, found.batch) == ("child", "the parent", 4, 3, 8)
    assert (found.network.size, found.network.latent) == (16, 5)
    assert found.optim.betas == (0.0, 0.9) and found.optim.of("discriminator").lr == 0.004
    assert found.optim.of("generator").eps == 0.001
    by_hand = {
        **yaml.safe_load(PARENT),
        "network": {"size": 16, "latent": 5},
        "optim": {
            "lr": {"start": 0.001, "to": 0.0005, "over_kimg": 5},
            "betas": [0.0, 0.9],
            "discriminator": {"lr": 0.004},
            "generator": {"eps": 0.001},
        },
        "penalties": {"r1": {"weight": 3, "every": 4}, "drift": 1},
        "seed": 4,
        "name": "child",
    }
    assert found == recipe_from_dict(by_hand, "by hand")
    # All of it is in what is written; nothing says where it came from, so it is whole by itself.
    assert "extends" not in found.to_dict() and recipe_from_dict(found.to_dict(), "again") == found


def test_overrides_go_over_all(write: Write) -> None:
    write("parent.yaml", PARENT)
    child = write("child.yaml", "extends: parent.yaml", "loss: {real_target: 0.8}")
    assert dict(load_recipe(child).game.loss.options) == {"real_target": 0.8}
    assert dict(load_recipe(child, ["loss.real_target=0.7"]).game.loss.options) == {"real_target": 0.7}
    # A key of the game given without its section, in the file and over it.
    assert dict(load_recipe(write("alone.yaml", PARENT), ["loss.real_target=0.7"]).game.loss.options) == {
        "real_target": 0.7
    }


@pytest.mark.parametrize("line", ["loss: {name: hinge}", "game: {loss: {name: hinge}}"])
def test_another_loss_takes_no_options_of_the_parents(write: Write, line: str) -> None:
    write("parent.yaml", PARENT)
    loss = load_recipe(write("child.yaml", "extends: parent.yaml", line)).game.loss
    assert (loss.name, dict(loss.options)) == ("hinge", {})


@pytest.mark.parametrize("named", ["loss: {name: hinge}", "game: {loss: {name: hinge}}"])
def test_the_parents_short_form_does_not_win(write: Write, named: str) -> None:
    """PARENT says `loss` without `game`: what is only set beside it would come out on top."""
    write("parent.yaml", PARENT.replace("loss: {name", "game: {loss: {name").replace("0.9}\npen", "0.9}}\npen"))
    assert load_recipe(write("child.yaml", "extends: parent.yaml", named)).game.loss.name == "hinge"


def test_a_length_is_instead_of_the_parents(write: Write) -> None:
    write("parent.yaml", PARENT)
    found = load_recipe(write("child.yaml", "extends: parent.yaml", "kimg: 7"))
    assert (found.kimg, found.epochs) == (7, None)


def test_recipes_of_gantools_and_runs_are_parents_too(write: Write) -> None:
    found = load_recipe(write("a.yaml", "extends: dcgan-mini", "seed: 9"))
    assert found.to_dict() == {**load_recipe("dcgan-mini").to_dict(), "name": "a", "seed": 9}
    write("config.yaml", yaml.safe_dump({"recipe": found.to_dict(), "device": "cpu"}))
    again = load_recipe(write("b.yaml", "extends: config.yaml", "batch: 3"))
    assert (again.name, again.seed, again.batch) == ("b", 9, 3)
    # A chain of three, the last word to the nearest.
    third = load_recipe(write("c.yml", "extends: b.yaml", "seed: 2"))
    assert (third.name, third.seed, third.batch, third.network) == ("c", 2, 3, found.network)
    assert load_recipe(write("d.yaml", "extends: null", PARENT)).name == "called-so"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "a.yaml"}, r"a.yaml: extends: a circle: \S*a.yaml -> \S*a.yaml\."),
        ({"a": "b.yaml", "b": "c.yaml", "c": "./b.yaml"}, r"c.yaml: extends: a circle: \S*a.yaml -> .*b.yaml -> .*c"),
        ({"a": "dcgan-mni"}, r"a.yaml: extends: unknown recipe 'dcgan-mni'. Did you mean 'dcgan-mini'\?"),
        ({"a": "b"}, r"a.yaml: extends: unknown recipe 'b'"),
        ({"a": "nowhere.yaml"}, r"a.yaml: extends: \S*nowhere.yaml: no such recipe file"),
        ({"a": "[dcgan, dcgan-mini]"}, "a.yaml: extends: expected the name or path of one recipe, found a list"),
        ({"a": "b.yaml", "b": "7"}, "b.yaml: extends: expected the name or path of one recipe, found 7"),
    ],
)  # fmt: skip
def test_parents_that_cannot_be(write: Write, files: dict[str, str], message: str) -> None:
    for name, parent in files.items():
        write(f"{name}.yaml", f"extends: {parent}")
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe(write("a.yaml", f"extends: {files['a']}"))
    assert "\n" not in error.value.message


def test_a_mistake_is_said_of_the_file_that_made_it(write: Write) -> None:
    write("parent.yaml", PARENT, "grid: many")
    with pytest.raises(ConfigError, match=r"parent.yaml: grid: expected a whole number"):
        load_recipe(write("child.yaml", "extends: parent.yaml", "seed: 1"))
    write("parent.yaml", PARENT)
    with pytest.raises(ConfigError, match=r"child.yaml: network.laten: unknown key. Did you mean 'network.latent'"):
        load_recipe(write("child.yaml", "extends: parent.yaml", "network: {laten: 5}"))
    write("parent.yaml", "- a list")
    with pytest.raises(ConfigError, match=r"parent.yaml: expected keys and values, found a list"):
        load_recipe(write("child.yaml", "extends: parent.yaml"))


def test_merging_changes_no_layer() -> None:
    layers = [Layer({"a": {"b": 1, "c": 2}}, "x"), Layer({"a": {"b": 3}}, "y")]
    values, given = merged(layers)
    assert values == {"a": {"b": 3, "c": 2}} and layers[0].values == {"a": {"b": 1, "c": 2}}
    assert (given["a.b"], given["a.c"]) == ("y", "x")
    values["a"]["c"] = 5
    assert layers[0].values["a"]["c"] == 2


def test_the_list_is_complete_and_needs_no_torch() -> None:
    found = catalogue()
    assert [entry.name for entry in found] == recipe_names()
    assert all(entry.model in NAMES and entry.description for entry in found)
    program = "import sys; from gantools.recipes.files import catalogue; catalogue(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_some_recipes_of_gantools_extend_others() -> None:
    extended = [name for name in recipe_names() if len(read_layers(name)[1]) > 1]
    assert {"cyclegan-64", "cdcgan-fashion"} <= set(extended)
    for name in extended:
        # What it says of itself is its own, never its parent's.
        own = read_layers(name)[1][-1].values
        assert {"description", "source", "target"} <= own.keys()
