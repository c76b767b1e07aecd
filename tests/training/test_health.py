import math

import numpy as np
import pytest
import torch
from torch import nn

from gantools.objectives.losses import LossConfig
from gantools.training.health import Diverged, Monitor, check_finite, diversity, duplicates


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number(value):
    with pytest.raises(Diverged, match="loss_g is"):
        check_finite({"loss_d": 1.0, "loss_g": value}, {})


def test_a_weight_that_is_no_number_is_named():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    check_finite({}, {"generator": network})
    network[1].running_var[1] = math.inf
    with pytest.raises(Diverged, match=r"generator's weights .* first in 1\.running_var"):
        check_finite({}, {"generator": network})


def test_a_weight_that_is_no_number_is_named_with_its_loss():
    network = nn.Linear(2, 2)
    network.weight.data[0, 0] = math.nan
    with pytest.raises(Diverged, match=r"loss_g is nan, the generator's weights .* first in weight"):
        check_finite({"loss_g": math.nan}, {"generator": network})


def test_least_loss_is_the_minimum():
    logits = torch.linspace(-5, 5, 10001)[:, None]
    smooth = LossConfig("non_saturating", {"real_target": 0.9})
    values = [smooth.discriminator(x, torch.tensor([-60.0])).item() for x in logits]
    assert smooth.least() == pytest.approx(min(values), abs=1e-6)
    assert LossConfig().least() == 0 and LossConfig("wasserstein").least() is None


def ticks(monitor, *lines):
    """The kinds of signs at the last of these ticks."""
    for line in lines:
        signs = monitor.look(line)
    return {sign.kind for sign in signs}


@pytest.mark.parametrize("target", [1.0, 0.9])
def test_a_discriminator_that_wins(target):
    loss = LossConfig("non_saturating", {"real_target": target})
    sure = {"discriminator_accuracy": 1.0, "loss_d": loss.least() + 0.001}
    assert ticks(Monitor(loss), sure) == {"discriminator"}
    assert ticks(Monitor(loss), {**sure, "loss_d": loss.least() + 0.2}) == set()
    assert ticks(Monitor(loss), {**sure, "discriminator_accuracy": 0.9}) == set()
    assert ticks(Monitor(None), sure) == set()


def test_least_squares_has_no_probabilities_but_a_winner():
    sure = {"discriminator_accuracy": 1.0, "loss_d": 0.001}
    monitor = Monitor(LossConfig("least_squares"))
    assert ticks(monitor, sure) == {"discriminator"}
    assert "real_target" not in monitor.look(sure)[0].text


def test_a_collapse_is_a_fall_and_not_a_beginning():
    # Samples that were alike from the start have not collapsed: the generator has not learnt yet.
    low = {"step": 1000, "sample_diversity": 0.02}
    assert ticks(Monitor(None), low, low, low) == set()
    high = {"step": 1000, "sample_diversity": 0.8}
    assert ticks(Monitor(None), high, low) == set()  # one tick alone may be chance
    assert ticks(Monitor(None), high, low, low) == {"collapse"}
    early = {"step": 100, "sample_diversity": 0.02}
    assert ticks(Monitor(None), {**high, "step": 50}, early, early) == set()
    assert ticks(Monitor(None), high, {"step": 1000, "sample_diversity": 0.09}, {"step": 1000}) == set()
    resumed = Monitor(None)
    resumed.replay([high, low])
    assert ticks(resumed, low) == {"collapse"}


def test_losses_that_stand_still_and_gradients_that_are_gone():
    still = {"loss_d": 0.5, "loss_g": 27.631, "step": 10}
    assert ticks(Monitor(None), still, still, still) == {"frozen"}
    assert ticks(Monitor(None), still, {**still, "loss_g": 27.64}, {**still, "loss_g": 27.65}) == set()
    lively, gone = {"gradient_generator": 1.0}, {"gradient_generator": 1e-7}
    assert ticks(Monitor(None), lively, gone, gone) == {"gradient"}
    assert ticks(Monitor(None), lively, {"gradient_generator": 1e-3}, {"gradient_generator": 1e-3}) == set()


def test_inverted_colours():
    dark = {"step": 600, "luma_correlation": -0.4}
    assert ticks(Monitor(None), dark, dark) == {"inverted"}
    assert ticks(Monitor(None), {**dark, "luma_correlation": 0.4}, {**dark, "luma_correlation": 0.4}) == set()


def test_diversity_is_the_mean_distance():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    flat = images.reshape(6, -1).astype(float)
    pairs = [np.sqrt(((flat[i] - flat[j]) ** 2).mean()) for i in range(6) for j in range(i)]
    assert diversity(torch.from_numpy(images)) == pytest.approx(np.mean(pairs))
    assert diversity(torch.from_numpy(images[[0, 0, 0]])) == 0


def test_advice_names_only_what_the_game_has():
    sure = {"discriminator_accuracy": 1.0, "loss_d": 0.001}
    assert "penalties.r1" in Monitor(LossConfig()).look(sure)[0].text
    assert "penalties" not in Monitor(LossConfig(), penalties=False).look(sure)[0].text


def test_duplicates_are_a_rise_and_not_a_beginning():
    same = {"step": 1000, "sample_diversity": 0.6, "sample_duplicates": 0.5}
    assert ticks(Monitor(None), same, same, same) == set()  # so from the start
    apart = {**same, "sample_duplicates": 0.05}
    assert ticks(Monitor(None), apart, same) == set()
    assert ticks(Monitor(None), apart, same, same) == {"duplicates"}
    assert ticks(Monitor(None, real_duplicates=0.4), apart, same, same) == set()  # so are real images
    early = {**same, "step": 100}
    assert ticks(Monitor(None), apart, early, early) == set()
    one = {**same, "sample_diversity": 0.02, "sample_duplicates": 1.0}
    assert ticks(Monitor(None), apart, one, one) == {"collapse"}  # which is the word for it


def test_a_loss_that_runs_away():
    calm, far = {"loss_d": -3.0, "loss_g": 4.0}, {"loss_d": -2.0, "loss_g": -5e3}
    assert ticks(Monitor(None), calm, far, {**far, "loss_d": -2.1}) == {"divergence"}
    assert ticks(Monitor(None), calm, far) == set()
    assert ticks(Monitor(None), far, {**far, "loss_d": -2.1}) == set()  # large from the start
    monitor = Monitor(None)
    ticks(monitor, calm, far)
    assert "loss_g is -5e+03, after 4 at most" in monitor.look({**far, "loss_d": -2.1})[0].text
    small = {"loss_d": 1e-6}
    assert ticks(Monitor(None), small, {"loss_d": 0.5}, {"loss_d": 0.6}) == set()


def test_duplicates_are_the_share_with_a_twin():
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8)
    scale = diversity(torch.from_numpy(images))
    assert duplicates(torch.from_numpy(images), scale) == 0
    images[3] = images[5]
    images[6] = np.clip(images[1].astype(int) + 3, 0, 255)  # nearly
    assert duplicates(torch.from_numpy(images), scale) == 4 / 8
    assert duplicates(torch.from_numpy(images[:1]), scale) == 0
    assert duplicates(torch.from_numpy(images[[0, 0, 0]]), scale) == 1
