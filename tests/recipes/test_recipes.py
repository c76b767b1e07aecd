import dataclasses

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gantools.errors import ConfigError
from gantools.models import SYSTEMS
from gantools.recipes import recipe_names
from gantools.recipes.recipe import load_recipe, recipe_from_dict


def test_recipes_of_the_reports_are_their_tables():
    a, e = load_recipe("dcgan"), load_recipe("dcgan-fashion")
    assert (a.model, a.network.latent, a.optim.lr, a.optim.beta1, a.batch, a.epochs) == (
        "dcgan", 128, 0.00025, 0.5, 128, 60,
    )  # fmt: skip
    assert (e.optim.lr, e.optim.beta1, e.optim.eps, e.batch, e.epochs) == (0.001, 0.5, 1e-7, 32, 20)
    assert (a.loss.real_target, e.loss.real_target) == (1.0, 0.9)
    assert a.image_shape == (64, 64, 3) and e.image_shape == (28, 28, 1)
    for recipe in (a, e):  # neither report averages weights or mirrors images
        assert recipe.ema.half_life_kimg is None and not recipe.flip and recipe.loss.name == "non_saturating"


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_says_where_it_comes_from_and_survives_a_round_trip(name):
    recipe = load_recipe(name)
    assert recipe.description and recipe.source and recipe.target and recipe.prep.startswith("gantools prep ")
    assert recipe.model in SYSTEMS
    assert recipe_from_dict(yaml.safe_load(yaml.safe_dump(recipe.to_dict())), "test") == recipe


@pytest.fixture
def user_recipe(tmp_path):
    """user_recipe(*lines): the path of a small recipe with these lines added."""

    def write(*lines):
        base = ["description: d", "source: s", "target: t", "prep: gantools prep", "model: dcgan"]
        base += ["optim: {lr: 1e-3}", "batch: 8", "kimg: 1"]
        path = tmp_path / "mine.yaml"
        path.write_text("\n".join([*base, *lines]))
        return path

    return write


def test_a_users_file_is_a_recipe(user_recipe):
    recipe = load_recipe(user_recipe("network: {size: 28, channels: 1}"))
    assert recipe.name == "mine"
    assert recipe.optim.lr == 0.001  # 1e-3, which YAML 1.1 would read as text
    assert recipe.network.size == 28 and recipe.network.latent == 128


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bach: 8", r"mine.yaml: bach: unknown key. Did you mean 'batch'\?"),
        ("network: {laten: 8}", r"mine.yaml: network.laten: unknown key. Did you mean 'network.latent'\?"),
        ("lr: 0.1", r"lr: unknown key. Did you mean 'optim.lr'\?"),
        ("seed: 1.5", "seed: expected a whole number, found 1.5"),
        ("seed: true", "seed: expected a whole number, found true"),
        ("seed: -1", "seed"),
        ("flip: 1", "flip: expected true or false, found 1"),
        ("ema: 5", "ema: expected keys and values, found 5"),
        ("ema: {half_life_kimg: x}", "ema.half_life_kimg: expected a number or null, found 'x'"),
        ("precision: float16", "precision: expected one of float32, bfloat16"),
        ("network: {width: null}", "network.width: expected a whole number, found nothing"),
        ("epochs: 3", "exactly one"),
        ("tick_kimg: .inf", "not a finite number"),
        ("batch: 9", "given twice"),
        ("grid: [1", "not valid YAML"),
        ("name: ../../etc", "name"),
        ("loss: {name: wasserstein}", "expected one of non_saturating"),
        ("keep: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_mistakes_in_a_file_are_named(user_recipe, line, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(user_recipe(line))


def test_missing_keys_and_unknown_models():
    with pytest.raises(ConfigError, match="'model' is missing"):
        recipe_from_dict({}, "here")
    with pytest.raises(ConfigError, match="'optim' is missing"):
        recipe_from_dict({k: v for k, v in load_recipe("dcgan").to_dict().items() if k != "optim"}, "here")
    with pytest.raises(ConfigError, match=r"unknown model .*'dcgam'.*Did you mean 'dcgan'"):
        load_recipe("dcgan", ["model=dcgam"])


def test_overrides():
    recipe = load_recipe("dcgan", ["optim.lr=1e-4", "flip=true", "ema.half_life_kimg=10", "network.width=8"])
    assert recipe.optim == dataclasses.replace(load_recipe("dcgan").optim, lr=1e-4)
    assert recipe.flip is True and recipe.ema.half_life_kimg == 10.0 and recipe.network.width == 8
    assert load_recipe("dcgan", {"seed": 7}).seed == 7


def test_asking_for_one_length_replaces_the_other():
    recipe = load_recipe("dcgan", ["kimg=5"])
    assert recipe.kimg == 5 and recipe.epochs is None and recipe.total_nimg(10**6) == 5000
    assert load_recipe("dcgan-mini", ["epochs=2"]).total_nimg(300) == 600


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lt=1", r"--set optim.lt: unknown key. Did you mean 'optim.lr'\?"),
        ("optim.lr=fast", "--set optim.lr: expected a number, found 'fast'"),
        ("optim.lr", "expected KEY=VALUE"),
        ("batch.size=3", "'batch' is not a section"),
        ("batch=0", "batch: must be at least 1"),
        ("optim.lr=-1", "above 0"),
    ],
)
def test_mistakes_in_overrides_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe("dcgan", [override])


def test_unknown_recipes_name_the_nearest():
    with pytest.raises(ConfigError, match=r"'dcgan-mni'. Did you mean 'dcgan-mini'\?") as e:
        load_recipe("dcgan-mni")
    assert "dcgan-fashion" in e.value.hint
    with pytest.raises(ConfigError, match="no such recipe file"):
        load_recipe("nowhere.yaml")


KEYS = st.sampled_from(["model", "optim", "lr", "network", "batch", "name"]) | st.text(max_size=4)
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


# On a machine with other work making the values may take long, which says nothing of the recipes.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.recursive(VALUES, lambda x: st.dictionaries(KEYS, x, max_size=5) | st.lists(x, max_size=3)))
def test_any_values_end_in_a_recipe_or_in_a_config_error(values):
    with pytest.raises(ConfigError):
        recipe_from_dict(values, "fuzz")
