"""Trackers of experiments, Weights & Biases and Trackio: a run's numbers and grids there too, when that is asked for.

Their packages are imported when they are asked for. What goes wrong in one is a warning and ends the tracking, never
the training: the run's own files have everything.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantools.errors import ConfigError
from gantools.files import write_json

#: Where a run is known to trackers: the names it has there, so that a training that goes on finds it.
RECORD = "trackers.json"
PROJECT = "gantools"


@dataclass(frozen=True)
class Known:
    """What a run is called in a tracker; `id` tells runs of one name in different folders apart."""

    project: str
    name: str
    id: str


def _begin_wandb(module: Any, known: Known, folder: Path, config: Mapping[str, Any]) -> Any:
    return module.init(
        project=known.project,
        name=known.name,
        id=known.id,
        dir=str(folder),
        config=dict(config),
        resume="allow",
        allow_val_change=True,
    )


def _begin_trackio(module: Any, known: Known, folder: Path, config: Mapping[str, Any]) -> Any:
    # It finds a run by its name, so the name has the id in it.
    del folder
    return module.init(project=known.project, name=f"{known.name}-{known.id}", config=dict(config), resume="allow")


@dataclass(frozen=True)
class Kind:
    """A tracker.

    Attributes:
        begin: begins its run, or goes on with it.
        variable: of the environment, which names the project.
        commits: whether the last of several entries at one step must say so, to be shown at once.
    """

    begin: Callable[[Any, Known, Path, Mapping[str, Any]], Any]
    variable: str
    commits: bool = False


#: By the name of the package.
TRACKERS = {
    "trackio": Kind(_begin_trackio, "TRACKIO_PROJECT"),
    "wandb": Kind(_begin_wandb, "WANDB_PROJECT", commits=True),
}


def check(names: Sequence[str]) -> None:
    """ConfigError: the package of one of these trackers is not installed."""
    for name in names:
        if sys.modules.get(name) is not None:
            continue
        found = importlib.util.find_spec(name)
        # A folder of that name, such as wandb makes where it runs, is no package.
        if found is None or found.origin is None:
            raise ConfigError(f"track: {name} is not installed.", f"pip install 'gantools[{name}]', or --set track=[]")


class Trackers:
    """The trackers of a run.

    Args:
        names: which, keys of `TRACKERS`.
        run: the run's folder.
        config: what is recorded of it at the start.
        warn: shows a line when one of them fails.
    """

    def __init__(self, names: Sequence[str], run: Path, config: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        self.run, self.warn = run, warn
        self._runs: dict[str, tuple[Any, Any]] = {}
        for name in names:
            with self._guarded(name):
                module = importlib.import_module(name)
                self._runs[name] = (module, TRACKERS[name].begin(module, self._known(name), run, config))

    def log(self, nimg: int, values: Mapping[str, float], grid: Path | None = None) -> None:
        """Send numbers and a grid, at `nimg` real images shown; a grid alone belongs to numbers that follow."""
        for name, (module, run) in list(self._runs.items()):
            with self._guarded(name):
                image = {} if grid is None else {"grid": module.Image(str(grid))}
                options = {"commit": bool(values)} if TRACKERS[name].commits else {}
                run.log({**values, **image}, step=nimg, **options)

    def close(self) -> None:
        """Send what is left."""
        for name, (_, run) in list(self._runs.items()):
            with self._guarded(name):
                run.finish()
        self._runs = {}

    def _known(self, name: str) -> Known:
        """What the run is called in a tracker; chosen and kept where it is new there."""
        file = self.run / RECORD
        record = json.loads(file.read_bytes()) if file.is_file() else {}
        if name not in record:
            project = os.environ.get(TRACKERS[name].variable) or PROJECT
            record[name] = {"project": project, "name": self.run.name, "id": secrets.token_hex(4)}
            write_json(file, record)
        return Known(**record[name])

    @contextlib.contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Turns an error into a warning, and leaves the tracker out from then on."""
        try:
            # What they print is no result of gantools.
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except Exception as e:  # of any kind: the packages of others
            self._runs.pop(name, None)
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0].rstrip(".")
            self.warn(f"{name} does not track this run any more: {reason}. Its numbers and grids are in {self.run}.")
