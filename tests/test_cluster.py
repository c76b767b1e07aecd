"""Connections to Ray, by a module in its place; with Ray itself in tests/data/test_engines.py and the trainings."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gantools import cluster
from gantools.errors import ConfigError


class Ray:
    """What a connection needs of the package."""

    def __init__(self, answers: bool = True, here: bool = False) -> None:
        self.answers, self.here = answers, here
        self.options: dict[str, Any] = {}

    def is_initialized(self) -> bool:
        return self.here

    def init(self, **options: Any) -> None:
        if not self.answers:
            raise ConnectionError("Failed to connect")
        self.options, self.here = options, True

    def shutdown(self) -> None:
        self.here = False


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def take(ray: Ray) -> Ray:
        monkeypatch.setattr(cluster, "ray_module", lambda: ray)
        return ray

    return take


def test_one_is_started_where_there_is_none(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = use(Ray())
    assert not cluster.cluster_exists()
    with cluster.connected(3) as found:
        assert found is ray and ray.here and ray.options["num_cpus"] == 3
    assert not ray.here
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert cluster.cluster_exists()
    with cluster.connected(3):
        assert "num_cpus" not in ray.options
    there = use(Ray(here=True))
    with cluster.connected(3):
        assert there.options == {}
    assert there.here  # it is not ours to end


def test_a_cluster_that_does_not_answer_is_said(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Ray(answers=False))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with (
        pytest.raises(ConfigError, match=r"RAY_ADDRESS=10.0.0.1:6379: no Ray cluster answers there"),
        cluster.connected(1),
    ):
        pass


def test_what_ray_prints_is_no_result(use: Any, capsys: pytest.CaptureFixture[str]) -> None:
    use(Ray())

    def talk() -> None:
        print("(raylet) A worker died")

    with cluster.connected(1):
        thread = threading.Thread(target=talk, name="ray_listen_error_messages")
        thread.start()
        thread.join()
        print("a result")
    print("another")
    assert capsys.readouterr().out == "a result\nanother\n"
