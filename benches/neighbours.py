"""Precision, recall, density and coverage, and KID: ours against prdc and torch-fidelity.

    python benches/neighbours.py [--few 5000] [--dims 2048] [--many 0] [--many-dims 2048] [--repeat 2]

Prints seconds (best of the repeats) and the numbers. `--many` runs ours alone with that many samples a side, float32,
and prints the peak of resident memory, features included; the peers would need a matrix of many x many. Set the number
of threads for all alike, for example OPENBLAS_NUM_THREADS=2 RAYON_NUM_THREADS=2.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import metrics

Array = NDArray[np.float32]


def features(n: int, d: int, seed: int, shift: float) -> Array:
    """Non-negative and of falling scale, made in pieces so that no float64 copy counts as memory."""
    rng = np.random.default_rng(seed)
    scale = np.geomspace(1, 0.1, d, dtype=np.float32)
    out = np.empty((n, d), np.float32)
    for start in range(0, n, 4096):
        part = out[start : start + 4096]
        part[:] = np.maximum(rng.standard_normal(part.shape, dtype=np.float32) * scale + shift, 0)
    return out


def best(method: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    seconds, value = float("inf"), None
    for _ in range(repeat):
        began = time.perf_counter()
        with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):  # noqa: PTH123
            value = method()
        seconds = min(seconds, time.perf_counter() - began)
    return seconds, value


def against_peers(n: int, d: int, repeat: int) -> None:
    import torch
    from prdc import compute_prdc
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    x, y = features(n, d, 1, 0.02), features(n, d, 2, 0.0)
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    kid = {
        "kid_subsets": 10,
        "kid_subset_size": 1000,
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1.0,
        "rng_seed": 2020,
        "verbose": False,
    }
    methods: dict[str, Callable[[], Any]] = {
        "gantools density_coverage, k=5": lambda: metrics.density_coverage(x, y),
        "prdc, k=5": lambda: compute_prdc(y, x, 5),
        "gantools precision_recall, k=3": lambda: metrics.precision_recall(x, y),
        "torch-fidelity, k=3": lambda: calculate_precision_recall_full(a, b, 3),
        "gantools kid, 10 subsets of 1000": lambda: metrics.kid(x, y, subsets=10),
        "torch-fidelity kid, 10 subsets of 1000": lambda: kid_features_to_metric(a, b, **kid),
        "gantools mmd of all": lambda: metrics.mmd(x, y),
    }
    print(f"\n{n} and {n} samples, {d} features\n{'method':40}{'seconds':>9}  value")
    for name, method in methods.items():
        seconds, value = best(method, repeat)
        print(f"{name:40}{seconds:9.3f}  {value}")


def alone(n: int, d: int) -> None:
    x, y = features(n, d, 1, 0.02), features(n, d, 2, 0.0)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds, value = best(lambda: metrics.precision_recall(x, y), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    memory = f"peak {peak:.2f} GiB ({held:.2f} with the features)"
    print(f"\n{n} and {n} samples, {d} features: {seconds:.1f} s, {memory}\n{value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=5000, help="samples a side against the peers; 0 leaves them out")
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--many", type=int, default=0, help="samples a side for ours alone")
    parser.add_argument("--many-dims", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=2)
    args = parser.parse_args()
    threads = {k: os.environ.get(k, "all") for k in ("OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}
    print(f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, threads {threads}")
    if args.many:
        alone(args.many, args.many_dims)
    if args.few:
        against_peers(args.few, args.dims, args.repeat)


if __name__ == "__main__":
    main()
