"""What a run and an exported model consist of, by names alone: nothing here reads weights, or waits for torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from gantools.files import write_json

FORMAT = "gantools-checkpoint"
FORMAT_VERSION = 2
# A folder with what makes images alone: the same `config.json`, and the networks in one file (see `write_model`).
EXPORTED = "gantools-model"
EXPORTED_VERSION = 1
MODEL = "model"
CONFIG = "config.json"
STATE = "state.pt"
BEST = "best"
# The folder of a run that has them.
CHECKPOINTS = "checkpoints"
# Recipe and file list; a larger file is something else.
MAX_CONFIG_BYTES = 4 << 20

#: Names of checkpoints.
NAME = re.compile(r"kimg-\d{6,}\.\d{3}")


class Best(NamedTuple):
    """The best checkpoint of a run, and the score by which it is."""

    path: Path
    nimg: int
    metric: str
    value: float


def checkpoint_name(nimg: int) -> str:
    """`kimg-000060.000` for 60,000 images shown; sorts by the count."""
    return f"kimg-{nimg // 1000:06d}.{nimg % 1000:03d}"


def checkpoint_nimg(path: Path) -> int:
    """Images shown when the checkpoint in folder `path` was written, by its name."""
    return int(path.name.removeprefix("kimg-").replace(".", ""))


def list_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    folder = run / CHECKPOINTS
    found = [p for p in folder.iterdir() if NAME.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, key=checkpoint_nimg)


def mark_best(run: Path, nimg: int, metric: str, value: float) -> None:
    """Record that the checkpoint of `run` at `nimg` images is the best so far, by `value` of `metric`."""
    record = {"checkpoint": checkpoint_name(nimg), "metric": metric, "value": value}
    write_json(run / CHECKPOINTS / BEST, record)


def best_checkpoint(run: Path) -> Best | None:
    """The checkpoint that `mark_best` recorded last; None where there is no record, or the checkpoint is gone."""
    try:
        record = json.loads((run / CHECKPOINTS / BEST).read_bytes())
        name, metric, value = str(record["checkpoint"]), str(record["metric"]), float(record["value"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    path = run / CHECKPOINTS / name
    return Best(path, checkpoint_nimg(path), metric, value) if NAME.fullmatch(name) and path.is_dir() else None
