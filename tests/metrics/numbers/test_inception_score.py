"""The inception score: against torch-fidelity and torchmetrics, and in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_isc import isc_features_to_metric
from torchmetrics.image.inception import InceptionScore as TorchmetricsScore

from gantools.errors import MetricError
from gantools.metrics.numbers.inception_score import inception_score


def logits(n: int, classes: int, seed: int = 0) -> NDArray[np.float32]:
    return (3 * np.random.default_rng(seed).normal(size=(n, classes))).astype(np.float32)


@pytest.mark.parametrize(("n", "classes"), [(10, 5), (103, 10), (999, 1008)])
@pytest.mark.parametrize("splits", [1, 3, 10])
@pytest.mark.parametrize("shuffle", [True, False])
def test_torch_fidelity(n: int, classes: int, splits: int, shuffle: bool) -> None:
    x = logits(n, classes)
    expected = isc_features_to_metric(torch.from_numpy(x), splits=splits, shuffle=shuffle)
    found = inception_score(x, splits=splits, shuffle=shuffle)
    assert found.mean == pytest.approx(expected["inception_score_mean"], rel=1e-12)
    assert found.std == pytest.approx(expected["inception_score_std"], rel=1e-9, abs=1e-12)
    assert (found.splits, found.n, found.convention) == (splits, n, "torch-fidelity")
    if not shuffle:
        assert inception_score(x, splits=splits, convention="original").mean == found.mean


@pytest.mark.parametrize(("n", "splits"), [(103, 10), (95, 10), (11, 4), (40, 10)])
def test_torchmetrics(n: int, splits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = logits(n, 12)
    order = torch.from_numpy(np.random.RandomState(2020).permutation(n))
    monkeypatch.setattr(torch, "randperm", lambda _: order)
    score = TorchmetricsScore(feature=torch.nn.Identity(), splits=splits)
    score.update(torch.from_numpy(x))
    mean, std = score.compute()
    found = inception_score(x, convention="torchmetrics", splits=splits)
    assert (found.mean, found.std) == pytest.approx((mean.item(), std.item()), rel=1e-4)


def test_other_conventions_cut_where_they_say() -> None:
    x = logits(10_400, 6)

    def one(part: NDArray[np.float32]) -> float:
        return inception_score(part, splits=1, shuffle=False).mean

    adm = inception_score(x, convention="adm")
    assert adm.mean == pytest.approx(np.mean([one(x[:5000]), one(x[5000:10_000]), one(x[10_000:])]), rel=1e-12)
    assert (adm.splits, adm.n) == (3, 10_400)
    y = x[:107]
    dgm = inception_score(y, convention="dgm")
    order = np.random.RandomState(2020).permutation(107)
    parts = [one(y[order][i * 10 : (i + 1) * 10]) for i in range(10)]
    assert (dgm.mean, dgm.std, dgm.n) == (pytest.approx(np.mean(parts)), pytest.approx(np.std(parts)), 100)


def test_closed_forms() -> None:
    # The same answer for all: nothing varies.
    assert inception_score(np.tile(logits(1, 7), (20, 1))).mean == pytest.approx(1, abs=1e-12)
    # Sure of each, all classes alike often: the number of classes. Logits so far apart that the others underflow.
    sure = np.tile(np.eye(10) * 5000, (10, 1))
    assert inception_score(sure, shuffle=False).mean == pytest.approx(10, rel=1e-12)
    # Sure of class 0 in one split, of class 1 in the other: p(y) has classes with no probability at all.
    halves = np.repeat(np.eye(2) * 1e300, 5, axis=0)
    found = inception_score(halves, splits=2, shuffle=False)
    assert (found.mean, found.std) == (1.0, 0.0)
    assert inception_score(halves, splits=1, convention="torchmetrics").std is None


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(MetricError, match="9 images make no 10 splits"):
        inception_score(logits(9, 4))
    with pytest.raises(MetricError, match="splits is 0"):
        inception_score(logits(9, 4), splits=0)
    with pytest.raises(MetricError, match="logits: not finite"):
        inception_score(np.full((10, 2), np.nan))
    with pytest.raises(MetricError, match="unknown convention"):
        inception_score(logits(9, 4), convention="improved")  # type: ignore[arg-type]
