import pytest
import torch
from torch import nn

from gantools.recipes.recipe import EmaConfig
from gantools.schedules import Schedule
from gantools.training.averaging import Average


def test_half_life_in_images():
    average = Average(nn.Linear(1, 1), EmaConfig(10))
    # After half_life images, in steps of any size, half of the old value is left.
    for batch in (100, 500, 1000):
        share = 1.0
        for _ in range(10_000 // batch):
            share *= average.beta(10**7, batch)
        assert share == pytest.approx(0.5, abs=1e-6)


def test_a_half_life_that_grows():
    """At the end of its schedule half of the old value is left after as many images; at its beginning nothing."""
    average = Average(nn.Linear(1, 1), EmaConfig(Schedule(0, 10, over_kimg=20), ramp=1.0))
    assert average.beta(0, 50) == 0 and average.beta(10_000, 50) == pytest.approx(0.5 ** (50 / 5000))
    assert average.beta(20_000, 100) ** 100 == pytest.approx(0.5, abs=1e-6)


def test_ramp_limits_the_half_life_at_the_start():
    average = Average(nn.Linear(1, 1), EmaConfig(10, ramp=0.05))
    assert average.beta(2000, 50) == pytest.approx(0.5 ** (50 / 100))
    assert average.beta(0, 50) == pytest.approx(0.0, abs=1e-12)


def test_update_is_the_formula_and_copies_buffers():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = Average(network, EmaConfig(1))
    before = [p.clone() for p in average.network.parameters()]
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p))
    network(torch.randn(8, 3))
    average.update(network, nimg=10**6, batch=250)
    beta = 0.5**0.25
    for old, new, ours in zip(before, network.parameters(), average.network.parameters(), strict=True):
        torch.testing.assert_close(ours, old * beta + new * (1 - beta))
        assert not ours.requires_grad
    for new, ours in zip(network.buffers(), average.network.buffers(), strict=True):
        assert torch.equal(new, ours)
    assert not average.network.training


def test_until_it_starts_the_average_is_a_copy():
    average = Average(nn.Linear(1, 1), EmaConfig(10, start_kimg=2))
    assert average.beta(2000, 50) == 0 and average.beta(2050, 50) > 0
