"""KID, the maximum mean discrepancy and CMMD: by brute force, in closed form, and against torch-fidelity."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_kid import kid_features_to_metric

from gantools import _native
from gantools.errors import MetricError
from gantools.metrics.numbers.kernels import cmmd, kid, mmd


def features(n: int, d: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(size=(n, d)) + shift, 0).astype(np.float32)


def kernel(x: NDArray[Any], y: NDArray[Any], **options: Any) -> NDArray[np.float64]:
    """Pair by pair, from the definition."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    if "sigma" in options:
        squared = ((x[:, None] - y[None]) ** 2).sum(-1)
        return np.asarray(np.exp(-squared / (2 * options["sigma"] ** 2)))
    gamma = options.get("gamma") or 1 / x.shape[1]
    product = (x[:, None] * y[None]).sum(-1)
    return np.asarray((gamma * product + options.get("coef", 1.0)) ** options.get("degree", 3))


def by_pairs(x: NDArray[Any], y: NDArray[Any], biased: bool = False, **options: Any) -> float:
    def within(k: NDArray[np.float64]) -> float:
        pairs = itertools.product(range(len(k)), repeat=2) if biased else itertools.permutations(range(len(k)), 2)
        return float(np.mean([k[i, j] for i, j in pairs]))

    return within(kernel(x, x, **options)) + within(kernel(y, y, **options)) - 2 * kernel(x, y, **options).mean()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"degree": 1},
        {"degree": 2, "coef": 0.0},
        {"degree": 5, "gamma": 0.3, "coef": -0.5},
        {"sigma": 0.8},
        {"sigma": 10.0},
    ],
    ids=str,
)
@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (3, 7, 5), (40, 23, 17)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_over_all_pairs_are_the_definition(n: int, m: int, d: int, options: dict[str, Any], dtype: type) -> None:
    x, y = features(n, d, 1).astype(dtype), features(m, d, 2, 0.5).astype(dtype)
    name = "gaussian" if "sigma" in options else "polynomial"
    scale = max(1.0, float(kernel(y, y, **options).max()))
    unbiased, biased = (mmd(x, y, estimator=e, kernel=name, **options).value for e in ("unbiased", "biased"))
    assert unbiased == pytest.approx(by_pairs(x, y, **options), abs=1e-12 * scale)
    assert biased == pytest.approx(by_pairs(x, y, biased=True, **options), abs=1e-12 * scale)


def test_sums_over_several_tiles_are_numpys() -> None:
    x, y = features(4500, 24, 1), features(2100, 24, 2, 0.5)
    for k, options in ((_native.Kernel.polynomial(1 / 24, 1, 3), {}), (_native.Kernel.gaussian(2), {"sigma": 2.0})):
        wide = [(v.astype(np.float64)) for v in (x, y)]

        def whole(a: NDArray[Any], b: NDArray[Any], options: dict[str, Any] = options) -> NDArray[np.float64]:
            product = a @ b.T
            if options:
                squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * product
                return np.asarray(np.exp(-squared / 8))
            return np.asarray((product / 24 + 1) ** 3)

        others, diagonal = _native.kernel_self_sums(x, k)
        full = whole(wide[0], wide[0])
        np.testing.assert_allclose(diagonal, np.diag(full), rtol=1e-12)
        np.testing.assert_allclose(others, full.sum(1) - np.diag(full), rtol=1e-12)
        of_x, of_y = _native.kernel_cross_sums(x, y, k)
        cross = whole(*wide)
        np.testing.assert_allclose(of_x, cross.sum(1), rtol=1e-12)
        np.testing.assert_allclose(of_y, cross.sum(0), rtol=1e-12)


def torch_fidelitys(x: torch.Tensor, y: torch.Tensor, options: dict[str, Any]) -> dict[str, float]:
    """KID by torch-fidelity of 12 subsets of 200, with the kernel that `kid` makes of `options`."""
    found: dict[str, float] = kid_features_to_metric(
        x,
        y,
        kid_subsets=12,
        kid_subset_size=200,
        kid_kernel="rbf" if "kernel" in options else "poly",
        kid_kernel_poly_degree=options.get("degree", 3),
        kid_kernel_poly_gamma=options.get("gamma"),
        kid_kernel_poly_coef0=options.get("coef", 1.0),
        kid_kernel_rbf_sigma=options.get("sigma"),
        rng_seed=2020,
        verbose=False,
    )
    return found


@pytest.mark.parametrize(("n", "m", "d"), [(300, 220, 64), (250, 400, 192), (230, 230, 2048)])
@pytest.mark.parametrize(
    "options", [{}, {"degree": 2, "gamma": 0.01, "coef": 0.5}, {"kernel": "gaussian", "sigma": 10.0}], ids=str
)
def test_kid_is_torch_fidelitys(n: int, m: int, d: int, options: dict[str, Any]) -> None:
    x, y = features(n, d, 3), features(m, d, 4, 0.05)
    expected = torch_fidelitys(torch.from_numpy(x), torch.from_numpy(y), options)
    found = kid(x, y, subsets=12, subset_size=200, **options)
    # torch-fidelity multiplies in float32, so kernels of 100 are right to 1e-5.
    assert found.mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4, abs=1e-6)
    assert found.std == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-3, abs=1e-6)
    exact = torch_fidelitys(torch.from_numpy(x).double(), torch.from_numpy(y).double(), options)
    assert found.mean == pytest.approx(exact["kernel_inception_distance_mean"], rel=1e-10, abs=1e-12)
    assert found.std == pytest.approx(exact["kernel_inception_distance_std"], rel=1e-9, abs=1e-12)


def test_subset_size_is_said_or_refused() -> None:
    x, y = features(40, 8, 1), features(30, 8, 2)
    with pytest.raises(MetricError, match=r"subset_size is 1000, but there are 40 samples and 30 .*\n.*subset_size=30"):
        kid(x, y)
    found = kid(x, y, subset_size=None, subsets=3)
    assert (found.subset_size, found.subsets, found.n_samples, found.n_reference) == (30, 3, 40, 30)
    with pytest.raises(MetricError, match="subset_size is 1"):
        kid(x, y, subset_size=1)
    with pytest.raises(MetricError, match="subsets is 0"):
        kid(x, y, subset_size=5, subsets=0)


@pytest.mark.parametrize(("n", "shift", "nominal"), [(40, 0.5, True), (150, 0.5, True), (60, 0.0, False)])
def test_the_unbiased_estimate_is_unbiased_and_its_error_honest(n: int, shift: float, nominal: bool) -> None:
    # A linear kernel with gamma 1 / d: MMD^2 is the mean over the columns of (E x - E y)^2.
    rng = np.random.default_rng(0)
    found, covered, errors = [], 0, []
    trials = 300
    for _ in range(trials):
        x, y = rng.normal(size=(n, 16)), shift + rng.normal(size=(n + 20, 16))
        d = mmd(x, y, degree=1, coef=0.0)
        assert d.interval is not None
        found.append(d.value)
        errors.append(d.interval.standard_error)
        covered += d.interval.low <= shift**2 <= d.interval.high
    spread = float(np.std(found))
    assert np.mean(found) == pytest.approx(shift**2, abs=4 * spread / trials**0.5)
    if nominal:
        assert np.mean(errors) == pytest.approx(spread, rel=0.1)
        assert 0.91 <= covered / trials <= 0.985
    else:  # the jackknife of a degenerate U-statistic is too wide, never too narrow
        assert np.mean(errors) > 0.95 * spread
        assert covered / trials > 0.93


def test_the_jackknife_of_mmd_leaves_each_sample_out() -> None:
    x, y = features(9, 4, 1), features(7, 4, 2, 0.3)
    replicates = [np.array([mmd(np.delete(x, i, 0), y).value for i in range(9)])]
    replicates.append(np.array([mmd(x, np.delete(y, i, 0)).value for i in range(7)]))
    variance = sum((len(r) - 1) / len(r) * ((r - r.mean()) ** 2).sum() for r in replicates)
    interval = mmd(x, y).interval
    assert interval is not None
    assert interval.standard_error == pytest.approx(variance**0.5, rel=1e-9)
    assert interval.replicates == 16


def test_equal_sets_have_no_biased_discrepancy() -> None:
    x = features(50, 12, 1)
    assert mmd(x, x, estimator="biased").value == pytest.approx(0, abs=1e-12)
    assert mmd(np.ones((4, 3)), np.ones((5, 3))).value == pytest.approx(0, abs=1e-12)
    assert cmmd(x, x + 0.0).value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 3), (30, 41, 16), (25, 25, 768)])
def test_cmmd_is_its_definition(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.1
    u, v = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))
    expected = 1000 * by_pairs(u, v, biased=True, sigma=10.0)
    assert cmmd(x, y).value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert cmmd(3 * x, 0.2 * y).value == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_cmmd_of_opposite_directions() -> None:
    # Each set is one point; |u - v|^2 = 4.
    found = cmmd(np.full((3, 4), 2.0), np.full((5, 4), -1.0))
    assert found.value == pytest.approx(1000 * (2 - 2 * np.exp(-4 / 200)), rel=1e-12)


def test_wrong_input_is_refused_by_name() -> None:
    x = features(20, 4, 1)
    bad = x.copy()
    bad[3, 2] = np.nan
    with pytest.raises(MetricError, match=r"reference: not finite .* at row 3, column 2"):
        mmd(x, bad)
    with pytest.raises(MetricError, match="different width: samples 4, reference 3"):
        mmd(x, x[:, :3])
    with pytest.raises(MetricError, match=r"samples: an array of shape \(4,\)"):
        mmd(x[0], x)
    with pytest.raises(MetricError, match="samples: 1 rows, at least 2"):
        mmd(x[:1], x)
    with pytest.raises(MetricError, match=r"unknown kernel 'polinomial'. Did you mean 'polynomial'"):
        mmd(x, x, kernel="polinomial")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="sigma must be positive"):
        mmd(x, x, kernel="gaussian", sigma=0)
    with pytest.raises(MetricError, match=r"degree in 1..=64"):
        mmd(x, x, degree=0)
    with pytest.raises(MetricError, match="too large for double precision"):
        mmd(x.astype(np.float64) * 1e120, x)
    with pytest.raises(MetricError, match="row 0 is all zeros"):
        cmmd(np.zeros((3, 4)), x)
    with pytest.raises(MetricError, match="level is 2"):
        mmd(x, x, level=2)
    with pytest.raises(ValueError, match="both must be float32 or both float64"):
        _native.kernel_cross_sums(x, x.astype(np.float64), _native.Kernel.gaussian(1))
