"""Run folders: `runs/00000-dcgan-celeba-64/`, numbered in the order they were started."""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path

from gantools.errors import CheckpointError
from gantools.runs.checkpoint import CONFIG, FORMAT, list_checkpoints

RUNS = Path("runs")
_NAME = re.compile(r"(\d{5,})-.+")


def create_run(root: Path, title: str) -> Path:
    """Make the next numbered folder, for example `root/00003-dcgan-celeba-64`; two starts at once get two numbers."""
    root.mkdir(parents=True, exist_ok=True)
    folder = os.open(root, os.O_RDONLY)
    try:
        # The number must be taken by one process at a time: the titles differ, so mkdir alone would not collide.
        fcntl.flock(folder, fcntl.LOCK_EX)
        run = root / f"{max((_number(p) for p in list_runs(root)), default=-1) + 1:05d}-{title}"
        run.mkdir()
    finally:
        os.close(folder)
    return run


def list_runs(root: Path) -> list[Path]:
    """The run folders in `root`, oldest first."""
    found = [p for p in root.iterdir() if p.is_dir() and _NAME.fullmatch(p.name)] if root.is_dir() else []
    return sorted(found, key=_number)


def newest_run(root: Path) -> Path:
    """The newest run in `root` that has a checkpoint."""
    for run in reversed(list_runs(root)):
        if list_checkpoints(run):
            return run
    raise CheckpointError(
        f"no run with a checkpoint in {root}/.", "Train one with: gantools train RECIPE; or give the path of a run."
    )


def find_checkpoint(path: str | Path | None = None) -> Path:
    """The checkpoint that `path` means: itself, the newest of a run, or that of the newest run in a folder of runs.

    Args:
        path: None means `./runs`.

    Raises:
        CheckpointError: there is none.
    """
    place = RUNS if path is None else Path(path)
    if path is not None and not place.is_dir():
        raise CheckpointError(f"{place}: no such folder.", "Give a run, for example runs/00000-dcgan-celeba-64.")
    if (place / CONFIG).is_file():
        return place
    return newest_checkpoint(place if (place / "checkpoints").is_dir() else newest_run(place))


def is_run(path: Path) -> bool:
    """Whether folder `path` is a run of `gantools train`, a folder of runs, or a checkpoint of one."""
    if (path / CONFIG).is_file():
        try:
            config = json.loads((path / CONFIG).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(config, dict) and config.get("format") == FORMAT
    return bool(list_checkpoints(path)) or any(list_checkpoints(run) for run in list_runs(path))


def newest_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run."""
    found = list_checkpoints(run)
    if not found:
        raise CheckpointError(f"{run}: no checkpoint in it.", "Give a run that has finished at least one tick.")
    return found[-1]


def _number(run: Path) -> int:
    match = _NAME.fullmatch(run.name)
    assert match is not None
    return int(match[1])
