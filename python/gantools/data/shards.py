"""One shard of a preparation: an idempotent piece of work, and the record that it is done.

The record, a small JSON file beside the shard, says what became of its images. A shard is done when its record is there
and its file has the hash that the record says.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gantools import _native
from gantools.data.advice import in_words
from gantools.data.plan import PrepPlan
from gantools.files import write_json


def make_shard(
    plan: PrepPlan, shard: int, folder: Path, threads: int = 0, progress: Callable[[int], object] | None = None
) -> dict[str, Any]:
    """Makes shard number `shard` in `folder` and returns its record; the same bytes wherever and however often.

    Returns:
        `file`, `count`, `xxh3`; `rejects`, pairs of an image's position in the set and the reason; `sizes`, runs of
        (width, height, how many images) before they were prepared.

    Raises:
        OSError: the file could not be written. KeyboardInterrupt: Ctrl-C. Nothing is left of it then.
        DownloadError: the source, which is far away, could not be reached; the shard has no record and is made again.
    """
    rows = plan.rows(shard)
    file = f"images-{shard:05d}.npy" if plan.policy.store == "pixels" else f"images-{shard:05d}.blobs"
    count, xxh3, rejects, sizes = _native.prepare_shard(
        plan.images.reader,
        plan.images.items[rows],
        plan.policy.native(),
        folder / file,
        threads,
        progress,
        store=plan.policy.store,
        regions=None if plan.regions is None else plan.regions[rows],
    )
    # What was not read for want of a network is no reject, and this shard is not done.
    if plan.images.failure is not None and (error := plan.images.failure()) is not None:
        raise error
    record = {
        "file": file,
        "count": count,
        "xxh3": xxh3,
        "rejects": [[rows.start + at, in_words(reason)] for at, reason in rejects],
        "sizes": [[*size, len(list(run))] for size, run in itertools.groupby(sizes)],
    }
    write_json(folder / _record_name(shard), record)
    return record


def read_record(folder: Path, shard: int) -> dict[str, Any] | None:
    """The record of a shard when it and its file are whole."""
    try:
        record: dict[str, Any] = json.loads((folder / _record_name(shard)).read_text())
        return record if _native.hash_file(folder / record["file"]) == record["xxh3"] else None
    except (OSError, ValueError, KeyError):
        return None


def _record_name(shard: int) -> str:
    return f"images-{shard:05d}.json"
