"""Networks are loaded once a process: by content, device and maker; few are kept; threads and forks do not hang."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gantools
from gantools.errors import WeightsError
from gantools.metrics.networks import published
from gantools.metrics.networks import registry as extractors
from gantools.metrics.networks.inception import InceptionFeatures
from gantools.pretrained import fashion, inception, loaded
from gantools.pretrained.loaded import free_networks

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    free_networks()
    yield
    free_networks()


class Counted:
    """A function that makes networks and counts how often it is called."""

    def __init__(self, make: Callable[..., Any], pause: float = 0.0) -> None:
        self.make, self.pause, self.calls = make, pause, 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        time.sleep(self.pause)
        return self.make(*given, **named)


def linear(*_: Any) -> nn.Module:
    return nn.Linear(2, 2)


def test_one_network_for_one_file_and_device() -> None:
    make = Counted(linear)
    first = loaded.loaded(make, "a", CPU, Path("x"))
    assert loaded.loaded(make, "a", CPU, Path("x")) is first
    assert loaded.loaded(make, "a", CPU, Path("y")) is first  # the same content elsewhere
    assert make.calls == 1
    for other in (
        loaded.loaded(make, "b", CPU, Path("x")),
        loaded.loaded(make, "a", torch.device("meta"), Path("x")),
        loaded.loaded(Counted(linear), "a", CPU, Path("x")),
    ):
        assert other is not first
    assert make.calls == 3


def test_only_the_last_are_kept_and_all_can_be_freed() -> None:
    make = Counted(linear)
    for i in range(loaded.LIMIT):
        loaded.loaded(make, i, CPU)
    loaded.loaded(make, 0, CPU)  # asked for again: another one is the oldest now
    loaded.loaded(make, "further", CPU)
    assert make.calls == loaded.LIMIT + 1
    loaded.loaded(make, 0, CPU)
    assert make.calls == loaded.LIMIT + 1
    loaded.loaded(make, 1, CPU)
    assert make.calls == loaded.LIMIT + 2
    assert free_networks() == loaded.LIMIT and free_networks() == 0
    loaded.loaded(make, 1, CPU)
    assert make.calls == loaded.LIMIT + 3


def test_threads_share_one_load() -> None:
    make = Counted(linear, pause=0.2)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(loaded.loaded(make, "a", CPU))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert make.calls == 1 and len(found) == 8 and len(set(map(id, found))) == 1


def test_what_fails_is_tried_again() -> None:
    make = Counted(lambda *_: (_ for _ in ()).throw(WeightsError("damaged")))
    for calls in (1, 2):
        with pytest.raises(WeightsError):
            loaded.loaded(make, "a", CPU)
        assert make.calls == calls


def test_weights_loaded_in_inference_mode_can_be_used_outside() -> None:
    with torch.inference_mode():
        net = loaded.loaded(linear, "a", CPU)
    assert not any(p.is_inference() for p in net.parameters())


def _in_child(queue: Any) -> None:
    queue.put(loaded.loaded(linear, "child", CPU) is not None)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_while_a_thread_loads_does_not_hang() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    began = threading.Event()

    def slow(*_: Any) -> nn.Module:
        began.set()
        time.sleep(1.0)
        return linear()

    thread = threading.Thread(target=lambda: loaded.loaded(slow, "slow", CPU))
    thread.start()
    began.wait()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    child.join(60)
    thread.join()
    assert child.exitcode == 0 and queue.get(timeout=10)


def pictures(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (12, 28, 28, 1), dtype=np.uint8).repeat(3, 3)


def test_scores_of_one_process_load_a_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Counted(fashion.load)
    monkeypatch.setattr(fashion, "load", make)
    scores = [
        gantools.score(pictures(0), ref=pictures(1), metrics=("fd",), extractor="fashion-mnist", device="cpu")
        for _ in range(3)
    ]
    assert make.calls == 1
    assert len({float(s["fd-fashion-mnist"]) for s in scores}) == 1
    free_networks()
    extractors.make("fashion-mnist", device="cpu")
    assert make.calls == 2


def test_inception_is_loaded_once_for_all_layers_and_protocols(
    inception_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Counted(inception.load)
    monkeypatch.setattr(inception, "load", make)
    for layers, protocol in ((["2048"], "tf"), (["64", "logits"], "clean"), (["2048"], "pytorch-fid")):
        assert isinstance(
            extractors.make("inception", layers, inception_file, "cpu", protocol=protocol), InceptionFeatures
        )
    assert make.calls == 1


def test_a_file_that_was_replaced_is_loaded_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Counted(published.open_network)
    monkeypatch.setattr(published, "open_network", make)
    file = tmp_path / "net.pt"

    def save(value: float) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1))
        nn.init.constant_(net[0].weight, value)
        torch.jit.trace(net.eval(), torch.zeros(2, 3, 16, 16)).save(str(file))

    found = []
    for value in (1.0, 2.0):
        save(value)
        kind = published.own_kind(file, size=16)
        for _ in range(2):
            (made,) = kind.make(["features"], None, CPU, ())
            found.append((made.weights_sha256, made(np.ones((1, 16, 16, 3), np.float32))["features"].tolist()))
    assert make.calls == 2
    assert found[0] == found[1] != found[2] == found[3]
    assert found[0][0] != found[2][0]
