"""Precision, recall, density, coverage: exactly prdc's and torch-fidelity's, and the definition's in every tie."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from prdc import compute_prdc
from torch_fidelity.metric_prc import calculate_precision_recall_full

from gantools import _native
from gantools.errors import MetricError
from gantools.metrics.numbers.neighbours import Convention, Neighbourhood, density_coverage, precision_recall

Array = NDArray[np.float64]


def squared(x: Array, y: Array) -> Array:
    """All squared distances, from differences."""
    return np.asarray(((x[:, None] - y[None]) ** 2).sum(-1))


def by_definition(x: Array, y: Array, k: int, closed: bool) -> tuple[float, float, float, float]:
    def radii(a: Array) -> Array:
        return np.sort(squared(a, a), axis=1)[:, k]

    between = squared(x, y)
    rx, ry = radii(x)[:, None], radii(y)[None]
    in_y, in_x = (between <= ry, between <= rx) if closed else (between < ry, between < rx)
    return (
        float(in_y.any(1).mean()),
        float(in_x.any(0).mean()),
        float(in_y.sum(1).mean()) / k,
        float(in_y.any(0).mean()),
    )


def four(found: Neighbourhood) -> tuple[float, float, float, float]:
    return found.precision, found.recall, found.density, found.coverage


@pytest.mark.parametrize(
    ("n", "m", "d", "k"), [(50, 70, 3, 1), (300, 200, 8, 5), (257, 513, 64, 3), (400, 400, 2048, 5)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_prdc(n: int, m: int, d: int, k: int, dtype: type, offset: float) -> None:
    rng = np.random.default_rng(n + d)
    x = (rng.normal(size=(n, d)) * 0.9 + 0.2 + offset).astype(dtype)
    y = (rng.normal(size=(m, d)) + offset).astype(dtype)
    expected = compute_prdc(real_features=y, fake_features=x, nearest_k=k)
    found = density_coverage(x, y, k=k)
    assert found.precision == expected["precision"]
    assert found.recall == expected["recall"]
    assert found.density == pytest.approx(expected["density"], rel=1e-14)
    assert found.coverage == expected["coverage"]


@pytest.mark.parametrize("seed", range(12))
def test_prdc_on_a_grid_full_of_ties_and_copies(seed: int) -> None:
    # Coordinates that are small integers: every peer's arithmetic is exact, so every tie must be decided alike.
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    x, y = (rng.integers(0, 5, size=(int(rng.integers(20, 150)), d)).astype(np.float64) for _ in range(2))
    expected = compute_prdc(real_features=y, fake_features=x, nearest_k=3)
    found = density_coverage(x, y, k=3)
    assert four(found)[:2] == (expected["precision"], expected["recall"])
    assert found.density == pytest.approx(expected["density"], rel=1e-14)
    assert found.coverage == expected["coverage"]
    assert four(found) == pytest.approx(by_definition(x, y, 3, closed=False), rel=1e-14)


@pytest.mark.parametrize(
    ("n", "m", "d", "k"), [(60, 90, 3, 3), (300, 200, 16, 3), (257, 513, 64, 1), (300, 300, 2048, 3)]
)
def test_torch_fidelity(n: int, m: int, d: int, k: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)) * 0.9 + 0.2, rng.normal(size=(m, d))
    found = precision_recall(x, y, k=k)
    expected = calculate_precision_recall_full(torch.from_numpy(x), torch.from_numpy(y), k)
    assert (found.precision, found.recall) == pytest.approx(expected, abs=1e-7)  # a mean in float32
    # In float32 as it runs by default, where its products cancel.
    narrow = calculate_precision_recall_full(torch.from_numpy(x).float(), torch.from_numpy(y).float(), k)
    again = precision_recall(x.astype(np.float32), y.astype(np.float32), k=k)
    assert (again.precision, again.recall) == pytest.approx(narrow, abs=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_torch_fidelity_on_a_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(0, 4, size=(int(rng.integers(20, 90)), 3)).astype(np.float64) for _ in range(2))
    expected = calculate_precision_recall_full(torch.from_numpy(x), torch.from_numpy(y), 3)
    found = precision_recall(x, y)
    assert (found.precision, found.recall) == pytest.approx(expected, abs=1e-7)
    for convention in ("stylegan3", "adm"):
        assert four(precision_recall(x, y, convention=convention)) == four(found)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(6, 40),
    m=st.integers(6, 40),
    d=st.integers(1, 6),
    levels=st.integers(1, 4),
    scale=st.sampled_from([1.0, 0.25, 2.0**60, 2.0**-60]),
    offset=st.sampled_from([0.0, 1024.0]),
    closed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_tie_is_the_definitions(
    n: int, m: int, d: int, levels: int, scale: float, offset: float, closed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = ((rng.integers(0, levels, size=(k, d)) + offset) * scale for k in (n, m))
    convention: Convention = "torch-fidelity" if closed else "prdc"
    found = precision_recall(x, y, convention=convention, k=4)
    assert four(found) == pytest.approx(by_definition(x, y, 4, closed), rel=1e-14)


def test_a_lattice_has_known_answers() -> None:
    # Points 0..9 on a line, k = 2: every inner radius is 1, those at the ends 2.
    line = np.arange(10.0)[:, None]
    np.testing.assert_array_equal(_native.neighbour_radii(line, 2), [4, 1, 1, 1, 1, 1, 1, 1, 1, 4])
    # The samples lie half way: each is in the balls of both neighbours, and the last but one in that of 9 as well.
    half = np.arange(9.0)[:, None] + 0.5
    found = precision_recall(half, line, k=2)
    assert four(found) == (1.0, 1.0, (9 * 2 + 2) / 9 / 2, 1.0)
    # The same line: on the sphere exactly counts for the closed balls only.
    closed, opened = (precision_recall(line, line, convention=c, k=2) for c in ("torch-fidelity", "prdc"))
    assert closed.density == (8 * 3 + 2 * 3) / 10 / 2
    assert opened.density == (8 * 1 + 2 * 2) / 10 / 2
    far = precision_recall(line + 100, line, k=2)
    assert four(far) == (0, 0, 0, 0) and far.f_score == 0


def test_several_tiles_give_what_one_distance_matrix_gives() -> None:
    rng = np.random.default_rng(1)
    # Clusters, copies and a large offset, in float32.
    x = (rng.normal(size=(4300, 6)) + 50 * rng.integers(0, 3, size=(4300, 1)) + 1000).astype(np.float32)
    y = (rng.normal(size=(2500, 6)) + 50 * rng.integers(0, 3, size=(2500, 1)) + 1000).astype(np.float32)
    y[2000:] = x[:500]
    x[4000:] = x[:300]
    wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
    radii = []
    for side in (wide_x, wide_y):
        found = _native.neighbour_radii(side.astype(np.float32), 5)
        rows = [np.sort(squared(side[i : i + 100], side), axis=1)[:, 5] for i in range(0, len(side), 100)]
        np.testing.assert_allclose(found, np.concatenate(rows), rtol=1e-13)
        radii.append(found)
    (in_y, x_holds), (in_x, y_holds) = _native.balls(x, radii[0], y, radii[1], True)
    between = np.concatenate([squared(wide_x[i : i + 100], wide_y) for i in range(0, len(x), 100)])
    # Away from the radius by more than rounding everything is certain; here nothing is nearer to it.
    inside_x, inside_y = between <= radii[0][:, None] * (1 + 1e-12), between <= radii[1] * (1 + 1e-12)
    np.testing.assert_array_equal(in_y, inside_y.sum(1))
    np.testing.assert_array_equal(y_holds, inside_y.sum(0))
    np.testing.assert_array_equal(in_x, inside_x.sum(0))
    np.testing.assert_array_equal(x_holds, inside_x.sum(1))
    distance, index = _native.nearest(x, y)
    np.testing.assert_array_equal(index, between.argmin(1))
    np.testing.assert_allclose(distance, between.min(1), rtol=1e-13)


def test_copies_without_end_take_no_time_and_give_no_nan() -> None:
    x = np.full((3000, 5), 7.25, np.float32)
    found = precision_recall(x, x[:2500])
    assert four(found) == (1.0, 1.0, 2500 / 3, 1.0)
    assert four(density_coverage(x, x)) == (0, 0, 0, 0)


def test_ctrl_c_ends_it() -> None:
    program = (
        "import os, signal, threading\n"
        "import numpy as np\n"
        "from gantools import _native\n"
        "x = np.random.default_rng(0).normal(size=(40_000, 1024)).astype(np.float32)\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    _native.neighbour_radii(x, 3)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "interrupted\n", done.stderr


def test_wrong_input_is_refused_by_name() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    with pytest.raises(MetricError, match="samples: 3 rows, but k=3 nearest neighbours of each need at least 4"):
        precision_recall(x[:3], x)
    with pytest.raises(MetricError, match="reference: 1 rows"):
        precision_recall(x, x[:1])
    with pytest.raises(MetricError, match="k is 0"):
        precision_recall(x, x, k=0)
    with pytest.raises(MetricError, match=r"unknown convention 'prcd'. Did you mean 'prdc'"):
        precision_recall(x, x, convention="prcd")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="samples: not finite"):
        precision_recall(np.where(x > 0, np.inf, x), x)
    with pytest.raises(MetricError, match="too large"):
        precision_recall(x * 1e200, x)
    with pytest.raises(ValueError, match="radii"):
        _native.balls(x, np.ones(3), x, np.ones(4), True)
    with pytest.raises(MetricError, match="4 nearest neighbours need more than 4 samples, there are 4"):
        _native.neighbour_radii(x, 4)
