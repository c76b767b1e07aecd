"""The page Train: trainings while they run, read from what they leave on disk.

What is asked for again and again answers with a word, not an error, where a run is gone: it may be deleted at any time.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from gantools import _native
from gantools.report.grids import list_grids, read_whole
from gantools.runs.checkpoint import best_checkpoint
from gantools.runs.folders import RECORD
from gantools.runs.stats import STATS, Place, read_on
from gantools.studio.answers import PNG, Answer, NotThere, Route, told
from gantools.studio.query import Query
from gantools.studio.sample import _takes as takes
from gantools.studio.shelf import MODEL, Shelf, config_of

#: Bytes of statistics in an answer, and of the end of a file in which the last tick and score are looked for.
CHUNK, TAIL = 1 << 20, 1 << 18
#: Figures of a run that are drawn, and grids that are listed, at most.
FIGURES, GRIDS = 200, 2000
#: Seconds after its last tick in which a run may be between two ticks: a minute, or so many times the last one took.
QUIET, TICKS = 60.0, 3.0
#: Seconds within which a run has its first tick.
FIRST = 900.0
#: Significant digits of what is drawn.
DIGITS = 7
#: Of a line, what is no figure to be drawn.
PLAIN = ("nimg", "kimg", "epoch", "step", "seconds")
#: All that is said of a run that is not there any more.
GONE = {"gone": True}

State = Literal["running", "ended", "stopped"]
Stamp = tuple[int, int, int]


def runs(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """How every run stands, newest first."""
    query.done()
    found = []
    for name, path in reversed(shelf.runs().items()):
        try:
            checkpoints = list(shelf.checkpoints(path))
            if checkpoints != [MODEL]:
                found.append({"run": name, **_standing(path), "checkpoints": checkpoints})
        except OSError:  # deleted while it is looked at
            continue
    return told(found)


def _standing(path: Path) -> dict[str, Any]:
    stats, record = path / STATS, path / RECORD
    said = _said(path, _stamp(stats), _stamp(record))
    best = best_checkpoint(path)
    kimg, target, speed = said["kimg"], said["target"], said["speed"]
    touched = [file.stat().st_mtime for file in (stats, record, path / "grids") if file.exists()]
    age = max(0.0, time.time() - max(touched)) if touched else None
    state = _state(kimg, target, age, said["tick"])
    left = (target - kimg) * 1000 / speed if state == "running" and target is not None and kimg and speed else None
    return {
        **{key: value for key, value in said.items() if key != "tick"},
        "state": state,
        "left": left,
        "best": best and {"checkpoint": f"{best.nimg / 1000:.10g}", "metric": best.metric, "value": best.value},
    }


def _state(kimg: float | None, target: float | None, age: float | None, tick: float | None) -> State:
    """How a run stands.

    Args:
        kimg: thousands of images shown at its last tick; None: it had none yet.
        target: thousands of images after which it ends.
        age: seconds since something was written.
        tick: seconds that the last tick took.
    """
    if kimg is not None and target is not None and kimg >= target:
        return "ended"
    patience = FIRST if kimg is None or tick is None else max(QUIET, TICKS * tick)
    return "running" if age is not None and age < patience else "stopped"


def _stamp(file: Path) -> Stamp | None:
    """What changes when a file does; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(512)
def _said(path: Path, stats: Stamp | None, record: Stamp | None) -> dict[str, Any]:
    """What files of these stamps say of a run, all of it plain values."""
    config = config_of(path)
    recipe, data = config["recipe"], config["data"]
    lines: list[dict[str, Any]] = []
    if stats is not None:
        lines = read_on(path / STATS, Place(stats[0], max(0, stats[1] - TAIL)), TAIL).lines
    last = lines[-1] if lines else {}
    metrics = _metrics(recipe)
    score = next(
        (
            {"metric": metric, "value": line[metric], "kimg": line["nimg"] / 1000}
            for line in reversed(lines)
            for metric in metrics
            if _number(line.get(metric)) is not None
        ),
        None,
    )
    seconds = [at for line in lines[-2:] if (at := _number(line.get("seconds"))) is not None]
    again = [
        str(recipe.get("name") or "RECIPE"),
        *(["--data", data["path"]] if isinstance(data.get("path"), str) else []),
    ]
    return {
        "recipe": str(recipe.get("name", "")),
        "model": str(recipe.get("model", "")),
        "data": str(data.get("name", "")),
        "classes": len(classes) if isinstance(classes := data.get("classes"), list) else 0,
        "kimg": last["nimg"] / 1000 if last else None,
        "target": _target(recipe, data),
        "speed": _number(last.get("img_per_s")),
        "device": str(last.get("device", "")),
        "tick": seconds[-1] - (seconds[-2] if len(seconds) > 1 else 0.0) if seconds else None,
        "score": score,
        "metrics": metrics,
        "latents": takes(recipe.get("model")) == "latents",
        "again": shlex.join(["gantools", "train", *again]),
        "resume": shlex.join(["gantools", "train", "--resume", str(path)]),
    }


def _metrics(recipe: Mapping[str, Any]) -> list[str]:
    asked = recipe.get("eval")
    names = asked.get("metrics") if isinstance(asked, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _target(recipe: Mapping[str, Any], data: Mapping[str, Any]) -> float | None:
    """Thousands of images after which a training ends."""
    kimg, epochs, count = (_number(value) for value in (recipe.get("kimg"), recipe.get("epochs"), data.get("count")))
    if kimg is not None:
        return kimg
    return epochs * count / 1000 if epochs is not None and count is not None else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None


def live(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """What a run wrote since it was asked for last: figures as columns, its grids.

    A place in its statistics is told by `inode`, `offset` and `nimg`, all of them from the last answer. `again`: what
    was read before is to be forgotten. `more`: ask again at once. Of longer runs several answers are needed, each of
    `CHUNK` bytes of the file.
    """
    name = query.text("run")
    place = Place(
        query.integer("inode", 0, (1 << 64) - 1, 0),
        query.integer("offset", 0, 1 << 53, 0),
        query.integer("nimg", -1, 1 << 53, -1),
    )
    query.done()
    try:
        path = shelf.run(name)
    except NotThere:
        return told(GONE)
    try:
        part = read_on(path / STATS, place, CHUNK)
    except OSError:  # none yet
        return told({"lines": 0, "again": True, "more": False, "damaged": 0, **_place(Place()), **_grids(path)})
    return told(
        {
            "lines": len(part.lines),
            "again": part.again,
            "more": part.more,
            "damaged": part.damaged,
            **_place(part.place),
            **columns(part.lines),
            **({} if part.more else _grids(path)),
        }
    )


def _place(place: Place) -> dict[str, Any]:
    # An inode may have more digits than a number in a page.
    return {"inode": str(place.inode), "offset": place.offset, "nimg": place.nimg}


def _grids(path: Path) -> dict[str, Any]:
    return {"grids": [grid.kimg for grid in list_grids(path)[-GRIDS:]]}


def columns(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Lines of statistics as columns, which are a third of their size.

    Returns:
        kimg: of each line. columns: by name, a value a line, None where it has none. bands: by the name of a score, of
        those lines that say between what it lies, [kimg, low, high]. protocols: how each score was measured last.
    """
    lines = list(lines)
    names = list(dict.fromkeys(key for line in lines for key in line if key not in PLAIN))
    found = {name: [_short(line.get(name)) for line in lines] for name in names}
    found = {name: values for name, values in found.items() if any(value is not None for value in values)}
    bands: dict[str, list[list[float]]] = {}
    protocols: dict[str, str] = {}
    for line in lines:
        for metric, ends in _section(line, "intervals").items():
            pair = [end for end in map(_short, ends) if end is not None] if isinstance(ends, list) else []
            if len(pair) == 2:
                bands.setdefault(metric, []).append([line["nimg"] / 1000, *pair])
        protocols |= {key: how for key, how in _section(line, "protocols").items() if isinstance(how, str)}
    return {
        "kimg": [line["nimg"] / 1000 for line in lines],
        "columns": dict(list(found.items())[:FIGURES]),
        "left_out": max(0, len(found) - FIGURES),
        "bands": bands,
        "protocols": protocols,
    }


def _section(line: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = line.get(name)
    return found if isinstance(found, dict) else {}


def _short(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else float(f"{number:.{DIGITS}g}")


def health(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """What came of a run so far, what went wrong and when, and where its stages begin, as its report says it."""
    name = query.text("run")
    query.done()
    try:
        path = shelf.run(name)
        return told(_health(path, _stamp(path / STATS), _stamp(path / RECORD)))
    except (NotThere, OSError):
        return told(GONE)


@lru_cache(64)
def _health(path: Path, stats: Stamp | None, record: Stamp | None) -> dict[str, Any]:
    from gantools.report.record import read_record
    from gantools.report.verdict import verdict

    found = read_record(path, path.name)
    said = verdict(found)
    return {
        "word": said.word,
        "sentence": said.sentence,
        "signs": [{"kimg": mark.kimg, "words": mark.words} for mark in found.signs],
        "now": bool(found.last),
        "stages": [{"kimg": mark.kimg, "words": mark.words} for mark in found.stages],
        "notes": found.notes,
        "real": found.real is not None,
    }


def grid(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The grid that a run wrote at `kimg`; nothing (204) where it is gone, or damaged."""
    name, kimg = query.text("run"), query.number("kimg", 0, 1e12, 0)
    query.done()
    try:
        grids = list_grids(shelf.run(name))
    except NotThere:
        return Answer(b"", PNG, 204)
    file = next((grid.file for grid in grids if abs(grid.kimg - kimg) < 5e-4), None)
    png = None if file is None else read_whole(file)
    return Answer(b"", PNG, 204) if png is None else Answer(png, PNG)


def real(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """Real images of the set that a run was trained on, spread over it; nothing (204) where there are none."""
    name = query.text("run")
    query.done()
    try:
        path = shelf.run(name)
    except NotThere:
        return Answer(b"", PNG, 204)

    def make() -> bytes:
        from gantools.grid import make_grid
        from gantools.report.record import read_record

        images = read_record(path, path.name).real
        return b"" if images is None else _native.encode_png(make_grid(images))

    png = shelf.pictures.get(("real", path, _stamp(path / RECORD)), make)
    return Answer(png, PNG) if png else Answer(b"", PNG, 204)


ROUTES: dict[str, Route] = {
    "/api/train/runs": Route(runs),
    "/api/train/live": Route(live),
    "/api/train/health": Route(health),
    "/train/grid.png": Route(grid),
    "/train/real.png": Route(real),
}
