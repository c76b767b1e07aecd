"""A forked child can call every function of `gantools.metrics`, whatever its parent was doing with the threads."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from gantools import _native, metrics
from gantools.metrics.numbers.frechet import moments_of

RNG = np.random.default_rng(0)
# Fewer rows than columns (the products of the features) and more (those of the covariances) take different ways.
FEW, MANY = RNG.normal(size=(40, 64)), RNG.normal(size=(200, 64)) + 0.1
LABELS = np.arange(200) % 2
MEAN, COVARIANCE = MANY.mean(0), np.cov(MANY, rowvar=False)
STATISTICS = moments_of(MANY)

CALLS: dict[str, list[Callable[[], object]]] = {
    "authenticity": [lambda: metrics.authenticity(FEW, MANY)],
    "cmmd": [lambda: metrics.cmmd(FEW, MANY)],
    "density_coverage": [lambda: metrics.density_coverage(FEW, MANY)],
    "fid_infinity": [
        lambda: metrics.fid_infinity(FEW, MANY, points=3),
        lambda: metrics.fid_infinity(FEW, STATISTICS, points=3),
        lambda: metrics.fid_infinity(MANY, STATISTICS, points=3),
    ],
    "frechet_distance": [
        lambda: metrics.frechet_distance(MEAN, COVARIANCE, MEAN + 1, COVARIANCE),
        lambda: metrics.frechet_distance(STATISTICS, STATISTICS),
    ],
    "frechet_distance_features": [
        lambda: metrics.frechet_distance_features(FEW, FEW + 1),
        lambda: metrics.frechet_distance_features(FEW, MANY),
        lambda: metrics.frechet_distance_features(MANY, MANY),
    ],
    "frechet_interval": [
        lambda: metrics.frechet_interval(FEW, STATISTICS, groups=5),
        lambda: metrics.frechet_interval(MANY, STATISTICS, groups=5),
        lambda: metrics.frechet_interval(FEW, FEW, groups=5),
    ],
    "frechet_per_class": [lambda: metrics.frechet_per_class(MANY, LABELS, MANY + 1, LABELS)],
    "inception_score": [lambda: metrics.inception_score(MANY)],
    "kid": [lambda: metrics.kid(FEW, MANY, subsets=3, subset_size=20)],
    "mifid": [lambda: metrics.mifid(FEW, MANY)],
    "mmd": [lambda: metrics.mmd(FEW, MANY)],
    "nearest_training": [lambda: metrics.nearest_training(FEW, MANY)],
    "precision_recall": [lambda: metrics.precision_recall(FEW, MANY)],
    "vendi_score": [lambda: metrics.vendi_score(FEW), lambda: metrics.vendi_score(MANY)],
}


def in_child(calls: list[Callable[[], object]], seconds: float = 60) -> int | None:
    """The exit status of a forked child that makes the calls, 0 when each returned; None when it hangs."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in calls:
                call()
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


@contextmanager
def idle() -> Iterator[None]:
    yield


@contextmanager
def busy() -> Iterator[None]:
    """A thread of the parent works on the pool while the child is made."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            _native.frechet_distance_features(FEW, FEW)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("name", sorted(CALLS))
@pytest.mark.parametrize("parent", [idle, busy], ids=lambda f: str(f.__name__))
# Python warns of a fork beside threads, which is what is tried here.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_can_call_what_its_parent_called(name: str, parent: Callable[[], Iterator[None]]) -> None:
    for call in CALLS[name]:
        call()
    with parent():  # type: ignore[attr-defined]
        found = in_child(CALLS[name])
    assert found is not None, "the child waits for threads that the fork did not copy"
    assert found == 0


def test_every_function_is_tried() -> None:
    assert set(CALLS) == set(metrics.__all__)
