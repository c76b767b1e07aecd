import math

import pytest
import torch
import torch.nn.functional as F

from gantools.errors import ConfigError
from gantools.objectives.losses import LOSSES, LossConfig, non_saturating_discriminator

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 0.25, 1.0])


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


@pytest.mark.parametrize("target", [1.0, 0.9])
def test_non_saturating_is_binary_cross_entropy(target):
    discriminator, generator = LossConfig("non_saturating", target).functions()
    torch.testing.assert_close(discriminator(REAL, FAKE), bce(REAL, target) + bce(FAKE, 0.0))
    torch.testing.assert_close(generator(FAKE), bce(FAKE, 1.0))


def test_smoothed_loss_is_least_where_d_says_the_target():
    at = [non_saturating_discriminator(torch.tensor([x]), torch.tensor([-50.0]), 0.9) for x in (2.1, math.log(9), 2.3)]
    assert at[1] < at[0] and at[1] < at[2]


def test_non_saturating_is_stable_for_large_logits():
    value = non_saturating_discriminator(torch.tensor([1e4, -1e4]), torch.tensor([1e4, -1e4]))
    assert value.item() == pytest.approx(1e4)


def test_least_squares_closed_form():
    loss = LOSSES["least_squares"]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx((1 + 4 + 0.25) / 6 + (9 + 0.0625 + 1) / 6)
    assert loss.generator(FAKE).item() == pytest.approx((16 + 0.5625 + 0) / 6)


def test_hinge_is_per_sample():
    loss = LOSSES["hinge"]
    # The hinge of the mean would be max(0, 1 - 0.5) + max(0, 1 - 0.58): each sample has its own.
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx((0 + 2 + 0.5) / 3 + (0 + 1.25 + 2) / 3)
    assert loss.generator(FAKE).item() == pytest.approx(1.75 / 3)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_compute_in_float32(name):
    loss = LOSSES[name]
    low = REAL.bfloat16(), FAKE.bfloat16()
    assert loss.discriminator(*low).dtype == torch.float32
    torch.testing.assert_close(loss.discriminator(*low), loss.discriminator(*(x.float() for x in low)))
    assert loss.generator(low[1]).dtype == torch.float32


def test_label_smoothing_belongs_to_cross_entropy():
    with pytest.raises(ConfigError, match="label smoothing"):
        LossConfig("hinge", 0.9)
    with pytest.raises(ConfigError, match="real_target"):
        LossConfig("non_saturating", 1.5)
