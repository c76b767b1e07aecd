"""Run folders: `runs/00000-dcgan-celeba-64/`, numbered in the order they were started."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from pathlib import Path

import yaml

from gantools.errors import CheckpointError, ConfigError, nearest
from gantools.runs.layout import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    EXPORTED,
    FORMAT,
    best_checkpoint,
    checkpoint_name,
    checkpoint_nimg,
    list_checkpoints,
)

RUNS = Path("runs")
# Written when a run begins: device, recipe, data.
RECORD = "config.yaml"
# Neighbours that an error names.
NEIGHBOURS = 3

log = logging.getLogger(__name__)
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


def newest_run(root: Path, recipe: str | None = None) -> Path:
    """The newest run in `root` that has a checkpoint; one without any that is newer is passed over with a warning.

    Args:
        root: a folder of runs.
        recipe: the name of the recipe that it was trained by; None: any.

    Raises:
        CheckpointError: there is none.
    """
    empty: list[str] = []
    for run in reversed(list_runs(root)):
        if recipe is not None and recipe_name(run) != recipe:
            continue
        if list_checkpoints(run):
            if empty:
                log.warning("%s: no checkpoint in it yet; taking %s.", ", ".join(empty), run)
            return run
        empty.append(str(run))
    of = "" if recipe is None else f" of recipe {recipe!r}"
    raise CheckpointError(
        f"no run{of} with a checkpoint in {root}/.",
        f"Train one with: gantools train {recipe or 'RECIPE'}; or give the path of a run.",
    )


def recipe_name(run: Path) -> str | None:
    """The name of the recipe that a run was trained by; None where nothing says it."""
    found = [*reversed([path / CONFIG for path in list_checkpoints(run)]), run / RECORD]
    for file in found:
        try:
            # JSON is YAML, but reading it as such takes a hundred times as long.
            text = file.read_text(encoding="utf-8")
            return str((json.loads(text) if file.name == CONFIG else yaml.safe_load(text))["recipe"]["name"])
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, RecursionError):
            continue
    return None


def find_checkpoint(path: str | Path | None = None, which: str | float = "last") -> Path:
    """The checkpoint that `path` means: itself, or one of a run, or one of the newest run in a folder of runs.

    Args:
        path: a checkpoint, a run or a folder of runs; None means `./runs`.
        which: of the run's: "last", "best", or the thousands of images shown, as a number (20) or as its name
            (kimg-000020.000).

    Raises:
        CheckpointError: there is none.
        ConfigError: `which` is none of these.
    """
    place = RUNS if path is None else Path(path)
    if place.name == BEST and place.is_file():
        place, which = place.parent.parent, BEST
    if path is not None and not place.is_dir():
        raise CheckpointError(f"{place}: no such folder.", "Give a run, for example runs/00000-dcgan-celeba-64.")
    if (place / CONFIG).is_file():
        if which != "last":
            raise ConfigError(f"{place}: is a checkpoint already, so {which} chooses nothing.", "Give the run instead.")
        return place
    run = place if (place / CHECKPOINTS).is_dir() or (place / RECORD).is_file() else newest_run(place)
    if which == "last":
        return newest_checkpoint(run)
    return _best(run) if which == BEST else _at_kimg(run, which)


def _best(run: Path) -> Path:
    best = best_checkpoint(run)
    if best is None:
        found = list_checkpoints(run)
        raise CheckpointError(
            f"{run}: no checkpoint is known to be the best: it was trained without scores.",
            f"Choose one by its thousands of images: {', '.join(_names(found))}." if found else None,
        )
    return best.path


def _at_kimg(run: Path, which: str | float) -> Path:
    """The checkpoint of `run` at so many thousands of images, given as a number or as its name."""
    text = str(which).removeprefix("kimg-")
    try:
        nimg = round(float(text) * 1000)
        path = run / CHECKPOINTS / checkpoint_name(nimg)
    except (ValueError, OverflowError):
        meant = nearest(text, ("last", BEST))
        raise ConfigError(
            f"checkpoint: {str(which)!r} is not last, best or a number of thousands of images."
            + (f" Did you mean {meant!r}?" if meant else ""),
            f"{run} has {', '.join(_names(list_checkpoints(run))) or 'no checkpoint'}.",
        ) from None
    if not path.is_dir():
        found = list_checkpoints(run)
        if not found:
            return newest_checkpoint(run)
        close = sorted(sorted(found, key=lambda p: abs(checkpoint_nimg(p) - nimg))[:NEIGHBOURS], key=checkpoint_nimg)
        raise CheckpointError(
            f"{run}: no checkpoint at {text} kimg.", f"The nearest: {', '.join(_names(close))}; of {len(found)} in all."
        )
    return path


def _names(checkpoints: list[Path]) -> list[str]:
    return [f"{checkpoint_nimg(path) / 1000:.3f}".rstrip("0").rstrip(".") for path in checkpoints]


def is_run(path: Path) -> bool:
    """Whether folder `path` is a run of `gantools train`, a folder of runs, a checkpoint, or an exported model."""
    if (path / CONFIG).is_file():
        try:
            config = json.loads((path / CONFIG).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(config, dict) and config.get("format") in (FORMAT, EXPORTED)
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
