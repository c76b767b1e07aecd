import numpy as np
import pytest

from gantools.detect import numbers
from gantools.errors import MetricError


@pytest.fixture
def tied():
    """Scores of few values, so that many are equal."""
    rng = np.random.default_rng(3)
    return rng.integers(2, 9, 60).astype(float), rng.integers(0, 7, 45).astype(float)


def test_auc_counts_ties_as_halves(tied):
    a, b = tied
    wanted = ((a[:, None] > b).mean() + (a[:, None] >= b).mean()) / 2
    assert numbers.auc(a, b) == pytest.approx(wanted, abs=1e-12)
    # The usual slips: ties that are all won, or all lost, and sides the wrong way round.
    for wrong in ((a[:, None] >= b).mean(), (a[:, None] > b).mean(), 1 - wanted):
        assert abs(wrong - wanted) > 0.02
    assert numbers.auc([1, 1], [1]) == 0.5


def test_average_precision_by_its_definition(tied):
    a, b = tied
    total, before = 0.0, 0.0
    for threshold in sorted(set(a) | set(b), reverse=True):
        recall = (a >= threshold).mean()
        taken = (a >= threshold).sum() + (b >= threshold).sum()
        total += (recall - before) * (a >= threshold).sum() / taken
        before = recall
    assert numbers.average_precision(a, b) == pytest.approx(total, abs=1e-12)
    # One after the other in the order given, as if no two were equal, promises more.
    order = np.argsort(-np.concatenate((a, b)), kind="stable")
    truth = np.repeat([1.0, 0.0], [len(a), len(b)])[order]
    one_by_one = (np.cumsum(truth) / np.arange(1, len(truth) + 1))[truth == 1].mean()
    assert one_by_one > total + 0.02
    assert numbers.average_precision([2, 3], [0, 1]) == 1.0


def test_hits_never_cost_more_alarms_than_allowed():
    real = np.arange(200.0)
    assert numbers.tpr_at_fpr([196.5, 198, 198.5], real, 0.01) == pytest.approx(2 / 3)  # two of 200 lie above 197
    assert numbers.tpr_at_fpr([198.5, 199.5], real, 0.0) == 0.5
    assert numbers.tpr_at_fpr([0.0], np.zeros(50), 0.01) == 0.0  # equal scores are no hits
    assert numbers.tpr_at_fpr([0.0], [1.0], 1.0) == 1.0


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, 40_000)
    generated = rng.random(len(true)) < numbers.sigmoid(true)
    logits = 3 * true
    found = numbers.fit_temperature(logits[generated], logits[~generated])
    assert found == pytest.approx(3, rel=0.05)
    before, after = (
        numbers.calibration_error(*(numbers.sigmoid(logits[which] / t) for which in (generated, ~generated)))
        for t in (1, found)
    )
    assert before > 0.08 > 0.015 > after


def test_calibration_error_by_hand_whatever_the_numbers_of_both():
    # All at 0.8 (one bin), half of the weight generated: |0.5 - 0.8|.
    assert numbers.calibration_error([0.8] * 3, [0.8] * 300) == pytest.approx(0.3)
    assert numbers.calibration_error([1.0] * 5, [0.0]) == 0
    assert numbers.calibration_error([0.0], [1.0]) == 1


def test_threshold_of_the_best_accuracy():
    a, b = np.array([0.4, 0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.3, 0.5])
    found = numbers.best_threshold(a, b)
    best = max(numbers.accuracy(a, b, t) for t in np.linspace(0, 1, 101))
    assert numbers.accuracy(a, b, found) == best == 0.875
    assert numbers.best_threshold([5.0], [1.0]) == 3.0


def test_unsure_is_what_both_have_in_common():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 5000), rng.normal(-1, 1, 5000)
    low, high = numbers.unsure_between(a, b, 0.02)
    assert low < high
    assert (a < low).mean() == pytest.approx(0.02, abs=0.001)
    assert (b > high).mean() == pytest.approx(0.02, abs=0.001)
    far = numbers.unsure_between(a + 20, b, 0.02)
    assert far[0] < far[1]
    assert far[0] > b.mean() and far[1] < a.mean() + 20


@pytest.mark.parametrize("bad", [[], [[1.0]], [np.nan]])
def test_no_scores_are_no_numbers(bad):
    with pytest.raises(MetricError, match="generated"):
        numbers.auc(bad, [1.0])
