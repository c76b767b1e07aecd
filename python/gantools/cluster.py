"""Ray, for what can be shared out to a cluster: whether it is there, and a connection to it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gantools.errors import ConfigError, cause, unknown_name

RAY = "ray"


def check_engine(engine: str, workers: int | None, engines: Sequence[str], otherwise: str) -> None:
    """ConfigError: an unknown or missing engine, or workers where there are none.

    Args:
        engine: what was asked for.
        workers: how many, where they were asked for.
        engines: what there is, Ray among them.
        otherwise: what to do instead of `workers` without Ray, for the hint.
    """
    if engine not in engines:
        raise unknown_name("engine", engine, engines)
    if workers is not None and (engine != RAY or workers < 1):
        raise ConfigError("workers are those of the engine ray, at least 1.", otherwise)
    if engine == RAY:
        ray_module()


def ray_module() -> Any:
    """The package `ray`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("the engine ray needs Ray, which is not installed.", "pip install 'gantools[ray]'") from None
    return ray


def cluster_exists() -> bool:
    """Whether there is a cluster to connect to; otherwise one is started on this machine."""
    return bool(ray_module().is_initialized() or os.environ.get("RAY_ADDRESS"))


@contextmanager
def connected(cpus: int) -> Iterator[Any]:
    """The package `ray`, connected while the block runs: to the cluster there is, or to one on this machine.

    Args:
        cpus: of the cluster that is started where there is none.

    Raises:
        ConfigError: the cluster that RAY_ADDRESS names does not answer.
    """
    ray = ray_module()
    ours = not ray.is_initialized()
    if ours:
        address = os.environ.get("RAY_ADDRESS")
        local = {} if address else {"num_cpus": cpus}
        try:
            ray.init(log_to_driver=False, include_dashboard=False, logging_level="error", **local)
        except (OSError, ValueError, RuntimeError) as e:
            if not address:
                raise
            raise ConfigError(
                f"RAY_ADDRESS={address}: no Ray cluster answers there ({cause(e)}).",
                "Without RAY_ADDRESS the workers are started on this machine.",
            ) from e
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()
