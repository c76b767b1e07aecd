"""Weights of other programs: written as they write them, by networks that are laid out as theirs."""

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from gantools import cli
from gantools.errors import CheckpointError, ConfigError, DataError, WeightsError
from gantools.levels import to_uint8
from gantools.models.dcgan import DCGANConfig, build
from gantools.runs.checkpoint import read_config, read_tensors
from gantools.runs.folders import find_checkpoint
from gantools.sampling.generator import Generator
from gantools.sampling.latents import latents
from gantools.training.foreign import import_weights, match
from gantools.training.run import train

SMALL = {"network": {"size": 16, "channels": 3, "latent": 5, "width": 4}}


class Theirs(nn.Module):
    """A generator as in pytorch/examples: one Sequential called `main`, called with latents (n, latent, 1, 1)."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(5, 8, 4, 1, 0, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(True),
            nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.main(z[:, :, None, None])


@pytest.fixture
def theirs():
    torch.manual_seed(3)
    network = Theirs()
    network(torch.randn(64, 5))  # moves the statistics of BatchNorm, so that they are seen to be taken
    return network.eval()


def expected(network, n=4):
    with torch.no_grad():
        images = network(torch.from_numpy(latents(0, 0, 64, 5)))
    return to_uint8(images).permute(0, 2, 3, 1).numpy()[:n]


@pytest.mark.parametrize("form", ["plain", "safetensors", "module", "netG", "g_ema", "prefix"])
def test_images_are_those_of_the_other_program(theirs, tmp_path, form):
    weights, path = theirs.state_dict(), tmp_path / "weights.pt"
    wrong = {k: torch.zeros_like(v) for k, v in weights.items()}
    if form == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(weights, path)
    elif form == "module":  # of DataParallel
        torch.save({f"module.{k}": v for k, v in weights.items()}, path)
    elif form == "netG":
        torch.save({"epoch": 3, "netG": weights, "netD": {"x": torch.zeros(2)}}, path)
    elif form == "g_ema":  # the average goes before the weights as trained
        torch.save({"g": wrong, "g_ema": weights}, path)
    elif form == "prefix":
        torch.save({f"generator.{k}": v for k, v in weights.items()} | {"discriminator.x": torch.zeros(2)}, path)
    else:
        torch.save(weights, path)
    run, lines = import_weights(path, recipe="dcgan", out=tmp_path / "run", overrides=SMALL)
    generator = Generator.load(run, device="cpu")
    assert np.array_equal(generator.sample(4), expected(theirs))
    text = "\n".join(lines)
    assert "generator: 13 of 13 tensors taken (0 by name, 13 by order and shape)" in text
    assert "samples mean nothing" not in text
    report = json.loads((run / "import.json").read_text())["networks"]["generator"]
    assert report["taken"]["layers.0.weight"] == "main.0.weight" and report["left"] == []
    assert read_config(find_checkpoint(run))["imported"] == str(path)


def test_what_does_not_fit_is_said_and_the_rest_taken(theirs, tmp_path):
    weights = theirs.state_dict()
    weights["main.6.weight"] = torch.zeros(4, 1, 4, 4)  # grey
    torch.save(weights, tmp_path / "grey.pt")
    run, lines = import_weights(tmp_path / "grey.pt", recipe="dcgan", out=tmp_path / "run", overrides=SMALL)
    text = "\n".join(lines)
    assert "generator: 12 of 13 tensors taken" in text
    assert "left as they were: layers.6.weight (4, 3, 4, 4)" in text
    assert "in the file and not used: main.6.weight (4, 1, 4, 4)" in text
    assert "discriminator: not in grey.pt" in text and "samples mean nothing" in text
    assert json.loads((run / "import.json").read_text())["networks"]["generator"]["unused"] == ["main.6.weight"]


def test_order_does_not_mix_kinds():
    def bn(c):
        return {name: torch.zeros(c) for name in ("weight", "bias", "running_mean", "running_var")}

    wanted = {f"a.{k}": v for k, v in bn(4).items()} | {f"b.{k}": v for k, v in bn(4).items()}
    # One layer fewer, and its tensors in another order: a weight never becomes a mean.
    found = {f"x.{k}": v for k, v in reversed(bn(4).items())}
    result = match(wanted, found)
    assert result.taken and not result.whole
    assert all(ours.split(".")[1] == theirs.split(".")[1] for ours, theirs in result.taken.items())
    assert not match({"a.weight": torch.zeros(2, 3)}, {"a.weight": torch.zeros(3, 2)}).taken
    assert match({"bn.num_batches_tracked": torch.tensor(0), "w": torch.zeros(2)}, {"w": torch.zeros(2)}).whole


def test_training_starts_from_it(theirs, tmp_path, make_set):
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    run, _ = import_weights(tmp_path / "w.pt", recipe="dcgan", out=tmp_path / "run", overrides=SMALL)
    data = make_set(n=16, size=16)
    started = train(
        "dcgan",
        data=data,
        out=tmp_path / "runs",
        init_from=run,
        overrides={**SMALL, "batch": 8, "kimg": 0.008, "optim.lr": 1e-9, "grid": 4},
        progress=False,
        device="cpu",
    )
    taken = Generator.load(started, device="cpu").network.state_dict()["layers.0.weight"]
    assert torch.allclose(taken, theirs.state_dict()["main.0.weight"], atol=1e-6)


def test_a_training_begins_with_it_and_goes_on(theirs, tmp_path, make_set):
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    run, _ = import_weights(tmp_path / "w.pt", recipe="dcgan", out=tmp_path / "imported", overrides=SMALL)
    options = {"data": make_set(n=16, size=16), "progress": False, "device": "cpu"}
    for resume in (run, find_checkpoint(run)):
        with pytest.raises(CheckpointError, match="imported: holds weights of another program") as e:
            train(resume=resume, **options)
    recipe = run / "config.yaml"
    assert e.value.hint == f"Begin one with them: gantools train {recipe} --init-from {run}"
    changes = {"init_from": run, "overrides": {"batch": 8, "grid": 4, "tick_kimg": 0.016}, "out": tmp_path / "runs"}
    straight = train(recipe, kimg=0.032, **changes, **options)
    stopped = train(recipe, kimg=0.016, **changes, **options)
    parent = yaml.safe_load((stopped / "config.yaml").read_text())["parent"]
    assert parent == str(find_checkpoint(run))
    assert train(resume=stopped, kimg=0.032, progress=False, device="cpu") == stopped
    ours, theirs = find_checkpoint(stopped), find_checkpoint(straight)
    for file in ("generator.safetensors", "discriminator.safetensors"):
        assert (ours / file).read_bytes() == (theirs / file).read_bytes()
    # Where it comes from is not forgotten.
    assert yaml.safe_load((stopped / "config.yaml").read_text())["parent"] == parent == read_config(ours)["parent"]


def test_a_part_of_a_file_and_a_network(theirs, tmp_path):
    weights = theirs.state_dict()
    torch.save({"first": {k: torch.zeros_like(v) for k, v in weights.items()}, "second": weights}, tmp_path / "w.pt")
    run, _ = import_weights(tmp_path / "w.pt", recipe="dcgan", part="second", out=tmp_path / "run", overrides=SMALL)
    assert np.array_equal(Generator.load(run, device="cpu").sample(4), expected(theirs))
    judge = build(DCGANConfig(**SMALL["network"]))["discriminator"].state_dict()
    torch.save({k.replace("layers", "main"): v for k, v in judge.items()}, tmp_path / "d.pt")
    run, lines = import_weights(
        tmp_path / "d.pt", recipe="dcgan", network="discriminator", out=tmp_path / "run-d", overrides=SMALL
    )
    assert torch.equal(read_tensors(find_checkpoint(run), "discriminator")["layers.0.weight"], judge["layers.0.weight"])
    assert "generator: not in d.pt" in "\n".join(lines)


def test_a_system_without_a_recipe(tmp_path):
    torch.save({"layers.0.weight": torch.ones(128, 512, 4, 4)}, tmp_path / "w.pt")
    run, lines = import_weights(tmp_path / "w.pt", model="dcgan", out=tmp_path / "run")
    assert "(1 by name, 0 by order and shape)" in "\n".join(lines)
    assert Generator.load(run, device="cpu").network.state_dict()["layers.0.weight"].eq(1).all()


class Anything:
    pass


def test_mistakes(theirs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(theirs.state_dict(), "w.pt")
    torch.save([1, 2], "list.pt")
    torch.save(Anything(), "object.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"123")
    torch.save({"a": {"x": torch.zeros(1)}, "b": {"y": torch.zeros(1)}}, "two.pt")
    for file, message, hint in (
        ("none.pt", "no such file", "safetensors"),
        ("list.pt", "no tensors by name", "state_dict"),
        ("object.pt", "no plain state dict", "state_dict"),
        ("cut.safetensors", "no plain state dict", "state_dict"),
        ("two.pt", "nothing in it fits", "--part"),
    ):
        with pytest.raises(WeightsError, match=message) as e:
            import_weights(file, recipe="dcgan", out="run")
        assert hint in e.value.hint
    with pytest.raises(WeightsError, match="nothing in it fits") as e:
        import_weights("w.pt", recipe="dcgan", out="run")  # of another size
    assert "(5, 8, 4, 4)" in e.value.hint and "network.KEY" in e.value.hint
    for arguments in ({}, {"recipe": "dcgan", "model": "dcgan"}, {"recipe": "dcgam"}, {"model": "dcgam"}):
        with pytest.raises(ConfigError):
            import_weights("w.pt", out="run", **arguments)
    with pytest.raises(ConfigError, match="Did you mean 'discriminator'"):
        import_weights("w.pt", recipe="dcgan", network="discriminater", out="run", overrides=SMALL)
    with pytest.raises(ConfigError, match="unknown part 'c'"):
        import_weights("two.pt", recipe="dcgan", part="c", out="run", overrides=SMALL)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("")
    with pytest.raises(DataError, match="exists already"):
        import_weights("w.pt", recipe="dcgan", out="run", overrides=SMALL)


def test_the_command(theirs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(theirs.state_dict(), "w.pt")
    sizes = "network={size: 16, channels: 3, latent: 5, width: 4}"
    with pytest.raises(SystemExit) as e:
        cli.main(["import", "w.pt", "--recipe", "dcgan", "--set", sizes])
    captured = capsys.readouterr()
    assert not e.value.code and captured.out == "runs/import-w\n" and "13 of 13" in captured.err
    with pytest.raises(SystemExit) as e:
        cli.main(["sample", "runs/import-w", "-n", "2", "--device", "cpu"])
    assert not e.value.code
    assert len(list((tmp_path / "samples").glob("0*.png"))) == 2
