"""Names of other programs for the keys of recipes: each leads to a key that is there."""

from __future__ import annotations

import dataclasses

import pytest

from gantools.errors import ConfigError
from gantools.models import NAMES, find_system
from gantools.objectives.penalties import PENALTIES
from gantools.recipes.recipe import OptimConfig, Recipe, load_recipe
from gantools.recipes.synonyms import _KEYS, _NAMES, meant


def names(cls: type) -> set[str]:
    return {f.name for f in dataclasses.fields(cls)}


@pytest.mark.parametrize("key", _NAMES)
def test_a_key_is_one_of_recipes(key: str) -> None:
    section, *rest = key.split(".")
    assert section in names(Recipe)
    systems = [find_system(name) for name in NAMES]
    if section in ("network", "game"):
        assert any(rest[0] in names(s.config if section == "network" else s.game) for s in systems)
    elif section == "optim":
        assert rest[0] in names(OptimConfig) or rest == [rest[0], "lr"]
    elif rest:
        (field,) = (f for f in dataclasses.fields(Recipe) if f.name == section)
        assert field.default_factory is not dataclasses.MISSING
        assert rest[0] in names(type(field.default_factory()))
    if rest[:1] == ["penalties"]:
        assert rest[1] in PENALTIES and rest[2] in ("weight", "every")


def test_no_name_means_two_keys() -> None:
    assert len(_KEYS) > 200
    for key, text in _NAMES.items():
        assert [name for name in text.split() if meant(name) != key] == []
    assert meant("LambdaGP") == meant("lambda-gp") == "game.penalties.gradient.weight"
    assert meant("batch") is None


@pytest.mark.parametrize(
    ("recipe", "given", "key"),
    [
        ("wgan-gp-celeba", "game.n_critic=5", "game.critic_steps"),
        ("wgan-gp-celeba", "n_critic=5", "game.critic_steps"),
        ("wgan-gp-celeba", "game.d_steps=5", "game.critic_steps"),
        ("wgan-gp-celeba", "game.lambda_gp=10", "game.penalties.gradient.weight"),
        ("dcgan", "optim.learning_rate=0.1", "optim.lr"),
        ("dcgan", "learning_rate=0.1", "optim.lr"),
        ("dcgan", "network.z_dim=100", "network.latent"),
        ("dcgan", "network.batch_size=100", "batch"),
        ("dcgan", "batch_size=64", "batch"),
        ("dcgan", "beta1=0.5", "optim.betas"),
        ("dcgan", "optim.beta1=0.5", "optim.betas"),
        ("dcgan", "lr_d=0.5", "optim.discriminator.lr"),
        ("dcgan", "optim.discriminator={learning_rate: 1}", "optim.discriminator.lr"),
        ("dcgan", "compute.amp=true", "compute.precision"),
        ("cyclegan-64", "lambda_cycle=10", "game.cycle"),
        ("srgan-x4", "upscale=4", "network.scale"),
    ],
)
def test_an_unknown_key_is_told_by_its_name_here(recipe: str, given: str, key: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown key") as e:
        load_recipe(recipe, [given])
    assert f"unknown key. Did you mean {key!r}?" in e.value.message


@pytest.mark.parametrize(
    ("recipe", "given"), [("srgan-x4", "z_dim=3"), ("cyclegan-64", "lr_d=1"), ("dcgan", "pl_weight=1")]
)
def test_a_key_that_the_system_has_not_is_not_named(recipe: str, given: str) -> None:
    with pytest.raises(ConfigError, match="unknown key") as e:
        load_recipe(recipe, [given])
    key = meant(given.partition("=")[0])
    assert key is not None and key not in e.value.message
