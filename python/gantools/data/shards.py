"""One shard of a preparation: an idempotent piece of work, and the record that it is done.

The record, a small JSON file beside the shard, says what became of its images. A shard is done when its record is there
and its file has the hash that the record says.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.advice import in_words
from gantools.data.folder_work import link
from gantools.data.pairs import Inputs, Noise
from gantools.data.plan import PrepPlan
from gantools.data.policy import PIXELS, Policy
from gantools.data.prepared import INPUTS, open_shards
from gantools.data.sources.base import Source
from gantools.files import write_json


def make_shard(
    plan: PrepPlan, shard: int, folder: Path, threads: int = 0, progress: Callable[[int], object] | None = None
) -> dict[str, Any]:
    """Makes shard number `shard` in `folder` and returns its record; the same bytes wherever and however often.

    Returns:
        `file`, `count`, `xxh3`; `rejects`: an image's position in the set, the class of the reason and the reason;
        `sizes`, runs of (width, height, how many images) before they were prepared; `shallow`, how many have 16-bit
        samples that all stay below 4096; `inputs`, of a set of pairs, the same of the file of its inputs.

    Raises:
        OSError: the file could not be written. KeyboardInterrupt: Ctrl-C. Nothing is left of it then.
        DownloadError: the source, which is far away, could not be reached; the shard has no record and is made again.
    """
    rows = np.arange(plan.rows(shard).start, plan.rows(shard).stop)
    file = _file(plan.policy, shard)

    def targets(rows: NDArray[np.int64], bar: Callable[[int], object] | None) -> _Made:
        return _prepare(plan.images, plan.regions, plan.policy, rows, folder / file, threads, bar)

    made = targets(rows, progress)
    record: dict[str, Any] = {}
    if plan.inputs is not None:
        (folder / INPUTS).mkdir(exist_ok=True)
        inputs = _inputs(plan, plan.inputs, made, shard, folder, threads)
        if inputs.rejects:
            # What is no pair is on neither side.
            made = replace(targets(inputs.rows, None), rejects=sorted([*made.rejects, *inputs.rejects]))
        record["inputs"] = inputs.entry()
    record = {**made.entry(), "rejects": made.rejects, **record}
    write_json(folder / _record_name(shard), record)
    return record


def make_shard_of(images: Source, policy: Policy, shard: int, folder: Path, threads: int = 0) -> dict[str, Any]:
    """Makes shard number `shard` of all of `images`, which need no regions, and returns its record, as `make_shard`."""
    made = _prepare(images, None, policy, np.arange(len(images)), folder / _file(policy, shard), threads, None)
    record = {**made.entry(), "rejects": made.rejects}
    write_json(folder / _record_name(shard), record)
    return record


def taken_shard(
    file: Path, policy: Policy, shard: int, folder: Path, xxh3: str, sizes: list[tuple[int, int]]
) -> dict[str, Any] | None:
    """Takes a shard of another set as number `shard` into `folder`, as a second name of the file where that can be.

    Args:
        file: the shard.
        policy: of both sets.
        shard: its number here.
        folder: where it is put.
        xxh3: the hash that it must have.
        sizes: (width, height) of each of its images before it was prepared.

    Returns:
        Its record; None where its bytes have another hash.
    """
    if (record := read_record(folder, shard)) is None:
        made = _Made(_file(policy, shard), xxh3, np.arange(len(sizes)), [], sizes, 0)
        link(file, folder / made.file)
        write_json(folder / _record_name(shard), {**made.entry(), "rejects": []})
        record = read_record(folder, shard)
    return record


@dataclass(frozen=True)
class _Made:
    """One file of a shard: which rows of the plan are in it, which are not and why, and what is known of them."""

    file: str
    xxh3: str
    rows: NDArray[np.int64]
    rejects: list[list[Any]]
    sizes: list[tuple[int, int]]
    shallow: int

    def entry(self) -> dict[str, Any]:
        """What stands in the record."""
        return {
            "file": self.file,
            "count": len(self.rows),
            "xxh3": self.xxh3,
            "sizes": [[*size, len(list(run))] for size, run in itertools.groupby(self.sizes)],
            "shallow": self.shallow,
        }


def _prepare(
    images: Source,
    regions: NDArray[np.float64] | None,
    policy: Policy,
    rows: NDArray[np.int64],
    path: Path,
    threads: int,
    progress: Callable[[int], object] | None,
    noise: Noise | None = None,
    yaws: NDArray[np.float64] | None = None,
) -> _Made:
    """The images `rows` of a source as one file.

    Raises:
        DownloadError: the source, which is far away, could not be reached.
    """
    _, xxh3, rejects, sizes, shallow = _native.prepare_shard(
        images.reader,
        images.items[rows],
        policy.native(),
        path,
        threads,
        progress,
        store=policy.store,
        regions=None if regions is None else regions[rows],
        noise=None if noise is None else noise.sigma,
        seeds=None if noise is None else noise.seeds([images.names[row] for row in rows]),
        yaws=yaws,
    )
    # What was not read for want of a network is no reject, and this shard is not done.
    if images.failure is not None and (error := images.failure()) is not None:
        raise error
    kept = np.delete(rows, [at for at, _, _ in rejects])
    told = [[int(rows[at]), kind, in_words(reason)] for at, kind, reason in rejects]
    return _Made(path.name, xxh3, kept, told, sizes, shallow)


def _inputs(plan: PrepPlan, inputs: Inputs, targets: _Made, shard: int, folder: Path, threads: int) -> _Made:
    """The inputs of the targets that there are."""
    path = folder / INPUTS / _file(inputs.policy, shard)
    if inputs.images is not None:
        made = _prepare(inputs.images, inputs.regions, inputs.policy, targets.rows, path, threads, None)
        return replace(made, rejects=[[row, kind, f"its input: {reason}"] for row, kind, reason in made.rejects])
    # They are made of what is read of the targets later, also where that has been encoded with a loss.
    count, shape = len(targets.rows), (plan.policy.height, plan.policy.width, plan.policy.channels)
    pixels = np.zeros((max(count, 1), *shape), np.uint8)
    if count:
        manifest = {"shape": list(shape), "policy": plan.policy.to_manifest()}
        numbers = np.arange(count, dtype=np.int64)
        open_shards(manifest, [folder / targets.file], [count]).gather(numbers, pixels)
    names = [plan.images.names[row] for row in targets.rows]
    if count:
        pixels = inputs.degraded(pixels, names)
    made_of = replace(
        plan.images,
        reader=_native.Source.array(pixels),
        items=np.arange(count),
        names=names,
        failure=None,
    )
    yaws = None if inputs.yaws is None else inputs.yaws[targets.rows]
    made = _prepare(made_of, None, inputs.policy, np.arange(count), path, threads, None, inputs.noise, yaws)
    return replace(made, rows=targets.rows[made.rows])


def _file(policy: Policy, shard: int) -> str:
    return f"images-{shard:05d}.{'npy' if policy.store == PIXELS else 'blobs'}"


def read_record(folder: Path, shard: int) -> dict[str, Any] | None:
    """The record of a shard when it and its file are whole."""
    try:
        record: dict[str, Any] = json.loads((folder / _record_name(shard)).read_text())
        files = [(folder, record), *([(folder / INPUTS, record["inputs"])] if "inputs" in record else [])]
        whole = all(_native.hash_file(place / part["file"]) == part["xxh3"] for place, part in files)
        return record if whole else None
    except (OSError, ValueError, KeyError):
        return None


def _record_name(shard: int) -> str:
    return f"images-{shard:05d}.json"
