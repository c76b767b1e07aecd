"""What the studio shows: runs, sets and models by short names, generators kept ready, pictures kept for a while.

A name in an address is looked up here and nowhere else: no part of an address ever becomes part of a path.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import yaml

from gantools.data.prepared import PreparedSet, is_prepared
from gantools.errors import CheckpointError, GantoolsError
from gantools.recipes.strict import read_yaml
from gantools.runs.folders import RECORD, list_runs
from gantools.runs.layout import (
    CHECKPOINTS,
    CONFIG,
    EXPORTED,
    MAX_CONFIG_BYTES,
    best_checkpoint,
    checkpoint_nimg,
    list_checkpoints,
)
from gantools.runs.stats import STATS

if TYPE_CHECKING:
    from gantools.sampling.generator import Generator

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
#: Trained generators kept in memory, and bytes of pictures.
GENERATORS, PICTURES = 4, 64 << 20
#: The one checkpoint of an exported model.
MODEL = "model"


class NotThere(GantoolsError):
    """What an address names is not on the shelf, or not any more."""


class Kept(Generic[K, V]):
    """The values that were asked for last, as long as they weigh no more than `most` together."""

    def __init__(self, most: int, weigh: Callable[[V], int]) -> None:
        self._most, self._weigh = most, weigh
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key; made where it is not kept. It is made twice where two ask at once."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > 1 and sum(map(self._weigh, self._values.values())) > self._most:
                self._values.popitem(last=False)
        return value


class Shelf:
    """Runs, sets and models under names that addresses may use.

    Args:
        places: runs, folders of runs, checkpoints' runs, and exported models.
        device: where networks run; None: CUDA when there is one.

    Raises:
        CheckpointError: a place is not there, or holds none of these.
    """

    def __init__(self, places: Sequence[str | Path], device: str | None = None) -> None:
        self.places, self.device = [Path(place) for place in places], device
        for place in self.places:
            if not place.is_dir():
                raise CheckpointError(f"{place}: no such folder.", "Give a run or a folder of runs.")
            if not any(True for _ in _runs_in(place)):
                raise CheckpointError(
                    f"{place}: no run, and no folder of runs.",
                    "Train one first: gantools quickstart, or gantools train",
                )
        self._generators: Kept[tuple[Path, int], Generator] = Kept(GENERATORS, lambda _: 1)
        self.pictures: Kept[Hashable, bytes] = Kept(PICTURES, len)

    def runs(self) -> dict[str, Path]:
        """All runs and models by name, in the order of the places, oldest first; new ones appear by themselves."""
        found = {run.resolve(): run for place in self.places for run in _runs_in(place)}
        return _named(found.values())

    def run(self, name: str) -> Path:
        """The folder of a run. NotThere: there is none of this name."""
        found = self.runs().get(name)
        if found is None:
            raise NotThere(f"run {name!r}: is not there (any more).", "Choose another in the list.")
        return found

    def checkpoints(self, run: Path) -> dict[str, Path]:
        """The checkpoints of a run by name, `20` for 20 kimg, oldest first; an exported model has one, `model`."""
        if not (run / CHECKPOINTS).is_dir() and (run / CONFIG).is_file():
            return {MODEL: run}
        return {f"{checkpoint_nimg(path) / 1000:.10g}": path for path in list_checkpoints(run)}

    def checkpoint(self, run: Path, name: str) -> tuple[str, Path]:
        """A checkpoint's name and folder; `last` and `best` name one of them too. NotThere: there is none."""
        found = self.checkpoints(run)
        best = best_checkpoint(run)
        if name == "best" and best is not None:
            name = f"{best.nimg / 1000:.10g}"
        if name in ("last", "best") and found:
            name = list(found)[-1]
        if name not in found:
            raise NotThere(
                f"{run.name}: has no checkpoint {name!r} (any more).",
                f"It has {', '.join(list(found)[-5:])}." if found else "Wait for its first tick.",
            )
        return name, found[name]

    def generator(self, run: Path, checkpoint: str) -> Generator:
        """The generator of a checkpoint, loaded once as long as it is among those used last.

        Raises:
            NotThere, CheckpointError: it is gone, or damaged.
        """
        from gantools.sampling.generator import Generator

        _, path = self.checkpoint(run, checkpoint)
        return self._generators.get(stamp_of(path), lambda: Generator.load(path, device=self.device))

    def sets(self) -> dict[str, Path]:
        """The prepared sets that the runs were trained on, and those in the folder `data` here, by name."""
        wanted = [config_of(run).get("data", {}).get("path") for run in self.runs().values()]
        paths = [Path(path) for path in wanted if isinstance(path, str)]
        paths += sorted(Path("data").iterdir()) if Path("data").is_dir() else []
        found = {path.resolve(): path for path in paths if is_prepared(path)}
        return _named(found.values())

    def set(self, name: str) -> PreparedSet:
        """A prepared set. NotThere: there is none of this name. DataError: it is damaged."""
        found = self.sets().get(name)
        if found is None:
            raise NotThere(f"set {name!r}: is not there (any more).", "Choose another in the list.")
        return PreparedSet(found)


def trained_on(run: Path, side: str = "data") -> PreparedSet:
    """A set that a run was trained on, where it is still what it was.

    Args:
        run: its folder.
        side: the section of its config: `data`, or `inputs`, those that it translates from.

    Raises:
        NotThere: none, or not any more. DataError: it is damaged.
    """
    said = config_of(run).get(side)
    section: dict[str, Any] = said if isinstance(said, dict) else {}
    place = section.get("path")
    if not isinstance(place, str) or not place:
        raise NotThere(f"{run.name}: does not say what {side} it was trained with.")
    if not is_prepared(place):
        raise NotThere(f"{place}: the set that {run.name} was trained on is not there (any more).")
    found = PreparedSet(place)
    if found.fingerprint != section.get("fingerprint"):
        raise NotThere(f"{place}: holds another set now than {run.name} was trained on.")
    return found


def stamp_of(checkpoint: Path) -> tuple[Path, int]:
    """A checkpoint's folder and when it was written: another one when its weights are others. NotThere: it is gone."""
    try:
        return checkpoint, (checkpoint / CONFIG).stat().st_mtime_ns
    except OSError:
        raise NotThere(f"{checkpoint.name}: is not there any more.", "Choose another in the list.") from None


def config_of(run: Path) -> dict[str, Any]:
    """What a run or an exported model says of itself, with sections `recipe` and `data`; empty where unreadable."""
    for file in (run / RECORD, run / CONFIG):
        try:
            found = file.stat()
        except OSError:
            continue
        said = _config_in(file.absolute(), found.st_mtime_ns, found.st_size)
        if said is not None:
            sections = {key: said.get(key) for key in ("recipe", "data")}
            return {**said, **{key: part if isinstance(part, dict) else {} for key, part in sections.items()}}
    return {"recipe": {}, "data": {}}


# A page asks for those of all runs, and reading YAML takes milliseconds. By time and size, as files are rewritten.
@lru_cache(maxsize=1024)
def _config_in(file: Path, written: int, size: int) -> dict[str, Any] | None:
    if size > MAX_CONFIG_BYTES:
        return None
    try:
        found = json.loads(file.read_bytes()) if file.name == CONFIG else read_yaml(file.read_bytes(), RECORD)
    except (OSError, ValueError, yaml.YAMLError, GantoolsError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def takes_of(model: object) -> str | None:
    """What a system starts from; None for one of somebody else's, whose code is not run for a list."""
    from gantools.models import NAMES, find_system

    return find_system(model).takes if isinstance(model, str) and model in NAMES else None


def weights_hash(checkpoint: Path) -> str:
    """SHA-256 of the files of weights in a checkpoint or model, by the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(checkpoint.glob("*.safetensors")):
        digest.update(file.name.encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _runs_in(place: Path) -> Iterator[Path]:
    if any((place / name).exists() for name in (RECORD, STATS, CHECKPOINTS)) or _is_model(place):
        yield place
    else:
        yield from list_runs(place)
        inner = place.iterdir() if place.is_dir() else ()  # it may be deleted meanwhile
        yield from sorted(path for path in inner if path.is_dir() and _is_model(path))


def _is_model(path: Path) -> bool:
    try:
        found = json.loads((path / CONFIG).read_bytes()) if (path / CONFIG).is_file() else None
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == EXPORTED


def _named(paths: Iterable[Path]) -> dict[str, Path]:
    """Folders by their names; of several of one name the later ones are numbered."""
    found: dict[str, Path] = {}
    for path in paths:
        name, number = path.absolute().name, 2
        while name in found:
            name, number = f"{path.absolute().name}~{number}", number + 1
        found[name] = path
    return found
