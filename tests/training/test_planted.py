"""Trainings that are made to go wrong: each is named within two ticks, in words, and does what the recipe says."""

import dataclasses

import pytest
import torch
from tests.training.test_run import at_batch

from gantools.layers.init import normal_init as init
from gantools.runs.layout import list_checkpoints
from gantools.runs.stats import read_lines
from gantools.training import health
from gantools.training.health import Unhealthy
from gantools.training.state import TrainingState


def zero_weights(network):
    for p in network.parameters():
        p.data.zero_()


def test_samples_alike_from_the_start_are_no_collapse(go, capsys, monkeypatch):
    # All weights zero, and a learning rate too small to change that: one grey image for all latents.
    monkeypatch.setattr("gantools.layers.init.normal_init", zero_weights)
    run = go(overrides={"optim.lr": 1e-30}, tick_kimg=0.016)
    assert {line["sample_diversity"] for line in read_lines(run / "stats.jsonl")} == {0.0}
    said = capsys.readouterr().err
    assert "collapsed" not in said and said.count("the training stands still") >= 3  # at every tick while it lasts


def test_a_training_that_stands_still_is_stopped_where_asked(go, monkeypatch, tmp_path):
    monkeypatch.setattr("gantools.layers.init.normal_init", zero_weights)
    with pytest.raises(Unhealthy, match="stands still"):
        go(overrides={"optim.lr": 1e-30, "health.action": "stop"}, tick_kimg=0.016)
    (run,) = (tmp_path / "runs").iterdir()
    assert len(read_lines(run / "stats.jsonl")) <= 5 and list_checkpoints(run)


def test_a_generator_that_collapses_is_named_within_two_ticks(go, capsys, monkeypatch):
    monkeypatch.setattr(health, "FIRST_STEPS", 4)
    step = TrainingState.count

    def count(self, batch):
        step(self, batch)
        if self.nimg >= 48:
            zero_weights(self.networks["generator"])

    monkeypatch.setattr(TrainingState, "count", count)
    # Large weights, so that the images differ at all before.
    monkeypatch.setattr("gantools.layers.init.normal_init", lambda network, std=0.02: init(network, 0.5))
    go(tick_kimg=0.016, overrides=["ema.half_life_kimg=null"])
    assert capsys.readouterr().err.count("the generator has collapsed") == 1


def test_a_discriminator_that_has_won_is_named(go, capsys, monkeypatch):
    monkeypatch.setattr("gantools.layers.init.normal_init", lambda network, std=0.02: init(network, 0.5))
    # A generator that does not learn, against a fast discriminator on images that are easy to tell.
    at_batch(monkeypatch, lambda batch, nimg: dataclasses.replace(batch, images=torch.ones_like(batch.images)))
    go(kimg=0.4, tick_kimg=0.1, overrides=["optim.generator.lr=1e-30", "optim.discriminator.lr=0.02"])
    assert "the discriminator tells every image apart" in capsys.readouterr().err


@pytest.fixture
def lively(monkeypatch):
    """Weights so large that samples differ from the beginning, and a training that counts as begun at once."""
    monkeypatch.setattr("gantools.layers.init.normal_init", lambda network, std=0.02: init(network, 0.5))
    monkeypatch.setattr(health, "FIRST_STEPS", 4)


def from_then_on(monkeypatch, nimg, change):
    """change(state), once, after the step that ends at `nimg` images."""
    count = TrainingState.count

    def counted(self, batch):
        count(self, batch)
        if self.nimg == nimg:
            change(self)

    monkeypatch.setattr(TrainingState, "count", counted)


def one_of_two(state):
    """Its generator makes one of two images for every latent from now on."""

    def two(module, inputs):
        return (inputs[0][:, :1].sign().expand_as(inputs[0]), *inputs[1:])

    state.networks["generator"].register_forward_pre_hook(two)


PLANTED = {"tick_kimg": 0.016, "overrides": {"ema.half_life_kimg": None, "grid": 16}}


def test_duplicates_are_named_within_two_ticks(go, lively, capsys, monkeypatch):
    from_then_on(monkeypatch, 48, one_of_two)
    run = go(**PLANTED)
    lines = read_lines(run / "stats.jsonl")
    assert [line["sample_duplicates"] for line in lines[:2]] == [0.0, 0.0]
    assert all(line["sample_duplicates"] == 1.0 and line["sample_diversity"] > 0.1 for line in lines[3:])
    said = capsys.readouterr().err
    assert said.count("100% of the samples are nearly the same image as another one (of real images") == 1
    assert "has collapsed" not in said


def test_duplicates_stop_a_training_where_asked(go, lively, monkeypatch, tmp_path):
    from_then_on(monkeypatch, 48, one_of_two)
    overrides = {**PLANTED["overrides"], "health.action": "stop"}
    with pytest.raises(Unhealthy, match="collapses to a few images") as e:
        go(**{**PLANTED, "overrides": overrides})
    (run,) = (tmp_path / "runs").iterdir()
    assert str(run) in e.value.hint and read_lines(run / "stats.jsonl")[-1]["nimg"] <= 48 + 2 * 16


def test_gradients_that_vanish_are_named_within_two_ticks(go, capsys, monkeypatch):
    step = TrainingState.step

    def faint(self, phase, gradients):
        if self.nimg >= 256 and phase.updates == ("generator",):
            gradients = [None if g is None else g * 1e-9 for g in gradients]
        step(self, phase, gradients)

    monkeypatch.setattr(TrainingState, "step", faint)
    run = go(kimg=0.512, tick_kimg=0.128)
    shares = [line["gradient_generator"] for line in read_lines(run / "stats.jsonl")]
    assert min(shares[:2]) > 1e3 * max(shares[2:])
    assert capsys.readouterr().err.count("hardly any gradient reaches the generator") == 1


def test_a_loss_that_runs_away_is_named_within_two_ticks(go, capsys, monkeypatch):
    def explode(state):
        for p in state.networks["discriminator"].parameters():
            p.data.mul_(1e4)

    from_then_on(monkeypatch, 48, explode)
    run = go(kimg=0.080, tick_kimg=0.016)
    assert max(abs(line["loss_d"]) for line in read_lines(run / "stats.jsonl")[3:]) > 1e3
    assert "the training diverges. Go back to an earlier checkpoint" in capsys.readouterr().err
