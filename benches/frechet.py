"""The Frechet distance: ours against the routes that other tools take.

    python benches/frechet.py [--dims 2048] [--few 1000] [--repeat 3]

Prints a table: seconds (best of the repeats, each method in turn so that a loaded machine slows all alike), the ratio
to ours, and the distance. Features are synthetic: correlated, non-negative. Set the number of threads for both sides
alike, for example OPENBLAS_NUM_THREADS=1 RAYON_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable

import numpy as np
import scipy
import scipy.linalg
from numpy.typing import NDArray

from gantools import _native

Array = NDArray[np.float64]


def features(n: int, d: int, seed: int, shift: float) -> Array:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d)) / np.sqrt(d) * np.geomspace(1, 0.01, d)[:, None]
    return np.maximum(rng.normal(size=(n, d)) @ mixing + shift, 0)


def rest(m1: Array, s1: Array, m2: Array, s2: Array) -> float:
    return float(((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2))


def by_sqrtm(m1: Array, s1: Array, m2: Array, s2: Array) -> float:
    """pytorch-fid, clean-fid, TTUR."""
    return rest(m1, s1, m2, s2) - 2 * float(np.trace(scipy.linalg.sqrtm(s1 @ s2)).real)


def by_eigvals(m1: Array, s1: Array, m2: Array, s2: Array) -> float:
    """torch-fidelity, torchmetrics."""
    return rest(m1, s1, m2, s2) - 2 * float(np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real.sum())


def by_lapack_cholesky(m1: Array, s1: Array, m2: Array, s2: Array) -> float:
    """Our route for full rank, in LAPACK."""
    factor = np.linalg.cholesky(s1)
    values = np.linalg.eigvalsh(factor.T @ s2 @ factor)
    return rest(m1, s1, m2, s2) - 2 * float(np.sqrt(np.maximum(values, 0)).sum())


def compare(title: str, methods: dict[str, Callable[[], float]], repeat: int) -> None:
    best = dict.fromkeys(methods, float("inf"))
    value: dict[str, float] = {}
    failed: dict[str, str] = {}
    for _ in range(repeat):
        for name, method in methods.items():
            if name in failed:
                continue
            began = time.perf_counter()
            try:
                value[name] = method()
            except np.linalg.LinAlgError as e:
                failed[name] = str(e)
                continue
            best[name] = min(best[name], time.perf_counter() - began)
    ours = next(iter(best.values()))
    print(f"\n{title}\n{'method':38}{'seconds':>9}{'ratio':>8}  distance")
    for name in methods:
        if name in failed:
            print(f"{name:38}{'-':>9}{'-':>8}  {failed[name]}")
        else:
            print(f"{name:38}{best[name]:9.3f}{best[name] / ours:8.1f}  {value[name]:.9f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--few", type=int, default=1000, help="samples of the low-rank case")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    d, few = args.dims, args.few
    threads = {k: os.environ.get(k, "all") for k in ("OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, ", end="")
    print(f"scipy {scipy.__version__}, threads {threads}")

    x, y = features(2 * d + 500, d, 1, 0.3), features(2 * d, d, 2, 0.35)
    full = (x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
    compare(
        f"full rank: {len(x)} and {len(y)} samples, {d} features, from moments",
        {
            "gantools": lambda: _native.frechet_distance(*full).distance,
            "LAPACK Cholesky + eigvalsh": lambda: by_lapack_cholesky(*full),
            "numpy eigvals(S1 @ S2)": lambda: by_eigvals(*full),
            "scipy sqrtm(S1 @ S2)": lambda: by_sqrtm(*full),
        },
        args.repeat,
    )
    a, b = x[:few], y[:few]
    low = (a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    compare(
        f"low rank: {few} and {few} samples, {d} features",
        {
            "gantools, features": lambda: _native.frechet_distance_features(a, b).distance,
            "gantools, features against moments": lambda: (
                _native.frechet_distance_features_moments(a, *low[2:]).distance
            ),
            "gantools, moments": lambda: _native.frechet_distance(*low).distance,
            "LAPACK Cholesky + eigvalsh": lambda: by_lapack_cholesky(*low),
            "numpy eigvals(S1 @ S2)": lambda: by_eigvals(*low),
            "scipy sqrtm(S1 @ S2)": lambda: by_sqrtm(*low),
        },
        args.repeat,
    )


if __name__ == "__main__":
    main()
