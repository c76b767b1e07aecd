import math

import numpy as np
import pytest
import torch
from torch import nn

from gantools.objectives.losses import LossConfig, non_saturating_discriminator
from gantools.training.health import (
    Diverged,
    check_finite,
    discriminator_wins,
    diversity,
    least_loss,
    samples_collapsed,
)


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


def test_least_loss_is_the_minimum():
    logits = torch.linspace(-5, 5, 10001)[:, None]
    values = [non_saturating_discriminator(x, torch.tensor([-60.0]), 0.9).item() for x in logits]
    assert least_loss(LossConfig("non_saturating", 0.9)) == pytest.approx(min(values), abs=1e-6)
    assert least_loss(LossConfig()) == 0


@pytest.mark.parametrize("target", [1.0, 0.9])
def test_a_discriminator_that_wins(target):
    loss = LossConfig("non_saturating", target)
    sure = {"discriminator_accuracy": 1.0, "loss_d": least_loss(loss) + 0.001}
    assert "discriminator" in discriminator_wins(sure, loss)
    assert discriminator_wins({**sure, "loss_d": least_loss(loss) + 0.2}, loss) is None
    assert discriminator_wins({**sure, "discriminator_accuracy": 0.9}, loss) is None


def test_diversity_is_the_mean_distance():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    flat = images.reshape(6, -1).astype(float)
    pairs = [np.sqrt(((flat[i] - flat[j]) ** 2).mean()) for i in range(6) for j in range(i)]
    assert diversity(torch.from_numpy(images)) == pytest.approx(np.mean(pairs))
    assert diversity(torch.from_numpy(images[[0, 0, 0]])) == 0


def test_collapse():
    assert samples_collapsed(0.01) is not None
    assert samples_collapsed(0.8) is None
    assert samples_collapsed(math.nan) is None
