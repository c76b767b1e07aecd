import pytest
import yaml
from tests.cli.conftest import TINY

from gantools.recipes import recipe_names
from gantools.recipes.recipe import load_recipe


def test_list(call):
    code, out, err = call("recipes", "list")
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    for line in lines:
        name, model, description = line.split(maxsplit=2)
        recipe = load_recipe(name)
        assert (model, description) == (recipe.model, recipe.description)


@pytest.mark.parametrize("name", ["dcgan", "cyclegan-64", "srgan-x4", "stylegan2-256"])
def test_show_prints_a_recipe_that_is_the_same(call, tmp_path, name):
    code, out, _ = call("recipes", "show", name)
    assert code == 0
    (tmp_path / "mine.yaml").write_text(out)
    assert load_recipe("mine.yaml") == load_recipe(name)
    assert "extends" not in yaml.safe_load(out)


def test_show_takes_changes(call):
    _, out, _ = call("recipes", "show", "dcgan", "--set", "optim.lr=0.5", "--set", "loss.name=hinge")
    values = yaml.safe_load(out)
    assert values["optim"]["lr"] == 0.5 and values["game"]["loss"]["name"] == "hinge"


def test_diff_prints_what_differs_and_nothing_else(call, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "extends: dcgan\noptim: {lr: 0.001, discriminator: {lr: 0.004}}\npenalties: {r1: 2}\nkimg: 5\n"
    )
    code, out, _ = call("recipes", "diff", "dcgan", "mine.yaml")
    assert code == 0
    assert out.splitlines() == [
        "game.penalties.r1: (none) -> {weight: 2.0, every: 1}",
        "optim.lr: 0.00025 -> 0.001",
        "optim.discriminator: (none) -> {lr: 0.004}",
        "epochs: 60.0 -> null",
        "kimg: null -> 5.0",
    ]
    assert call("recipes", "diff", "dcgan", "dcgan")[1] == ""
    # Texts for people differ between any two, and are compared on request.
    assert call("recipes", "diff", "mine.yaml", "mine.yaml")[1] == ""
    assert "name: dcgan -> mine\n" in call("recipes", "diff", "dcgan", "mine.yaml", "--words")[1]
    # What is printed may be typed again.
    assert call("recipes", "show", "dcgan", "--set", "game.penalties.r1={weight: 2.0, every: 1}")[0] == 0


def test_runs_are_compared_too(call, make_set, tmp_path):
    make_set(n=48, size=8)
    (tmp_path / "mine.yaml").write_text("extends: dcgan\noptim: {lr: 0.001}\n")
    assert call("train", "mine.yaml", *TINY, "--kimg", "0.048")[0] == 0
    run = "runs/00000-mine-blobs"
    # What a run writes is whole: it can be read where the files that it came from are not.
    record = (tmp_path / run / "config.yaml").read_text()
    assert "extends" not in record and yaml.safe_load(record)["recipe"]["optim"]["lr"] == 0.001
    (tmp_path / "mine.yaml").unlink()
    code, out, _ = call("recipes", "diff", "dcgan", run)
    assert code == 0 and "optim.lr: 0.00025 -> 0.001\n" in out and "network.size: 64 -> 8\n" in out
    checkpoint = f"{run}/checkpoints/kimg-000000.048"
    for place in (f"{run}/config.yaml", checkpoint, "runs"):
        assert call("recipes", "diff", run, place)[1] == ""
    shown = call("recipes", "show", run)[1]
    assert yaml.safe_load(shown) == yaml.safe_load(record)["recipe"]
    # A run that goes on with other settings is what it is now.
    assert call("train", "--resume", "--kimg", "0.096", "--set", "optim.lr=0.002")[0] == 0
    assert "optim.lr: 0.001 -> 0.002\n" in call("recipes", "diff", checkpoint, run)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "dcgam"], "Did you mean 'dcgan'?"),
        (["show", "nowhere.yaml"], "no such recipe file"),
        (["show", "dcgan", "--set", "optim.lt=1"], "Did you mean 'optim.lr'?"),
        (["diff", "dcgan", "runs/7"], "unknown recipe 'runs/7'"),
        (["diff", "dcgan"], "Missing argument 'B'"),
    ],
)
def test_mistakes(call, arguments, message):
    code, out, err = call("recipes", *arguments)
    assert code == 2 and out == "" and message in err and "Traceback" not in err
