"""The Vendi score: closed forms, and the two matrices it can be taken from."""

from __future__ import annotations

import numpy as np
import pytest

from gantools.errors import MetricError
from gantools.metrics.numbers.vendi import vendi_score


@pytest.mark.parametrize("q", [0.1, 0.5, 1, 2, 50, np.inf])
@pytest.mark.parametrize(("copies", "d"), [(1, 9), (3, 40), (30, 9)])
def test_orthogonal_clusters_count_as_one_each(q: float, copies: int, d: int) -> None:
    x = np.repeat(np.eye(d)[:7] * np.arange(1, 8)[:, None], copies, axis=0)
    assert vendi_score(x, q=q).score == pytest.approx(7, rel=1e-9)


def test_clusters_of_different_size_have_the_entropy_of_their_shares() -> None:
    x = np.eye(6)[np.repeat([0, 1, 2], [5, 3, 2])]
    shares = np.array([0.5, 0.3, 0.2])
    assert vendi_score(x).score == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-12)
    assert vendi_score(x, q=2).score == pytest.approx(1 / (shares**2).sum(), rel=1e-12)
    assert vendi_score(x, q=np.inf).score == pytest.approx(2, rel=1e-12)
    assert vendi_score(x, q=1 + 1e-7).score == pytest.approx(vendi_score(x).score, rel=1e-6)


@pytest.mark.parametrize("q", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("n", "d"), [(50, 8), (8, 50), (5000, 12)])
def test_both_matrices_give_the_definition(n: int, d: int, q: float) -> None:
    x = np.random.default_rng(n).normal(size=(n, d)) + 0.3
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.svd(u, compute_uv=False) ** 2 / n
    expected = np.exp(-(values * np.log(values)).sum()) if q == 1 else (values**q).sum() ** (1 / (1 - q))
    assert vendi_score(x, q=q).score == pytest.approx(expected, rel=1e-9)
    assert vendi_score(x.astype(np.float32), q=q).score == pytest.approx(expected, rel=1e-5)


def test_one_thing_counts_as_one() -> None:
    assert vendi_score(np.ones((1, 4))).score == pytest.approx(1, abs=1e-12)
    assert vendi_score(np.ones((90, 4)) * 1e-300, q=0.2).score == pytest.approx(1, abs=1e-12)


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(MetricError, match="row 1 is all zeros"):
        vendi_score(np.eye(3) * [1, 0, 1])
    for q in (0, -1, np.nan):
        with pytest.raises(MetricError, match="q is"):
            vendi_score(np.eye(3), q=q)
    with pytest.raises(MetricError, match="features: not finite"):
        vendi_score(np.full((2, 2), np.inf))
