"""What is drawn of a degradation: as often and as far as its settings say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from gantools import _native
from gantools.data.degrade import END, NUMBERS, ROUND, degraded, numbers, offsets, plan
from gantools.degradation import Degradation, Round, SecondRound
from gantools.errors import ConfigError

N, SIZE, SCALE = 20_000, 400, 4
STEPS, SHAPES, MODES = _native.DEGRADE_STEPS, _native.KERNEL_SHAPES, _native.DEGRADE_RESIZES
QUIET = Degradation(
    sharpen=False,
    around=0,
    first=Round(blur=0.0, resize=(0, 0, 1), gaussian=1.0, noise=(0, 0), jpeg=(100, 100)),
    second=SecondRound(blur=0.0, resize=(0, 0, 1), gaussian=1.0, noise=(0, 0), jpeg=(100, 100)),
    sinc=0.0,
)


@pytest.fixture(scope="module")
def drawn():
    """A plan of many images by Real-ESRGAN's settings."""
    uniform = np.random.default_rng(0).random((N, NUMBERS))
    return plan(Degradation(), uniform, SIZE, SIZE, SCALE)


def share(found):
    return pytest.approx(found, abs=4 * np.sqrt(found * (1 - found) / N) + 1e-9)


def named(steps, at):
    return np.array(STEPS)[steps[:, at, 0].astype(int)]


def even(values, low, high):
    assert values.min() >= low and values.max() <= high
    assert kstest(values, "uniform", (low, high - low)).pvalue > 1e-4


def test_a_plan_has_both_rounds_and_the_end(drawn):
    assert drawn.shape == (N, 11, 7)
    assert set(named(drawn, 0)) == {"sharpen"} and (drawn[:, 0, 1:3] == (0.5, 10)).all()
    for first, name in ((1, "blur"), (2, "resize"), (4, "jpeg"), (6, "resize")):
        assert set(named(drawn, first)) == {name}
    for noise in (3, 7):
        assert (named(drawn, noise) == "gaussian").mean() == share(0.5)
        assert set(named(drawn, noise)) == {"gaussian", "poisson"}
    assert (named(drawn, 5) == "blur").mean() == share(0.8)
    jpeg_last = named(drawn, 10) == "jpeg"
    assert jpeg_last.mean() == share(0.5)
    assert set(named(drawn[jpeg_last], 8)) == {"resize"} and set(named(drawn[~jpeg_last], 8)) == {"jpeg"}
    ends = np.where(jpeg_last, named(drawn, 9), named(drawn, 10))
    assert (ends == "blur").mean() == share(0.8) and set(ends) == {"blur", "none"}
    sizes = np.where(jpeg_last[:, None], drawn[:, 8, 2:4], drawn[:, 9, 2:4])
    assert (sizes == SIZE // SCALE).all()


@pytest.mark.parametrize(("at", "sigma"), [(1, (0.2, 3.0)), (5, (0.2, 1.5))])
def test_kernels_come_as_often_as_they_should(drawn, at, sigma):
    rows = drawn[named(drawn, at) == "blur", at]
    shape = np.array(SHAPES)[rows[:, 1].astype(int)]
    assert (shape == "sinc").mean() == pytest.approx(0.1, abs=0.01)
    assert set(rows[:, 2]) == set(range(7, 22, 2))
    sinc = rows[shape == "sinc"]
    small = sinc[:, 2] < 13
    even(sinc[small, 3], np.pi / 3, np.pi)
    even(sinc[~small, 3], np.pi / 5, np.pi)
    others = rows[shape != "sinc"]
    shape = shape[shape != "sinc"]
    two = others[:, 3] != others[:, 4]
    for name, one, both in (("gaussian", 0.45, 0.25), ("generalised", 0.12, 0.03), ("plateau", 0.12, 0.03)):
        assert ((shape == name) & ~two).mean() == pytest.approx(one, abs=0.015)
        assert ((shape == name) & two).mean() == pytest.approx(both, abs=0.015)
    even(others[:, 3], *sigma)
    even(others[two, 4], *sigma)
    even(others[two, 5], -np.pi, np.pi)
    assert (others[~two, 5] == 0).all() and (others[shape == "gaussian", 6] == 1).all()
    flat = others[shape == "generalised", 6]
    assert (flat < 1).mean() == pytest.approx(0.5, abs=0.04)
    even(flat[flat < 1], 0.5, 1)
    even(flat[flat > 1], 1, 4)
    plateau = others[shape == "plateau", 6]
    assert (plateau == 1).mean() == pytest.approx(0.5, abs=0.04) and plateau.max() <= 2


@pytest.mark.parametrize(
    ("at", "base", "ways", "factor"), [(2, 400, (0.2, 0.7, 0.1), (0.15, 1.5)), (6, 100, (0.3, 0.4, 0.3), (0.3, 1.2))]
)
def test_sizes_are_those_of_the_factors(drawn, at, base, ways, factor):
    height, width = drawn[:, at, 2], drawn[:, at, 3]
    assert (height == width).all()
    keep = height == base
    # A factor that does not make a whole pixel more keeps the size too.
    larger = ways[0] * (1 - 1 / base / (factor[1] - 1))
    assert (height > base).mean() == share(larger)
    assert (height < base).mean() == share(ways[1])
    assert keep.mean() == share(1 - larger - ways[1])
    assert height.min() >= np.floor(base * factor[0]) and height.max() <= base * factor[1]
    for mode in range(3):
        assert (drawn[:, at, 1] == mode).mean() == share(1 / 3)


def test_noise_and_qualities_have_their_ranges(drawn):
    for at, strongest, most in ((3, 30, 3.0), (7, 25, 2.5)):
        gauss = named(drawn, at) == "gaussian"
        even(drawn[gauss, at, 1], 1, strongest)
        even(drawn[~gauss, at, 1], 0.05, most)
        assert drawn[:, at, 2].mean() == share(0.4)
    last = np.where(named(drawn, 10) == "jpeg", drawn[:, 10, 1], drawn[:, 8, 1])
    for quality in (drawn[:, 4, 1], last):
        assert quality.min() == 30 and quality.max() == 95 and (quality % 1 == 0).all()
        assert quality.mean() == pytest.approx(62.5, abs=0.6)


def test_one_setting_does_not_change_what_others_draw(drawn):
    uniform = np.random.default_rng(0).random((N, NUMBERS))
    changed = Degradation(first=Round(sigma=(0.2, 1.0)), sinc=0.5)
    found = plan(changed, uniform, SIZE, SIZE, SCALE)
    np.testing.assert_array_equal(found[:, 2:8], drawn[:, 2:8])
    assert (found[:, 1, 3] != drawn[:, 1, 3]).any()


def test_numbers_are_those_of_the_position_alone():
    uniform, seeds = numbers(5, np.arange(100, 140))
    assert uniform.shape == (40, 2 * ROUND + END) and len(set(seeds.tolist())) == 40
    parts = [numbers(5, np.array([at])) for at in range(100, 140)]
    np.testing.assert_array_equal(np.concatenate([u for u, _ in parts]), uniform)
    np.testing.assert_array_equal(np.concatenate([s for _, s in parts]), seeds)
    assert (numbers(6, np.arange(100, 140))[0] != uniform).all()


def test_places_within_what_is_around():
    uniform = np.random.default_rng(1).random((2000, NUMBERS))
    found = offsets(Degradation(around=12), uniform, 4)
    assert set(found[:, 0]) == set(found[:, 1]) == {0, 1, 2, 3}
    assert (offsets(Degradation(around=0), uniform, 4) == 0).all()


def test_a_degradation_of_nothing_makes_images_smaller_alone():
    image = np.repeat(np.repeat(np.arange(48, dtype=np.uint8).reshape(1, 6, 8, 1) * 5, 4, 1), 4, 2)
    uniform, seeds = numbers(0, np.arange(1))
    uniform[:, 2 * ROUND + 4] = 0.0  # area
    # Its second round is of the small size already, where each pixel is the mean of a block.
    uniform[:, ROUND + 12] = 0.0
    found = degraded(image, QUIET, 4, uniform, seeds)
    assert np.abs(found[..., 0].astype(int) - image[:, ::4, ::4, 0]).max() <= 3  # of two JPEGs of quality 100


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Degradation(around=-4), "around"),
        (lambda: Degradation(sinc=1.5), "data.degrade.sinc"),
        (lambda: Degradation(first=Round(blur=2.0)), "data.degrade.first.blur"),
        (lambda: Degradation(second=SecondRound(sigma=(3.0, 1.0))), "data.degrade.second.sigma"),
        (lambda: Degradation(first=Round(sides=(6, 21))), "must be odd"),
        (lambda: Degradation(first=Round(kernels=(0, 0, 0, 0, 0, 0))), "one is above it"),
        (lambda: Degradation(first=Round(factor=(0.2, 0.8))), "1 must be within"),
        (lambda: Degradation(first=Round(jpeg=(0, 50))), "within 1 to 100"),
        (lambda: Degradation.named("real-esrgam"), "real-esrgam"),
    ],
)
def test_settings_that_cannot_be(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_the_name_is_the_paper():
    assert Degradation.named("real-esrgan") == Degradation()
    assert replace(Degradation(), second=SecondRound()) == Degradation()
