"""Intervals: the jackknife by its definition, and that intervals cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from gantools import _native
from gantools.errors import MetricError
from gantools.metrics.numbers.frechet import moments_of
from gantools.metrics.numbers.intervals import frechet_interval, jackknife_interval, student_t
from gantools.metrics.numbers.kernels import mmd


def features(n: int, d: int, rng: np.random.Generator, scale: float = 1.0) -> NDArray[np.float64]:
    mixing = np.random.default_rng(99).normal(size=(d, d)) / np.sqrt(d) * np.geomspace(1, 0.1, d)[:, None]
    return np.maximum(rng.normal(size=(n, d)) @ mixing * scale + 0.1 * (scale - 1), 0)


@pytest.mark.parametrize(("n", "m", "d"), [(30, 40, 64), (300, 40, 64), (200, 150, 16), (65, 64, 60)])
def test_it_is_the_jackknife(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(1)
    x, y = features(n, d, rng), features(m, d, rng, 1.2)
    found = frechet_interval(x, y, groups=6, seed=3)
    draw = np.random.default_rng(3)
    groups_x, groups_y = (np.array_split(draw.permutation(k), 6) for k in (n, m))
    distance = lambda a, b: _native.frechet_distance_features(a, b).distance  # noqa: E731
    sides = [
        np.array([distance(np.delete(x, g, 0), y) for g in groups_x]),
        np.array([distance(x, np.delete(y, g, 0)) for g in groups_y]),
    ]
    parts = [5 / 6 * ((r - r.mean()) ** 2).sum() for r in sides]
    error = sum(parts) ** 0.5
    assert found.estimate == pytest.approx(distance(x, y), rel=1e-7)
    assert found.standard_error == pytest.approx(error, rel=1e-5)
    freedom = sum(parts) ** 2 / sum(p**2 / 5 for p in parts)
    half = stats.t.ppf(0.975, freedom) * error
    assert (found.low, found.high) == pytest.approx((max(found.estimate - half, 0), found.estimate + half), rel=1e-2)
    assert (found.replicates, found.level) == (12, 0.95)


def test_a_fixed_reference_adds_no_variance() -> None:
    rng = np.random.default_rng(2)
    x, y = features(200, 16, rng), features(100, 16, rng, 1.2)
    both, alone = frechet_interval(x, y), frechet_interval(x, moments_of(y))
    assert alone.estimate == pytest.approx(both.estimate, rel=1e-9)
    assert alone.standard_error < both.standard_error
    assert alone.replicates == 20


@pytest.mark.parametrize(("n", "m", "d"), [(40, 40, 48), (150, 120, 24), (30, 200, 32)])
def test_it_covers_the_expected_score(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(n)
    draw = lambda: (features(n, d, rng), features(m, d, rng, 1.25))  # noqa: E731
    expected = np.mean([_native.frechet_distance_features(*draw()).distance for _ in range(1500)])
    trials = 150
    found = [frechet_interval(*draw()) for _ in range(trials)]
    covered = sum(f.low <= expected <= f.high for f in found) / trials
    spread = np.std([f.estimate for f in found])
    # Two standard errors of a coverage of 0.95 in 150 trials are 0.036.
    assert 0.91 <= covered <= 1.0
    assert 0.85 < np.mean([f.standard_error for f in found]) / spread < 1.4


def test_student_is_scipys() -> None:
    for freedom, tolerance in ((4, 1e-2), (9, 1e-3), (30, 1e-5), (1000, 1e-9)):
        for p in (0.6, 0.9, 0.975, 0.995):
            assert student_t(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=tolerance)


def test_equal_replicates_have_no_width() -> None:
    found = jackknife_interval(3.0, [np.full(5, 2.0)], 0.9)
    assert (found.standard_error, found.low, found.high) == (0, 3, 3)
    same = frechet_interval(np.ones((20, 3)), np.ones((20, 3)))
    assert (same.estimate, same.low, same.high) == (0, 0, 0)


def test_wrong_input_is_refused_by_name() -> None:
    x = np.random.default_rng(0).normal(size=(12, 3))
    with pytest.raises(MetricError, match="samples: 12 rows make no 20 groups"):
        frechet_interval(x, x)
    with pytest.raises(MetricError, match="groups is 2"):
        frechet_interval(x, x, groups=2)
    with pytest.raises(MetricError, match="level is 1"):
        frechet_interval(x, x, groups=6, level=1)
    with pytest.raises(MetricError, match="reference: not finite"):
        frechet_interval(x, x * np.nan, groups=6)


@pytest.mark.parametrize(("n", "d"), [(40, 64), (60, 16), (300, 16)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_an_interval_of_a_distance_holds_no_value_that_is_none(n: int, d: int, level: float) -> None:
    """Of a set with itself and with its shuffled self, of near and of far sets: 0 <= low <= estimate <= high."""
    rng = np.random.default_rng(4)
    x = features(n, d, rng)
    others = [x, rng.permutation(x), x + 1e-9, features(n, d, rng), features(n, d, rng, 3.0), moments_of(x)]
    for other in others:
        found = frechet_interval(x, other, level=level)
        assert 0 <= found.low <= found.estimate <= found.high and found.standard_error >= 0
    same = frechet_interval(x, x, level=level)
    assert same.low == 0 and same.estimate == pytest.approx(0, abs=1e-6) and same.high > 0


def test_an_interval_of_kid_goes_below_zero() -> None:
    """KID is unbiased: an interval that ends at 0 would not be one."""
    rng = np.random.default_rng(5)
    found = mmd(features(60, 8, rng), features(60, 8, rng)).interval
    assert found is not None and found.low < 0 < found.high
