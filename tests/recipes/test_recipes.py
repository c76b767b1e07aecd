import dataclasses

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gantools.errors import ConfigError
from gantools.models import NAMES
from gantools.recipes import recipe_names
from gantools.recipes.recipe import load_recipe, recipe_from_dict


def test_recipes_of_the_reports_are_their_tables():
    a, e = load_recipe("dcgan"), load_recipe("dcgan-fashion")
    assert (a.model, a.network.latent, a.optim.lr, a.optim.betas[0], a.batch, a.epochs) == (
        "dcgan", 128, 0.00025, 0.5, 128, 60,
    )  # fmt: skip
    assert (e.optim.lr, e.optim.betas[0], e.optim.eps, e.batch, e.epochs) == (0.001, 0.5, 1e-7, 32, 20)
    assert [dict(r.game.loss.options) for r in (a, e)] == [{}, {"real_target": 0.9}]
    assert a.image_shape == (64, 64, 3) and e.image_shape == (28, 28, 1)
    for recipe in (a, e):  # neither report averages weights or mirrors images
        assert recipe.ema.half_life_kimg is None and not recipe.data.flip and recipe.game.loss.name == "non_saturating"


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_says_where_it_comes_from_and_survives_a_round_trip(name):
    recipe = load_recipe(name)
    assert recipe.description and recipe.source and recipe.target and recipe.prep.startswith("gantools prep ")
    assert recipe.model in NAMES
    assert recipe_from_dict(yaml.safe_load(yaml.safe_dump(recipe.to_dict())), "test") == recipe


@pytest.fixture
def user_recipe(tmp_path):
    """user_recipe(*lines): the path of a small recipe with these lines added."""

    def write(*lines):
        base = ["model: dcgan", "optim: {lr: 1e-3}", "batch: 8", "kimg: 1"]
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
        ("data: {flip: 1}", "data.flip: expected true or false, found 1"),
        ("flip: true", r"flip: unknown key. Did you mean 'data.flip'\?"),
        ("data: {crop: 8}", "data.crop: belongs to the feed"),
        ("data: {feed: crops}", "data.crop: belongs to the feed"),
        ("ema: 5", "ema: expected keys and values, found 5"),
        ("ema: {half_life_kimg: x}", "ema.half_life_kimg: expected a number or a schedule or null, found 'x'"),
        ("compute: {precision: float16}", "compute.precision: expected one of float32, bfloat16, auto"),
        ("network: {width: null}", "network.width: expected a whole number, found nothing"),
        ("epochs: 3", "exactly one"),
        ("tick_kimg: .inf", "not a finite number"),
        ("tick_epochs: 0", "tick_epochs: must be above 0"),
        ("reported: {loss_g: [1]}", "reported: needs a column epoch"),
        ("reported: {epoch: [1], loss_g: [1, 2]}", "all columns of the same length"),
        ("reported: {epoch: [x]}", "reported.epoch: expected a list of numbers, found a list"),
        ("batch: 9", "given twice"),
        ("grid: [1", "not valid YAML"),
        ("name: ../../etc", "name"),
        ("game: {loss: {name: hing}}", r"unknown game.loss.name 'hing'. Did you mean 'hinge'\?"),
        ("loss: {name: hinge, a: 1}", "game.loss.a: the loss hinge has no options"),
        ("penalties: {r3: 1}", r"'r3'. Did you mean 'r[12]'\?"),
        ("penalties: {r1: {wait: 1}}", r"game.penalties.r1.wait: unknown key. Did you mean 'weight'\?"),
        ("eval: {metrics: 5}", "eval.metrics: expected a list of values, found 5"),
        ("compute: {accumulate: 3}", "batch 8 cannot be cut into 3 equal parts"),
        ("keep: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_mistakes_in_a_file_are_named(user_recipe, line, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(user_recipe(line))


def test_missing_keys_and_unknown_models():
    with pytest.raises(ConfigError, match="'model' is missing"):
        recipe_from_dict({}, "here")
    with pytest.raises(ConfigError, match="the keys 'optim', 'batch' are missing"):
        recipe_from_dict({"model": "dcgan", "name": "x", "kimg": 1}, "here")
    with pytest.raises(ConfigError, match=r"unknown model .*'dcgam'.*Did you mean 'dcgan'"):
        load_recipe("dcgan", ["model=dcgam"])


def test_overrides():
    recipe = load_recipe("dcgan", ["optim.lr=1e-4", "data.flip=true", "ema.half_life_kimg=10", "network.width=8"])
    assert recipe.optim == dataclasses.replace(load_recipe("dcgan").optim, lr=1e-4)
    assert recipe.data.flip is True and recipe.ema.half_life_kimg == 10.0 and recipe.network.width == 8
    assert load_recipe("dcgan", {"seed": 7}).seed == 7


def test_asking_for_one_length_replaces_the_other():
    recipe = load_recipe("dcgan", ["kimg=5"])
    assert recipe.kimg == 5 and recipe.epochs is None and recipe.total_nimg(10**6) == 5000
    assert load_recipe("dcgan-mini", ["epochs=2"]).total_nimg(300) == 600


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lt=1", r"--set optim.lt: unknown key. Did you mean 'optim.lr'\?"),
        ("optim.lr=fast", "--set optim.lr: expected a number or a schedule or a staircase, found 'fast'"),
        ("optim.lr", "expected KEY=VALUE"),
        ("batch.size=3", "'batch' is not a section"),
        ("batch=0", "batch: must be at least 1"),
        ("optim.lr=-1", "optim.lr: must be above 0, not -1"),
        ("optim.generater.lr=1", r"'generater'. Did you mean 'generator'"),
        ("optim.generator.lt=1", r"--set optim.generator.lt: unknown key. Did you mean 'optim.generator.lr'"),
        ("optim.betas=[0.5]", "optim.betas: expected a list of 2 values"),
        ("optim.lr={start: 1, to: 0}", "the key 'optim.lr.over_kimg' is missing"),
    ],
)
def test_mistakes_in_overrides_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe("dcgan", [override])


def test_ticks_in_epochs_or_in_images_but_not_in_both():
    recipe = load_recipe("dcgan")
    assert (recipe.tick_epochs, recipe.tick_nimg(300)) == (1, 300)
    assert load_recipe("dcgan", ["tick_epochs=0.5"]).tick_nimg(300) == 150
    changed = load_recipe("dcgan", ["tick_kimg=2"])
    assert changed.tick_epochs is None and changed.tick_nimg(300) == 2000
    with pytest.raises(ConfigError, match="tick_kimg, tick_epochs: give one"):
        load_recipe("dcgan", ["tick_kimg=2", "tick_epochs=1"])


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


def test_a_network_may_have_an_optimizer_of_its_own():
    recipe = load_recipe("dcgan", ["optim.lr=1e-3", "optim.discriminator.lr=4e-3", "optim.discriminator.kind=rmsprop"])
    assert (recipe.optim.of("generator").lr, recipe.optim.of("generator").kind) == (1e-3, "adam")
    assert (recipe.optim.of("discriminator").lr, recipe.optim.of("discriminator").kind) == (4e-3, "rmsprop")
    assert recipe.optim.of("discriminator").betas == recipe.optim.betas
    again = recipe_from_dict(recipe.to_dict(), "test", overrides=["optim.betas=[0, 0.9]"])
    assert again.optim.of("discriminator").betas == (0, 0.9) and again.optim.of("discriminator").lr == 4e-3


def test_a_section_changes_its_keys_and_leaves_the_others():
    recipe = load_recipe("dcgan", {"optim": {"lr": 1e-3}, "network": {"width": 8}})
    assert recipe.optim.betas == load_recipe("dcgan").optim.betas and recipe.network.latent == 128


def test_keys_of_the_game_need_not_name_it():
    short = load_recipe("dcgan", ["loss.name=least_squares", "loss.b=0.9", "penalties.r1=5", "critic_steps=2"])
    whole = load_recipe("dcgan", ["game.loss.name=least_squares", "game.loss.b=0.9", "game.penalties.r1.weight=5"])
    assert short.game == dataclasses.replace(whole.game, critic_steps=2)
    assert load_recipe("dcgan", ["penalties.r1=5", "penalties.r1=null"]).game.penalties.of == {}


def test_a_networks_section_of_the_optimizer_may_be_taken_out():
    without = ["optim.ranker=null", "game.rank.weight=0", "network.ranker=0", "data.feed=crops"]
    recipe = load_recipe("ranksrgan-x4", without)
    assert "ranker" in load_recipe("ranksrgan-x4").optim.networks and recipe.optim.networks == {}
    assert [stage.name for stage in recipe.stages()] == ["gan"]
    with pytest.raises(ConfigError, match=r"optim\.ranker"):
        load_recipe("ranksrgan-x4", without[1:])
