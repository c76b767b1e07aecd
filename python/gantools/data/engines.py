"""Who makes the shards of a set: threads of this process, or the tasks of a Ray cluster.

Both do the same work, `gantools.data.shards.make_shard`, and find what a stopped run left. A shard is one Ray task.
Only paths and options go to the workers, which open the source themselves, so they have to see the same files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from gantools import cluster
from gantools.data.plan import PrepOptions, PrepPlan, resolve
from gantools.data.prepared import digest
from gantools.data.shards import make_shard, read_record
from gantools.errors import DataError, GantoolsError, Interrupted
from gantools.progress import Progress

ENGINES = ("threads", "ray")
#: How often Ray begins a shard anew whose worker died.
RETRIES = 3


def check_engine(engine: str, workers: int | None) -> None:
    """ConfigError: an unknown or missing engine, or workers where there are none."""
    cluster.check_engine(engine, workers, ENGINES, "Threads are chosen with --threads.")


def make_shards(
    plan: PrepPlan,
    mine: Sequence[int],
    folder: Path,
    *,
    threads: int = 0,
    engine: str = "threads",
    workers: int | None = None,
    strict: bool = False,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Makes the shards `mine` that are not in `folder` yet.

    Returns:
        The records of all of `mine`, in order.

    Raises:
        DataError: (strict) an image is unreadable. Interrupted: Ctrl-C; what is done is kept.
    """
    sizes = {shard: plan.rows(shard).stop - plan.rows(shard).start for shard in mine}
    records = {shard: record for shard in mine if (record := read_record(folder, shard)) is not None}
    total, done = sum(sizes.values()), sum(sizes[shard] for shard in records)
    missing = [shard for shard in mine if shard not in records]
    with Progress(f"preparing {plan.images.name}", total, start=done, show=progress) as bar:
        if done:
            bar.print(f"Going on after {done:,} images.")
        bar.update(done)
        for shard in records:
            _check_strict(plan, records[shard], strict)
        try:
            if engine == "ray":
                made = _by_ray(plan, missing, folder, threads or 1, workers)
            else:
                made = _by_threads(plan, missing, folder, threads, lambda n: bar.update(done + n))
            for shard, record in made:
                records[shard] = record
                done += sizes[shard]
                bar.update(done)
                _check_strict(plan, record, strict)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{done:,} of {total:,} images are prepared and kept.", "Run the same command again to go on."
            ) from None
    return [records[shard] for shard in mine]


def _check_strict(plan: PrepPlan, record: dict[str, Any], strict: bool) -> None:
    if strict and record["rejects"]:
        row, _, reason = record["rejects"][0]
        raise DataError(
            f"{plan.images.names[row]}: {reason}.",
            "Without --strict such images are listed in rejects.jsonl and left out; nothing done is lost.",
        )


def _by_threads(
    plan: PrepPlan, shards: Sequence[int], folder: Path, threads: int, progress: Any
) -> Iterator[tuple[int, dict[str, Any]]]:
    for shard in shards:
        yield shard, make_shard(plan, shard, folder, threads, progress)


def _by_ray(
    plan: PrepPlan, shards: Sequence[int], folder: Path, threads: int, workers: int | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The shards as they are done, in any order."""
    with cluster.connected((workers or os.cpu_count() or 1) * threads) as ray:
        task = ray.remote(num_cpus=threads, max_retries=RETRIES)(_ray_shard)
        arguments = (plan.kind, plan.options, digest(plan.document), str(Path.cwd()), str(folder.absolute()), threads)
        # A few more than can run, so that no worker waits for the next; all of a large set would be a load.
        window = 2 * (workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads))
        waiting = list(reversed(shards))
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < window:
                shard = waiting.pop()
                running[task.options(name=f"gantools shard {shard}").remote(*arguments, shard)] = shard
            (ready,), _ = ray.wait(list(running), num_returns=1)
            shard = running.pop(ready)
            try:
                record = ray.get(ready)
            except ray.exceptions.RayTaskError as e:
                cause = e.cause
                if isinstance(cause, GantoolsError | OSError):
                    raise cause from None
                raise
            except ray.exceptions.RayError as e:
                raise DataError(
                    f"shard {shard}: its Ray task failed {RETRIES + 1} times ({type(e).__name__}).",
                    "Run the same command again to go on; with fewer --workers if memory was short.",
                ) from e
            yield shard, record


def _ray_shard(
    kind: str, options: PrepOptions, expected: str, cwd: str, folder: str, threads: int, shard: int
) -> dict[str, Any]:
    """One shard, in a worker of Ray."""
    # A task that is begun anew may have been done: its worker died after the last byte.
    if (done := read_record(Path(folder), shard)) is not None:
        return done
    # Paths of the source mean what they mean where prep was started.
    with contextlib.chdir(cwd) if Path(cwd).is_dir() else contextlib.nullcontext():
        return make_shard(_resolved(kind, options, expected), shard, Path(folder), threads)


@lru_cache(maxsize=1)
def _resolved(kind: str, options: PrepOptions, expected: str) -> PrepPlan:
    """The plan as this worker sees it; kept, since listing a large source takes longer than a shard."""
    plan = resolve(kind, options, progress=False)
    if digest(plan.document) != expected:
        raise DataError(
            "a Ray worker sees another source, or has another version of gantools, than where prep was started.",
            "All machines need the same files under the same paths, and the same gantools.",
        )
    return plan
