"""FID-infinity: the line itself, its seed, and that it removes the bias of few samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import MetricError
from gantools.metrics.numbers.extrapolation import fid_infinity
from gantools.metrics.numbers.frechet import Statistics, moments_of


def features(n: int, d: int, seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_points_and_line_are_those_of_dgm_eval() -> None:
    x, y = features(400, 12, 1), features(300, 12, 2, 0.5)
    found = fid_infinity(x, y, seed=7)
    sizes = np.linspace(min(5000, max(400 / 10, 2)), 400, 15).astype(int)
    assert [n for n, _ in found.points] == sizes.tolist()
    rng = np.random.default_rng(7)
    expected = [_native.frechet_distance_features(x[rng.choice(400, n, replace=False)], y).distance for n in sizes]
    np.testing.assert_allclose([v for _, v in found.points], expected, rtol=1e-9)
    slope, intercept = np.polyfit(1 / sizes, expected, 1)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), rel=1e-9)
    correlation = np.corrcoef(1 / sizes, expected)[0, 1]
    assert found.r_squared == pytest.approx(correlation**2, rel=1e-9)
    assert fid_infinity(x, y, seed=7) == found
    assert fid_infinity(x, y, seed=8).points != found.points


def test_sizes_start_at_5000_where_there_are_many() -> None:
    x = features(60_000, 2, 1)
    assert [n for n, _ in fid_infinity(x, x[:100], points=3).points] == [5000, 32_500, 60_000]


def test_statistics_serve_as_reference() -> None:
    x, y = features(200, 12, 1), features(300, 12, 2, 0.5)
    assert fid_infinity(x, moments_of(y)).intercept == pytest.approx(fid_infinity(x, y).intercept, rel=1e-8)


def test_the_bias_of_few_samples_goes() -> None:
    # Both N(0, I): the truth is 0, and 1000 samples in 32 columns say 0.5.
    truth = Statistics(None, np.zeros(32), np.eye(32))
    plain, extrapolated = [], []
    for seed in range(12):
        found = fid_infinity(features(1000, 32, seed), truth, seed=seed)
        plain.append(found.points[-1][1])
        extrapolated.append(found.intercept)
        assert found.slope > 0 and found.r_squared > 0.9
    assert np.mean(plain) > 0.25
    assert abs(np.mean(extrapolated)) < 0.1 * np.mean(plain)


def test_little_input_gives_a_number_or_an_error() -> None:
    x = features(3, 4, 1)
    assert np.isfinite(fid_infinity(x, x, points=2).intercept)
    same = fid_infinity(np.ones((10, 3)), np.ones((10, 3)))
    assert (same.intercept, same.slope, same.r_squared) == (0, 0, 1)
    with pytest.raises(MetricError, match="2 rows"):
        fid_infinity(x[:2], x)
    with pytest.raises(MetricError, match="points is 1"):
        fid_infinity(x, x, points=1)
    with pytest.raises(MetricError, match="width"):
        fid_infinity(x, Statistics(None, np.zeros(3), np.eye(3)))
