"""Nearest training samples, authenticity and MiFID: by brute force and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.image.mifid import _mifid_compute

from gantools.errors import MetricError
from gantools.metrics.numbers.memorisation import authenticity, mifid, nearest_training


def features(n: int, d: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, d))


def distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1)))


@pytest.mark.parametrize(("n", "m", "d"), [(1, 2, 1), (40, 60, 5), (300, 200, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_and_authenticity_are_their_definitions(n: int, m: int, d: int, dtype: type) -> None:
    x, y = features(n, d, 1).astype(dtype), features(m, d, 2).astype(dtype)
    x[: n // 4] = y[: n // 4] + 0.01 * x[: n // 4]
    between = distances(x.astype(np.float64), y.astype(np.float64))
    within = distances(y.astype(np.float64), y.astype(np.float64))
    np.fill_diagonal(within, np.inf)
    found = nearest_training(x, y)
    np.testing.assert_array_equal(found.index, between.argmin(1))
    np.testing.assert_allclose(found.distance, between.min(1), rtol=1e-12)
    result = authenticity(x, y)
    expected = within.min(1)[between.argmin(1)] < between.min(1)
    np.testing.assert_array_equal(result.authentic, expected)
    assert result.percent == pytest.approx(100 * expected.mean())
    if d > 1:
        assert not result.authentic[: n // 4].any()


def test_copies_are_found_at_distance_zero_whatever_the_offset() -> None:
    y = (features(500, 32, 1) + 1e4).astype(np.float32)
    rows = np.array([7, 0, 499, 7])
    found = nearest_training(y[rows], y)
    np.testing.assert_array_equal(found.index, rows)
    np.testing.assert_array_equal(found.distance, 0)
    assert authenticity(y[rows], y).percent == 0


def test_of_equal_ones_the_first() -> None:
    found = nearest_training(np.zeros((1, 2)), np.array([[3.0, 0], [0, 2], [2, 0], [-2, 0]]))
    assert (found.index[0], found.distance[0]) == (1, 2.0)


def by_torchmetrics(x: NDArray[np.float64], y: NDArray[np.float64], threshold: float) -> float:
    a, b = torch.from_numpy(y), torch.from_numpy(x)
    moments = [(t.mean(0), torch.cov(t.T), t) for t in (a, b)]
    return float(_mifid_compute(*moments[0], *moments[1], cosine_distance_eps=threshold))


@pytest.mark.parametrize(("n", "m", "d"), [(60, 80, 6), (300, 200, 24), (90, 120, 64)])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.9])
def test_mifid_is_torchmetrics(n: int, m: int, d: int, threshold: float) -> None:
    x, y = features(n, d, 1) * 1.2 + 0.1, features(m, d, 2)
    x[:9] = -2 * y[:9]
    y[4] = x[8] = 0
    found = mifid(x, y, threshold=threshold)
    assert found.score == pytest.approx(by_torchmetrics(x, y, threshold), rel=1e-6)
    assert found.penalty == (found.distance if found.distance < threshold else 1.0)


def test_mifid_of_a_set_with_itself_is_zero() -> None:
    x = features(50, 8, 1)
    found = mifid(x, x)
    assert found.fid < 1e-6 and found.distance < 1e-15
    assert np.isfinite(found.score)
    ones = mifid(np.ones((5, 3)), np.ones((6, 3)))
    assert (ones.score, ones.fid) == (0, 0)


def test_wrong_input_is_refused_by_name() -> None:
    x = features(5, 3, 1)
    with pytest.raises(MetricError, match="training: 1 row has no nearest other row"):
        authenticity(x, x[:1])
    with pytest.raises(MetricError, match="samples: every row sums to 0"):
        mifid(np.zeros((4, 3)), x)
    with pytest.raises(MetricError, match="training: not finite"):
        nearest_training(x, np.full((2, 3), np.nan))
    with pytest.raises(MetricError, match="training: 0 rows"):
        nearest_training(x, x[:0])


@pytest.mark.parametrize("copied", [1, 5, 40])
def test_pure_copies_have_a_penalty_by_the_paper(copied: int) -> None:
    """By torchmetrics they have none unless most of the reference is copied: its mean runs over the reference."""
    y = features(80, 12, 2)
    x = y[np.arange(60) % copied]
    paper, ours = mifid(x, y, convention="paper"), mifid(x, y)
    assert paper.distance < 1e-12 and paper.penalty == paper.distance and paper.score > 1e8 * paper.fid
    assert ours.fid == paper.fid and ours.score < paper.score
    if copied == 1:
        assert ours.distance > 0.01
    assert (paper.convention, ours.convention) == ("paper", "torchmetrics")


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.9])
def test_mifid_of_the_paper_is_its_definition(threshold: float) -> None:
    x, y = features(50, 7, 1) + 0.1, features(70, 7, 2)
    cos = np.abs((x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T)
    distance = (1 - cos).min(axis=1).mean()
    found = mifid(x, y, threshold=threshold, convention="paper")
    assert found.distance == pytest.approx(distance, rel=1e-9)
    assert found.score == pytest.approx(found.fid / (distance if distance < threshold else 1), rel=1e-9)
    with pytest.raises(MetricError, match="unknown convention 'papers'"):
        mifid(x, y, convention="papers")  # type: ignore[arg-type]
