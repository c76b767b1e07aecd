"""A training on the workers of a Ray cluster: the same call in each, with the environment that torchrun would give it.

A worker is an actor, a process of its own. Only the options of the training go there, so all machines have to see the
same files. The first worker's lines are shown here; Ctrl-C here asks all of them to stop after their step.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gantools import __version__
from gantools.cluster import check_engine, cluster_exists, connected, ray_module
from gantools.errors import CheckpointError, ConfigError, GantoolsError, Interrupted
from gantools.runs.folders import newest_run
from gantools.training import stop
from gantools.training.distributed import OtherFailed, Processes
from gantools.training.job import Job

ENGINES = ("local", "ray")
# How long a cluster may take to make room for all workers, and these to start: machines may have to be switched on.
ROOM_S, START_S = 120.0, 300.0
# After a worker has failed, the others have so long to end by themselves; and so long until Ray finds that one is dead,
# where the first that is heard of it is that others cannot go on.
GRACE_S, DEATH_S = 5.0, 45.0
# Seconds between two looks at the workers.
LOOK_S = 0.5
# Calls that a worker answers at once: the training, its lines, a stop.
CALLS = 4


class Place(NamedTuple):
    """Where a worker is: the machine, an address and a free port of it, and what it has installed."""

    node: str
    address: str
    port: int
    version: str


class Written(io.TextIOBase):
    """Text that one thread writes and another takes."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Add `text`."""
        with self._lock:
            self._parts.append(text)
        return len(text)

    def take(self) -> str:
        """What was written since the last time."""
        with self._lock:
            text = "".join(self._parts)
            self._parts.clear()
        return text


class Worker:
    """One process of a training, as an actor of Ray."""

    def __init__(self) -> None:
        self.written = Written()

    def place(self) -> Place:
        """Where this is."""
        ray: Any = ray_module()
        with socket.socket() as s:
            s.bind(("", 0))
            port = s.getsockname()[1]
        return Place(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), port, __version__)

    def train(
        self,
        train: Callable[..., Path | None],
        options: Mapping[str, Any],
        environment: Mapping[str, str],
        folder: str,
        modules: Sequence[str],
    ) -> str | Exception:
        """Call `train(**options)`; the run, or the error that is meant to be read."""
        os.environ.update(environment)
        sys.path += [place for place in modules if place not in sys.path]
        # Paths mean what they mean where the training was started.
        if Path(folder).is_dir():
            os.chdir(folder)
        warnings = logging.StreamHandler(self.written)
        warnings.setFormatter(logging.Formatter("warning: %(message)s"))
        logging.getLogger("gantools").addHandler(warnings)
        with contextlib.redirect_stderr(self.written):
            try:
                return str(train(**options))
            except (GantoolsError, OSError) as e:
                return e

    def lines(self) -> str:
        """What the training has said since the last time."""
        return self.written.take()

    def stop(self) -> None:
        """Stop after the present step."""
        stop.ask()


@dataclass(frozen=True)
class Share:
    """What each worker is given."""

    workers: int
    cpus: int
    gpus: int

    def __str__(self) -> str:
        return f"{self.cpus} CPU{'s' * (self.cpus > 1)}{' and a GPU' * self.gpus}"


def check(engine: str, workers: int | None, device: str | None) -> None:
    """Refuse an engine, a number of workers or a device that cannot be.

    Raises:
        ConfigError: see the message.
    """
    check_engine(engine, workers, ENGINES, "Without Ray: torchrun --nproc-per-node=N -m gantools train ...")
    if engine != "ray":
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("the engine ray starts the processes itself.", "Start it without torchrun.")
    if device is not None and device.startswith("cuda:"):
        raise ConfigError(f"device {device}: Ray chooses each worker's GPU.", "Say --device cuda.")


def train_on_ray(
    train: Callable[..., Path | None], job: Job, options: Mapping[str, Any], workers: int | None, device: str | None
) -> Path:
    """Call `train(**options)` in `workers` processes of a Ray cluster, as one training.

    Args:
        train: what each worker calls.
        job: the training, as it was resolved here.
        options: of the training.
        workers: how many; None: one a GPU, without GPUs one a machine.
        device: as in `gantools.train`.

    Returns:
        The run's folder.

    Raises:
        ConfigError: the cluster has no room for them, or the batch cannot be dealt out.
        GantoolsError: the training failed, or a worker died.
        Interrupted: Ctrl-C, after a checkpoint was written.
    """
    if workers is not None:
        _deal(job, workers)
    threads = job.recipe.compute.threads
    cores = os.cpu_count() or 1
    exists = cluster_exists()
    here = 0 if device == "cpu" else torch.cuda.device_count()
    local = workers or max(1, here)
    with connected(local * (threads or max(1, cores // local))) as ray:
        found = ray.cluster_resources()
        gpus = 0 if device == "cpu" else int(found.get("GPU", 0))
        machines = sum(1 for node in ray.nodes() if node["Alive"])
        count = workers or gpus or (machines if exists else 1)
        cpus = threads or (1 if exists else max(1, cores // count))
        if device == "cuda" and gpus == 0:
            raise ConfigError("device cuda: the Ray cluster has no GPU.", "Leave it out, or say --device cpu.")
        if 0 < gpus < count:
            raise ConfigError(
                f"{count} workers want a GPU each, and the Ray cluster has {gpus}.",
                f"Say --workers {gpus}, or --device cpu.",
            )
        _deal(job, count)
        share = Share(count, cpus, min(gpus, 1))
        with _started(ray, share) as actors:
            return _followed(ray, actors, train, job, options)


def _deal(job: Job, workers: int) -> None:
    """ConfigError: a batch of the training cannot be dealt to so many workers."""
    for stage in job.recipe.stages():
        Processes(0, workers).rows(stage.batch or job.recipe.batch)


@contextlib.contextmanager
def _started(ray: Any, share: Share) -> Iterator[list[tuple[Any, Place]]]:
    """The workers and their places, those of one machine beside each other; they are killed when the block ends."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    bundle = {"CPU": share.cpus, **({"GPU": share.gpus} if share.gpus else {})}
    # All or none: a part of the workers would wait for the others, and keep others from theirs.
    room = placement_group([bundle] * share.workers, strategy="PACK")
    actors: list[Any] = []
    try:
        if not room.wait(timeout_seconds=ROOM_S):
            total, free = ray.cluster_resources(), ray.available_resources()
            raise ConfigError(
                f"the Ray cluster has no room for {share.workers} workers of {share}: {_room(free)} of {_room(total)} "
                "are free.",
                "Choose fewer --workers, or wait until others are done.",
            )
        for i in range(share.workers):
            where = PlacementGroupSchedulingStrategy(room, placement_group_bundle_index=i)
            kind = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_concurrency=CALLS)(Worker)
            actors.append(kind.options(scheduling_strategy=where).remote())
        try:
            places = ray.get([actor.place.remote() for actor in actors], timeout=START_S)
        except ray.exceptions.RayError as e:
            raise GantoolsError(
                f"a Ray worker does not start ({type(e).__name__}).",
                "All machines of the cluster need the same gantools and its packages.",
            ) from e
        others = {place.version for place in places} - {__version__}
        if others:
            raise ConfigError(
                f"a Ray worker has gantools {others.pop()}, and here it is {__version__}.",
                "All machines of the cluster need the same.",
            )
        nodes = list(dict.fromkeys(place.node for place in places))
        yield sorted(zip(actors, places, strict=True), key=lambda pair: nodes.index(pair[1].node))
    finally:
        for actor in actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)
        with contextlib.suppress(Exception):
            remove_placement_group(room)


def _room(resources: Mapping[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"


def environments(places: Sequence[Place]) -> list[dict[str, str]]:
    """The environment of each process, in the order of their ranks, as torchrun sets it.

    Args:
        places: of the processes, those of one machine beside each other.
    """
    first = places[0]
    nodes = [place.node for place in places]
    return [
        {
            "MASTER_ADDR": first.address,
            "MASTER_PORT": str(first.port),
            "WORLD_SIZE": str(len(places)),
            "RANK": str(rank),
            "LOCAL_WORLD_SIZE": str(nodes.count(node)),
            "LOCAL_RANK": str(nodes[:rank].count(node)),
        }
        for rank, node in enumerate(nodes)
    ]


def _followed(
    ray: Any,
    actors: Sequence[tuple[Any, Place]],
    train: Callable[..., Path | None],
    job: Job,
    options: Mapping[str, Any],
) -> Path:
    """Train with the workers until all have ended, or one has failed and the others had time to."""
    workers, places = [actor for actor, _ in actors], [place for _, place in actors]
    folder, modules = str(Path.cwd()), list(sys.path)
    running = {
        worker.train.remote(train, options, environment, folder, modules): rank
        for rank, (worker, environment) in enumerate(zip(workers, environments(places), strict=True))
    }
    ended: dict[int, str | Exception] = {}
    last: float | None = None
    with stop.StopSignal(say=bool(options.get("progress"))) as signals:
        told = False
        while running and (last is None or time.monotonic() < last):
            done, _ = ray.wait(list(running), timeout=LOOK_S)
            _show(ray, workers[0])
            if signals.requested and not told:
                told = True
                for worker in workers:
                    worker.stop.remote()
            for reference in done:
                rank = running.pop(reference)
                end = _end(ray, reference, f"worker {rank + 1} of {len(workers)}", places[rank], job)
                ended[rank] = end
                if isinstance(end, Exception):
                    wait = DEATH_S if isinstance(end, OtherFailed | Interrupted) else GRACE_S
                    last = min(time.monotonic() + wait, last or math.inf)
    errors = [end for _, end in sorted(ended.items()) if isinstance(end, Exception)]
    if errors:
        # What the others say of one that failed is worth less than what it says itself.
        raise min(errors, key=lambda e: (isinstance(e, OtherFailed), isinstance(e, Interrupted)))
    return Path(str(ended[0]))


def _end(ray: Any, reference: Any, name: str, place: Place, job: Job) -> str | Exception:
    """How a worker ended: the run, or an error. An error that nobody is meant to read is raised as it is."""
    try:
        end: str | Exception = ray.get(reference)
        return end
    except ray.exceptions.RayTaskError as e:
        raise e.cause from e
    except ray.exceptions.RayError:
        return GantoolsError(f"{name} of the training, on {place.address}, has died.", _resume(job))


def _resume(job: Job) -> str:
    try:
        run = job.run or newest_run(job.out, job.recipe.name)
    except CheckpointError:
        return "It came before the first checkpoint, so nothing is kept. Was memory short there? Try fewer --workers."
    return f"Go on from its last checkpoint: gantools train --resume {run} --engine ray"


def _show(ray: Any, worker: Any) -> None:
    """Print what the first worker has said."""
    with contextlib.suppress(ray.exceptions.RayError):
        text = ray.get(worker.lines.remote(), timeout=LOOK_S)
        if text:
            print(text, end="", file=sys.stderr, flush=True)
