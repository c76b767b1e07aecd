"""What a run left on disk, read for its report: as much as is whole, with a note for each thing that is not."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.data.prepared import PreparedSet
from gantools.errors import CheckpointError, GantoolsError
from gantools.models import NAMES
from gantools.recipes.recipe import Recipe, recipe_from_dict
from gantools.recipes.strict import read_yaml
from gantools.report.curves import Mark
from gantools.runs.folders import RECORD, list_runs
from gantools.runs.layout import CHECKPOINTS, CONFIG, MAX_CONFIG_BYTES
from gantools.runs.stats import STATS, read_sound
from gantools.training import health

#: Real images beside the newest grid, and bytes of their pixels, at most.
REAL, REAL_BYTES = 64, 6 << 20
#: Damaged lines that a note names.
NAMED = 5
#: Values of a config at most.
VALUES = 100_000


@dataclass
class Record:
    """A run, for its report.

    Attributes:
        folder: of the run.
        name: what the page calls it.
        config: what `config.yaml` says, empty where it is damaged.
        lines: of its statistics, those that are whole.
        written: when the last one was written, in words; None: there is none.
        recipe: what it was trained by; None where this gantools cannot read it.
        images: the set it was trained on; None where it is not there any more.
        real: some of its images, uint8 (n, h, w, c); None where it is not there any more.
        signs: what went wrong, when it began.
        last: kinds of signs that were there at the last tick.
        notes: what could not be shown, and why.
    """

    folder: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    written: str | None = None
    recipe: Recipe | None = None
    images: PreparedSet | None = None
    real: NDArray[np.uint8] | None = None
    signs: list[Mark] = field(default_factory=list)
    last: list[health.Sign] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        """A section of the config, empty where there is none."""
        found = self.config.get(name)
        return found if isinstance(found, dict) else {}

    @property
    def metrics(self) -> list[str]:
        """The scores that were measured, the one that decides first."""
        asked = self.section("recipe").get("eval")
        names = asked.get("metrics") if isinstance(asked, dict) else None
        names = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        return [name for name in dict.fromkeys(names) if any(name in line for line in self.lines)]

    @property
    def stages(self) -> list[Mark]:
        """Where a stage of the training begins, the first one left out."""
        found, before = [], None
        for line in self.lines:
            stage = line.get("stage")
            if isinstance(stage, str) and stage != before:
                if before is not None:
                    found.append(Mark(line["nimg"] / 1000, f"stage {stage}"))
                before = stage
        return found


def find_run(path: str | Path) -> Path:
    """The run that `path` means: itself, that of a checkpoint, or the newest in a folder of runs.

    Raises:
        CheckpointError: there is none.
    """
    place = Path(path)
    if not place.is_dir():
        raise CheckpointError(f"{place}: no such folder.", "Give a run, for example runs/00000-dcgan-celeba-64.")
    if (place / CONFIG).is_file() and place.absolute().parent.name == CHECKPOINTS:
        return place.absolute().parent.parent
    for run in (place, *reversed(list_runs(place))):
        if any((run / name).exists() for name in (RECORD, STATS, CHECKPOINTS)):
            return run
    raise CheckpointError(
        f"{place}: no run, and no folder of runs.", "Give a run, for example runs/00000-dcgan-celeba-64."
    )


def read_record(run: Path, name: str) -> Record:
    """All that the report shows of a run but its grids; what is damaged is a note."""
    record = Record(run, name)
    _read_config(record)
    _read_lines(record)
    _read_real(record)
    _look(record)
    return record


def _read_config(record: Record) -> None:
    file = record.folder / RECORD
    if not file.is_file():
        record.notes.append(f"{RECORD} is missing: nothing is known of recipe and data.")
        return
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise CheckpointError(f"{file}: too large.")
        found = read_yaml(file.read_bytes(), RECORD)
    except (GantoolsError, OSError) as e:
        record.notes.append(f"{RECORD} cannot be read ({_words(e)}): nothing is known of recipe and data.")
        return
    if not isinstance(found, dict) or not _small(found):
        record.notes.append(f"{RECORD} is damaged: nothing is known of recipe and data.")
        return
    record.config = found
    model = record.section("recipe").get("model")
    # The code of a system of one's own is not run for a page.
    if not isinstance(model, str) or model not in NAMES:
        record.notes.append(
            f"The system {model} is none of gantools: signs of trouble are looked for without its loss."
        )
        return
    try:
        record.recipe = recipe_from_dict(found["recipe"], RECORD)
    except (GantoolsError, TypeError, ValueError, AttributeError, KeyError) as e:
        record.notes.append(f"This gantools does not read the recipe any more ({_words(e)}).")


def _small(values: Any) -> bool:
    """Whether plain values are few: by names of YAML, a line may stand for billions, or hold itself."""
    left, waiting = VALUES, [values]
    while waiting:
        value = waiting.pop()
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        left -= 1 + len(inner)
        if left < 0:
            return False
        waiting += inner
    return True


def _read_lines(record: Record) -> None:
    file = record.folder / STATS
    try:
        record.lines, damaged = read_sound(file)
        if record.lines:
            at = datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC)
            record.written = f"{at:%Y-%m-%d %H:%M} UTC"
    except OSError as e:
        record.notes.append(f"{STATS} cannot be read ({_words(e)}).")
        return
    if damaged:
        named = ", ".join(map(str, damaged[:NAMED])) + (", ..." if len(damaged) > NAMED else "")
        record.notes.append(f"{STATS}: {len(damaged):,} damaged lines are left out (line {named}).")


def _read_real(record: Record) -> None:
    data = record.section("data")
    path = data.get("path")
    if not isinstance(path, str):
        return
    try:
        images = PreparedSet(path)
        if images.fingerprint != data.get("fingerprint"):
            record.notes.append(f"{path} holds another set now than the run was trained on: no real images are shown.")
            return
        bytes_each = max(1, int(np.prod(images.shape)))
        n = max(1, min(REAL, len(images), REAL_BYTES // bytes_each))
        record.real = images.gather(np.linspace(0, len(images) - 1, n).astype(np.int64))
        record.images = images
    except (GantoolsError, OSError, ValueError, TypeError) as e:
        record.notes.append(f"No real images are shown: {_words(e)}")


def _look(record: Record) -> None:
    """Find what went wrong as the training itself looks for it."""
    repeated = 0.0
    if record.real is not None:
        real = torch.from_numpy(record.real)
        repeated = health.duplicates(real, health.diversity(real))
    game = None if record.recipe is None else record.recipe.game
    monitor = health.Monitor(getattr(game, "loss", None), hasattr(game, "penalties"), repeated)
    before: set[str] = set()
    for line in record.lines:
        record.last = monitor.look(numbers(line))
        kinds = {sign.kind for sign in record.last}
        for sign in record.last:
            if sign.kind not in before:
                record.signs.append(Mark(line["nimg"] / 1000, sign.text, len(record.signs) + 1))
        before = kinds


def numbers(line: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a line of statistics that are numbers."""
    return {k: v for k, v in line.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def named(runs: Sequence[Path]) -> list[str]:
    """What each run is called: its folder's name, or its path where two are called the same."""
    names = [run.absolute().name for run in runs]
    return [name if names.count(name) == 1 else str(run) for name, run in zip(names, runs, strict=True)]


def _words(error: Exception) -> str:
    return error.message if isinstance(error, GantoolsError) else str(error) or type(error).__name__
