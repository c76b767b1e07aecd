"""The Frechet distance: against independent numpy, in closed form, on every route, and what it refuses."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gantools import _native, metrics
from gantools.errors import MetricError
from gantools.metrics.numbers.frechet import FeatureSums, Statistics, frechet_distance


def features(n: int, d: int, seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    """Correlated and non-negative, as features after a ReLU are."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d)) / np.sqrt(d) + np.eye(d)
    return np.maximum(rng.normal(size=(n, d)) @ mixing + shift, 0)


def by_eigh(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The definition with S1^(1/2) from an eigendecomposition: another route than any of ours."""
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(s)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    spectrum = np.linalg.eigvalsh(root @ t @ root)
    trace = np.sqrt(np.maximum(spectrum, 0)).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * trace)


def moments(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return x.mean(0), np.cov(x, rowvar=False)


@pytest.mark.parametrize("d", [1, 2, 33, 64, 192, 768])
def test_full_rank_equals_numpy(d: int) -> None:
    x, y = features(2 * d + 40, d, 1), features(3 * d + 50, d, 2, shift=0.3)
    if d == 1:
        expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
        s, t = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
        found = _native.frechet_distance(x.mean(0), s, y.mean(0), t)
    else:
        expected = by_eigh(x, y)
        found = _native.frechet_distance(*moments(x), *moments(y))
    assert found.distance == pytest.approx(expected, rel=1e-9)
    assert (found.route, found.rank) == ("cholesky", d)


def test_full_rank_at_2048_equals_numpy() -> None:
    d = 2048
    x, y = features(5000, d, 1), features(4500, d, 2, shift=0.3)
    found = _native.frechet_distance(*moments(x), *moments(y))
    assert found.distance == pytest.approx(by_eigh(x, y), rel=1e-9)


def test_means_one_apart_in_2048_dimensions_are_exactly_2048_apart() -> None:
    eye = np.eye(2048)
    assert _native.frechet_distance(np.zeros(2048), eye, np.ones(2048), eye).distance == 2048.0


def test_every_route_gives_the_same_for_few_samples() -> None:
    x, y = features(60, 256, 1), features(40, 256, 2, shift=0.2)
    both = _native.frechet_distance_features(x, y)
    one = _native.frechet_distance_features_moments(x, *moments(y))
    other = _native.frechet_distance_features_moments(y, *moments(x))
    none = _native.frechet_distance(*moments(x), *moments(y))
    assert [f.route for f in (both, one, other, none)] == [
        "features",
        "features-moments",
        "features-moments",
        "truncated-eigen",
    ]
    for f in (one, other, none):
        assert f.distance == pytest.approx(both.distance, rel=1e-7)
        assert f.rank == both.rank == 39
    # numpy's eigenvalues of the singular product carry rounding noise whose roots add up, so it can only be near.
    assert both.distance == pytest.approx(by_eigh(x, y), rel=1e-5)


@pytest.mark.parametrize("n", [2, 3, 64, 65, 300])
def test_a_set_is_at_distance_zero_from_itself(n: int) -> None:
    x = features(n, 64, 3)
    trace = x.var(0, ddof=1).sum()
    for f in (_native.frechet_distance_features(x, x), _native.frechet_distance(*moments(x), *moments(x))):
        assert 0 <= f.distance < 1e-7 * trace


def test_constant_features_leave_the_means() -> None:
    a, b = np.full((5, 8), 2.0), np.full((9, 8), -1.0)
    f = _native.frechet_distance_features(a, b)
    assert (f.distance, f.mean_term, f.rank) == (72.0, 72.0, 0)
    g = _native.frechet_distance(*moments(a), *moments(b))
    assert (g.distance, g.rank) == (72.0, 0)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 30), m=st.integers(2, 30), d=st.integers(1, 24), seed=st.integers(0, 2**32 - 1))
def test_any_shape_gives_a_finite_symmetric_non_negative_number(n: int, m: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = rng.integers(1, d + 1)
    x = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))
    y = rng.normal(size=(m, d)) * rng.uniform(0, 2)
    f, g = _native.frechet_distance_features(x, y), _native.frechet_distance_features(y, x)
    assert np.isfinite(f.distance) and f.distance >= 0
    scale = x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum() + f.mean_term
    assert abs(f.distance - g.distance) <= 1e-7 * scale


def test_wrong_input_is_refused_by_name() -> None:
    eye, zero = np.eye(3), np.zeros(3)
    nan = np.array([0.0, np.nan, 0.0])
    with pytest.raises(MetricError, match="not finite"):
        _native.frechet_distance(nan, eye, zero, eye)
    with pytest.raises(MetricError, match="not positive semi-definite"):
        _native.frechet_distance(zero, np.diag([1.0, -1.0, 1.0]), zero, eye)
    with pytest.raises(MetricError, match="not symmetric"):
        _native.frechet_distance(zero, np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1.0]]), zero, eye)
    with pytest.raises(ValueError, match="different width: 3 and 2"):
        _native.frechet_distance(zero, eye, np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match=r"must be \(3, 3\)"):
        _native.frechet_distance(zero, np.zeros((1, 9)), zero, eye)
    with pytest.raises(MetricError, match="at least 2 samples, there is 1"):
        _native.frechet_distance_features(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(ValueError, match="float32 or float64"):
        _native.frechet_distance_features(np.ones((4, 3), np.int64), np.ones((5, 3)))  # type: ignore[arg-type]


def test_moments_are_numpys_whatever_the_layout() -> None:
    x = features(300, 16, 4).astype(np.float32)
    m = _native.Moments(16)
    m.update(x[:100])
    m.update(np.asfortranarray(x[100:200]))
    other = _native.Moments(16)
    other.update(x[::-1][:100].astype(np.float64))
    m.merge(other)
    wide = x.astype(np.float64)
    assert m.n == 300
    np.testing.assert_allclose(m.mean, wide.mean(0), rtol=1e-13)
    np.testing.assert_allclose(m.covariance(), np.cov(wide, rowvar=False), rtol=1e-10, atol=1e-13)
    back = _native.Moments.from_state(m.n, m.mean, m.m2())
    np.testing.assert_array_equal(back.covariance(), m.covariance())


def test_moments_merge_with_themselves() -> None:
    m = _native.Moments(2)
    m.update(np.array([[0.0, 1.0], [2.0, 5.0]]))
    m.merge(m)
    assert m.n == 4
    np.testing.assert_allclose(m.mean, [1.0, 3.0])
    np.testing.assert_allclose(m.m2(), [[4.0, 8.0], [8.0, 16.0]])


def test_moments_refuse_what_they_cannot_add() -> None:
    m = _native.Moments(3)
    m.update(np.ones((1, 3), np.float32))
    with pytest.raises(MetricError, match="at least 2 samples, there is 1"):
        m.covariance()
    with pytest.raises(MetricError, match="row 1, column 2"):
        m.update(np.array([[0, 0, 0], [0, 0, np.inf]], np.float32))
    with pytest.raises(ValueError, match="different width: 3 and 4"):
        m.update(np.ones((2, 4)))
    with pytest.raises(ValueError, match="float32 or float64"):
        m.update(np.ones(3))
    with pytest.raises(ValueError):
        _native.Moments(0)
    assert m.n == 1


def test_the_interpreter_runs_on_meanwhile() -> None:
    x, y = moments(features(1500, 1024, 1)), moments(features(1500, 1024, 2))
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    _native.frechet_distance(*x, *y)
    ended = time.monotonic()
    done.set()
    thread.join()
    during = [t for t in ticks if began < t < ended]
    assert len(during) > 5, f"{len(during)} ticks of another thread in {ended - began:.2f} s"


def test_sums_keep_features_only_where_they_are_few() -> None:
    x = features(20, 8, 5).astype(np.float32)
    few, many = FeatureSums.empty(8, 8, False), FeatureSums.empty(8, 20, False)
    few.add(x[:3])
    few.add(x[3:8])
    many.add(x[:8])
    many.add(x[8:])
    a, b = few.statistics(), many.statistics()
    assert a.features is not None and b.features is None
    np.testing.assert_array_equal(a.features, x[:8])
    expected = _native.frechet_distance(*moments(x[:8].astype(np.float64)), *moments(x.astype(np.float64)))
    assert frechet_distance(a, b).distance == pytest.approx(expected.distance, rel=1e-7)
    assert frechet_distance(b, a).distance == pytest.approx(expected.distance, rel=1e-7)
    assert frechet_distance(a, b).route == "features-moments"


def test_statistics_of_different_width_are_refused() -> None:
    a, b = (Statistics(9, np.zeros(d), np.eye(d)) for d in (3, 4))
    with pytest.raises(MetricError, match="3 and 4"):
        frechet_distance(a, b)


def _distance_in_child(queue: multiprocessing.SimpleQueue[float]) -> None:
    x = features(600, 256, 1)
    queue.put(_native.frechet_distance(*moments(x), np.zeros(256), np.eye(256)).distance)


def test_it_works_in_a_forked_child() -> None:
    x = features(600, 256, 1)
    expected = _native.frechet_distance(*moments(x), np.zeros(256), np.eye(256)).distance
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_distance_in_child, args=(queue,))
    child.start()
    child.join(60)
    alive = child.is_alive()
    child.kill()
    assert not alive, "the child waits for threads that the fork did not copy"
    assert queue.get() == pytest.approx(expected, rel=1e-12)


def test_plain_arrays_have_a_distance() -> None:
    x, y = features(60, 8, 1), features(50, 8, 2, shift=0.2)
    found = metrics.frechet_distance(*moments(x), *moments(y))
    assert float(found) == found.distance == pytest.approx(by_eigh(x, y), rel=1e-9)
    assert metrics.frechet_distance_features(x.astype(np.float32), y).distance == pytest.approx(by_eigh(x, y), rel=1e-5)
    lists = metrics.frechet_distance([0.0, 1.0], np.eye(2, dtype=np.float32), [0, 0], [[4, 0], [0, 1]])
    assert lists.distance == pytest.approx(1 + 1)
    assert metrics.frechet_distance(0.0, 1.0, 3.0, 4.0).distance == pytest.approx(9 + 1)
    with pytest.raises(MetricError, match=r"mu2 is \(2,\) and sigma2 \(3, 3\)"):
        metrics.frechet_distance(np.zeros(2), np.eye(2), np.zeros(2), np.eye(3))
    with pytest.raises(MetricError, match="width: 2 and 3"):
        metrics.frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
    with pytest.raises(TypeError, match="mu1, sigma1"):
        metrics.frechet_distance(np.zeros(2), np.eye(2))  # type: ignore[call-overload]


def test_the_names_of_the_package_are_there_without_torch() -> None:
    program = (
        "import sys; from gantools import metrics;"
        "[getattr(metrics, n) for n in metrics.__all__];"
        "assert set(metrics.__all__) <= set(dir(metrics));"
        "assert all(callable(getattr(metrics, n)) for n in metrics.__all__);"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules;"
        "metrics.numbers"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="frechet_dist"):
        _ = metrics.frechet_dist


def test_per_class_distances_are_sorted_worst_first() -> None:
    x, y = features(400, 6, 1), features(300, 6, 2)
    of_x, of_y = np.arange(400) % 4, np.arange(300) % 4
    x[of_x == 2] += 3
    of_x[0], of_y[:2] = 9, 7
    found = metrics.frechet_per_class(x, of_x, y, of_y)
    assert found.classes[0].label == 2
    assert [c.distance for c in found.classes] == sorted((c.distance for c in found.classes), reverse=True)
    for c in found.classes:
        assert c.distance == pytest.approx(by_eigh(x[of_x == c.label], y[of_y == c.label]), rel=1e-8)
        assert (c.n_samples, c.n_reference) == ((of_x == c.label).sum(), (of_y == c.label).sum())
    assert [(s.label, s.n_samples, s.n_reference) for s in found.too_small] == [(7, 0, 2), (9, 1, 0)]
    assert found.mean == pytest.approx(np.mean([c.distance for c in found.classes]))
    names = np.array(["cat", "dog"])
    by_name = metrics.frechet_per_class(x, names[of_x % 2], y, names[of_y % 2], least=20)
    assert {c.label for c in by_name.classes} == {"cat", "dog"} and by_name.least == 20


def test_per_class_refuses_what_does_not_fit() -> None:
    x = features(10, 3, 1)
    labels = np.zeros(10, int)
    with pytest.raises(MetricError, match=r"labels: int64 of shape \(9,\) for 10 features"):
        metrics.frechet_per_class(x, labels[:9], x, labels)
    with pytest.raises(MetricError, match="no class has 2 samples on both sides"):
        metrics.frechet_per_class(x, labels, x, labels + 1)
    with pytest.raises(MetricError, match="both as integers or both as strings"):
        metrics.frechet_per_class(x, labels, x, labels.astype(str))
    with pytest.raises(MetricError, match="least is 1"):
        metrics.frechet_per_class(x, labels, x, labels, least=1)
    with pytest.raises(MetricError, match="reference_labels: float64"):
        metrics.frechet_per_class(x, labels, x, labels * 1.0)


_GOOD = {"mu1": np.zeros(3), "sigma1": np.eye(3), "mu2": np.ones(3), "sigma2": np.diag([1.0, 2.0, 3.0])}
_SINGULAR = {"mu1": np.zeros(3), "sigma1": np.diag([1.0, 0, 0]), "mu2": np.ones(3), "sigma2": np.diag([1.0, 1.0, 0])}
_BAD_MEANS = [
    ([0.0, np.nan, 0.0], "not finite (NaN or infinity) at 1"),
    ([0.0, 0.0, -np.inf], "not finite (NaN or infinity) at 2"),
    (["a", "b", "c"], "of type <U1"),
    ([[1.0], [1.0, 2.0]], "not an array"),
]
_BAD_COVARIANCES = [
    (-np.eye(3), "not positive semi-definite"),
    (np.diag([1.0, -0.5, 2.0]), "smallest eigenvalue -0.5"),
    (np.array([[1.0, 2, 0], [2, 1, 0], [0, 0, 1]]), "smallest eigenvalue -1"),
    (np.array([[1.0, 2, 0], [2, 1, 0], [0, 0, 0]]), "smallest eigenvalue -1"),
    (np.diag([0.0, 0.0, -1e-9]), "not positive semi-definite"),
    (np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]]), "not symmetric, entries (0, 1) and (1, 0) differ by 0.5"),
    (np.full((3, 3), np.nan), "not finite (NaN or infinity) at row 0, column 0"),
    (np.diag([1.0, 1.0, np.inf]), "not finite (NaN or infinity) at row 2, column 2"),
    (np.eye(3, dtype=complex), "of type complex128"),
]


@pytest.mark.parametrize("good", [_GOOD, _SINGULAR], ids=["regular", "singular"])
@pytest.mark.parametrize("side", ["1", "2"])
@pytest.mark.parametrize(
    ("array", "value", "words"),
    [("mu", v, w) for v, w in _BAD_MEANS] + [("sigma", v, w) for v, w in _BAD_COVARIANCES],
)
def test_the_array_that_is_wrong_is_named(
    good: dict[str, NDArray[np.float64]], side: str, array: str, value: object, words: str
) -> None:
    """Whichever of the four it is, and whatever the others are: the name of no other stands in the message."""
    name = array + side
    with pytest.raises(MetricError) as e:
        metrics.frechet_distance(*{**good, name: value}.values())
    assert e.value.message.startswith(f"{name}: ") and words in e.value.message
    assert not any(other in e.value.message for other in good if other != name)
    if array == "sigma" and "type" not in words:
        sides = [Statistics(None, *(np.asarray(v) for v in pair)) for pair in _pairs({**good, name: value})]
        with pytest.raises(MetricError, match=f"^{'first' if side == '1' else 'second'} covariance: "):
            frechet_distance(*sides)


def _pairs(arrays: dict[str, object]) -> list[tuple[object, object]]:
    return [(arrays["mu1"], arrays["sigma1"]), (arrays["mu2"], arrays["sigma2"])]


def test_the_side_is_named_where_features_meet_statistics() -> None:
    x = features(60, 3, 1)
    for values, words in ((np.zeros(3), "covariance"), (np.array([0, np.nan, 0]), "mean")):
        damaged = Statistics(None, values, -np.eye(3) if words == "covariance" else np.eye(3))
        for score in (metrics.frechet_interval, metrics.fid_infinity):
            with pytest.raises(MetricError, match=f"^{words} of the reference: "):
                score(x, damaged)


_PAIRS = {
    "frechet_distance_features": metrics.frechet_distance_features,
    "frechet_interval": metrics.frechet_interval,
    "fid_infinity": metrics.fid_infinity,
    "kid": lambda x, y: metrics.kid(x, y, subset_size=None),
    "mmd": metrics.mmd,
    "cmmd": metrics.cmmd,
    "precision_recall": metrics.precision_recall,
    "density_coverage": metrics.density_coverage,
    "mifid": metrics.mifid,
    "authenticity": metrics.authenticity,
    "nearest_training": metrics.nearest_training,
    "frechet_per_class": lambda x, y: metrics.frechet_per_class(x, np.zeros(len(x), int), y, np.zeros(len(y), int)),
}
_SINGLES = {"inception_score": metrics.inception_score, "vendi_score": metrics.vendi_score}
_BAD_FEATURES = {
    "nan": ("not finite (NaN or infinity) at row 39, column 2", lambda x: _with(x, np.nan)),
    "infinity": ("not finite (NaN or infinity) at row 39, column 2", lambda x: _with(x, np.inf)),
    "flat": ("an array of shape (240,)", lambda x: x.reshape(-1)),
    "images": ("an array of shape (40, 2, 3)", lambda x: x.reshape(40, 2, 3)),
    "no columns": ("an array of shape (40, 0)", lambda x: x[:, :0]),
    "strings": ("of type <U", lambda x: x.astype(str)),
    "ragged": ("not an array", lambda x: [[1.0, 2.0], [1.0]]),
    "complex": ("of type complex128", lambda x: x.astype(complex)),
    "empty": ("0 rows, at least", lambda x: x[:0]),
}


def _with(x: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    x = x.copy()
    x[39, 2] = value
    return x


def test_all_scores_of_plain_features_are_in_the_tables() -> None:
    assert {*_PAIRS, *_SINGLES, "frechet_distance"} == set(metrics.__all__)


@pytest.mark.parametrize("fault", _BAD_FEATURES)
@pytest.mark.parametrize("name", [*_PAIRS, *_SINGLES])
def test_every_score_names_the_side_that_is_wrong(name: str, fault: str) -> None:
    words, spoil = _BAD_FEATURES[fault]
    x = features(40, 6, 1)
    if name in _SINGLES:
        with pytest.raises(MetricError) as e:
            _SINGLES[name](spoil(x))
        assert e.value.message.startswith(("logits: ", "features: ")) and words in e.value.message
        return
    for side in (0, 1):
        sides = ["samples", "training" if name in ("authenticity", "nearest_training") else "reference"]
        given: list[object] = [x, x]
        given[side] = spoil(x)
        with pytest.raises(MetricError) as e:
            _PAIRS[name](*given)
        assert e.value.message.startswith(f"{sides[side]}: ") and words in e.value.message, e.value.message
        assert sides[1 - side] not in e.value.message


@pytest.mark.parametrize("name", _PAIRS)
def test_every_score_of_two_sides_names_both_widths(name: str) -> None:
    with pytest.raises(MetricError, match=r"different width: samples 6, (reference|training) 5"):
        _PAIRS[name](features(40, 6, 1), features(40, 5, 1))


def test_a_row_without_direction_is_named_by_its_place_among_all() -> None:
    x = features(9000, 3, 1) + 1
    x[8500] = 0
    with pytest.raises(MetricError, match="features: row 8500 is all zeros"):
        metrics.vendi_score(x)
    with pytest.raises(MetricError, match="reference: row 8500 is all zeros"):
        metrics.cmmd(x[:8], x)
