import pytest

from gantools.errors import ConfigError
from gantools.recipes.recipe import load_recipe
from gantools.schedules import Schedule, Staircase, value_at


@pytest.mark.parametrize(
    ("shape", "quarter", "half"),
    [
        ("linear", 0.775, 0.55),
        ("cosine", 0.1 + 0.9 * (1 + 2**-0.5) / 2, 0.55),
        ("exponential", 10**-0.25, 10**-0.5),
        ("steps", 10**-0.25, 10**-0.5),
    ],
)
def test_shapes(shape, quarter, half):
    schedule = Schedule(1.0, 0.1, over_kimg=40, after_kimg=10, shape=shape)
    assert [schedule.at(nimg) for nimg in (0, 10_000, 50_000, 90_000)] == pytest.approx([1, 1, 0.1, 0.1])
    assert [schedule.at(nimg) for nimg in (20_000, 30_000)] == pytest.approx([quarter, half])
    # Only a staircase stands still between its steps.
    assert (schedule.at(20_001) == schedule.at(20_000)) == (shape == "steps")


def test_a_number_is_a_schedule_too():
    assert value_at(0.5, 7) == 0.5 and value_at(Schedule(1, 0, 10), 5000) == 0.5


@pytest.mark.parametrize("values", [(1, 0, 0), (1, 0, 5, -1), (1, 0, 5, 0, "exponential"), (1, 0.5, 5, 0, "steps", 0)])
def test_schedules_that_mean_nothing(values):
    with pytest.raises(ConfigError, match="schedule"):
        Schedule(*values)


def test_of_a_beta_and_of_an_average_in_a_recipe():
    rising = "{start: 0, to: 500, over_kimg: 100}"
    recipe = load_recipe(
        "dcgan", [f"ema.half_life_kimg={rising}", "optim.betas=[0, {start: 0.9, to: 0.99, over_kimg: 9}]"]
    )
    assert value_at(recipe.ema.half_life_kimg, 50_000) == 250 and value_at(recipe.optim.betas[1], 9000) == 0.99
    for wrong in (
        "optim.betas=[0, {start: 0.9, to: 1, over_kimg: 9}]",
        "ema.half_life_kimg={start: 0, to: 0, over_kimg: 9}",
    ):
        with pytest.raises(ConfigError, match=r"betas and momentum|half_life_kimg"):
            load_recipe("dcgan", [wrong])


def test_in_a_recipe():
    recipe = load_recipe("dcgan", ["optim.lr={start: 2e-4, to: 0, over_kimg: 100, after_kimg: 100}"])
    assert value_at(recipe.optim.of("generator").lr, 150_000) == pytest.approx(1e-4)


def test_a_staircase_changes_at_its_places():
    stairs = Staircase((4.0, 2.0, 1.0), (10.0, 20.0))
    assert [value_at(stairs, nimg) for nimg in (0, 9_999, 10_000, 19_999, 20_000, 10**9)] == [4, 4, 2, 2, 1, 1]
    assert Staircase((0.5,), ()).at(7) == 0.5


@pytest.mark.parametrize("values", [((1.0,), (5.0,)), ((1.0, 2.0, 3.0), (5.0, 5.0)), ((1.0, 2.0), (0.0,))])
def test_staircases_that_mean_nothing(values):
    with pytest.raises(ConfigError, match="staircase"):
        Staircase(*values)


def test_a_rate_may_be_a_staircase_and_another_kind_of_schedule_takes_its_place(tmp_path):
    recipe = load_recipe("esrgan-x4")
    assert [value_at(recipe.optim.lr, k * 1000) for k in (0, 3200, 12800, 16000, 16800, 22000)] == pytest.approx(
        [2e-4, 1e-4, 1.25e-5, 1e-4, 5e-5, 6.25e-6]
    )
    assert load_recipe("esrgan-x4", ["optim.lr={start: 1, to: 0.5, over_kimg: 2}"]).optim.lr == Schedule(1, 0.5, 2)
    assert load_recipe("esrgan-x4", ["optim.lr=0.5"]).optim.lr == 0.5
    stairs = "{levels: [2, 1], at_kimg: [3]}"
    assert load_recipe("srgan-x4", [f"optim.lr={stairs}"]).optim.lr == Staircase((2, 1), (3,))
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: srgan-x4\noptim: {{lr: {stairs}}}\n")
    assert load_recipe(file).optim.lr == Staircase((2, 1), (3,))
    # Of one kind, a key alone is changed.
    assert load_recipe("srgan-x4", ["optim.lr={over_kimg: 7}"]).optim.lr.over_kimg == 7
    with pytest.raises(ConfigError, match="at_kimg has 9"):
        load_recipe("esrgan-x4", ["optim.lr={levels: [2, 1]}"])
    with pytest.raises(ConfigError, match="must be above 0"):
        load_recipe("esrgan-x4", ["optim.lr={levels: [2, -1], at_kimg: [3]}"])
