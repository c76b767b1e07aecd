"""The page Scores: what runs were measured by while they were trained, and results of `gantools score --json`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from gantools.errors import ConfigError, DataError, GantoolsError
from gantools.metrics.registry import METRICS
from gantools.metrics.results.scores import FORMAT
from gantools.metrics.results.words import PARTS, explain_difference, read_result
from gantools.runs.folders import RECORD
from gantools.runs.layout import CHECKPOINTS, checkpoint_nimg
from gantools.runs.stats import LARGEST, STATS, read_sound
from gantools.runs.table import as_csv
from gantools.studio.answers import Answer, Route, download, told
from gantools.studio.query import Query
from gantools.studio.shelf import NotThere, Shelf, config_of

#: Files of results that are looked for in a folder, and bytes of one.
FILES, BYTES = 200, 4 << 20
#: Where they lie: in a folder itself, and in this one in it.
FOLDER = "scores"
#: Scores side by side at most.
BESIDE = 6
#: Of the table as comma-separated values.
COLUMNS = ("of", "metric", "value", "low", "high", "better", "kimg", "n", "protocol", "reference", "group", "source")
#: How a training says that it measured: `inception pool3, tf; 1,000 images, seed 0, against set:NAME@FINGERPRINT`.
_HOW = re.compile(r"(?:(?P<protocol>[^;]+); )?(?P<n>[\d,]+) images, seed (?P<seed>\d+)(?:, against (?P<reference>.+))?")
_FEATURES = re.compile(r"(?P<extractor>\S+) (?P<layer>.+), (?P<name>[^,]+)")


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        of: the run it was measured in, or what was scored.
        source: `training`, or the file it is from.
        metric: its key.
        value: the number; None: infinite.
        better: `lower` or `higher`.
        kimg: of the checkpoint, where that is known.
        low, high: its interval, where it has one.
        protocol: how images became features, in words; "": from pixels, or not known.
        reference: what it was compared with; "": nothing, or not known.
        n: images that were scored.
        best: whether it is the best of a training.
        last: whether it is the latest of a training.
        group: numbers of one group were measured in the same way.
        result: what `explain_difference` reads, as far as it is known.
    """

    of: str
    source: str
    metric: str
    value: float | None
    better: str
    kimg: float | None = None
    low: float | None = None
    high: float | None = None
    protocol: str = ""
    reference: str = ""
    n: int | None = None
    best: bool = False
    last: bool = False
    group: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A short name that stays."""
        words = "\0".join((self.of, self.source, self.metric, str(self.kimg)))
        return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    @property
    def way(self) -> tuple[str, str, str, int | None]:
        """What must be equal for two numbers to compare."""
        return self.metric, self.protocol, self.reference, self.n

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {"id": self.id, **{key: value for key, value in vars(self).items() if key != "result"}}


_trained: WeakKeyDictionary[Shelf, dict[Path, tuple[tuple[int, ...], list[Row]]]] = WeakKeyDictionary()


def collect(shelf: Shelf) -> tuple[list[Row], list[str]]:
    """All scores on the shelf, and what could not be read."""
    rows: list[Row] = []
    notes: list[str] = []
    for name, path in reversed(shelf.runs().items()):
        try:
            rows += _of_training(shelf, name, path)
        except OSError:
            notes.append(f"{name}: its scores cannot be read.")
    for file in _files(shelf, notes):
        try:
            rows += _of_file(file)
        except DataError as e:
            notes.append(e.message)
    return _grouped(rows), notes


def _of_training(shelf: Shelf, name: str, path: Path) -> list[Row]:
    kept = _trained.setdefault(shelf, {})
    stamp = tuple(
        number
        for file in (path / STATS, path / RECORD)
        if file.is_file()
        for number in (file.stat().st_mtime_ns, file.stat().st_size)
    )
    if path not in kept or kept[path][0] != stamp:
        kept[path] = (stamp, list(_measured(path)))
    return [replace(row, of=name) for row in kept[path][1]]


def _measured(path: Path) -> Iterator[Row]:
    """The scores of a training, from its lines, as far as they are whole."""
    asked = config_of(path)["recipe"].get("eval")
    metrics = asked.get("metrics") if isinstance(asked, dict) else None
    names = [name for name in metrics if isinstance(name, str)] if isinstance(metrics, list) else []
    lines = read_sound(path / STATS)[0] if names else []
    for metric in dict.fromkeys(names):
        better = _better(metric)
        found = []
        for line in lines:
            value = line.get(metric)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            protocols = line.get("protocols")
            how = protocols.get(metric) if isinstance(protocols, dict) else None
            protocol, reference, n, result = _how(metric, value, how if isinstance(how, str) else "")
            low, high = _interval(line, metric)
            kimg = line["nimg"] / 1000
            row = Row("", "training", metric, float(value), better, kimg, low, high, protocol, reference, n)
            found.append(replace(row, result=result))
        if found:
            best = (min if better == "lower" else max)(found, key=lambda row: row.value or 0.0)
            for row in found:
                yield replace(row, best=row is best, last=row is found[-1])


def _interval(line: Mapping[str, Any], metric: str) -> tuple[float | None, float | None]:
    """The interval of a score, where a line of a training has it."""
    found = line.get("intervals")
    pair = found.get(metric) if isinstance(found, dict) else None
    try:
        low, high = pair or (None, None)
        return (None, None) if pair is None else (_finite(low), _finite(high))
    except (TypeError, ValueError):
        return None, None


def _how(metric: str, value: float, words: str) -> tuple[str, str, int | None, dict[str, Any]]:
    """Protocol, reference, number of images, and what `explain_difference` reads of it."""
    found = _HOW.fullmatch(words)
    if found is None:
        return words or "not known", "", None, {"scores": [{"key": metric, "value": value}]}
    n, reference = int(found["n"].replace(",", "")), found["reference"] or ""
    features = _FEATURES.fullmatch(found["protocol"] or "")
    score: dict[str, Any] = {"key": metric, "value": value}
    if features is not None:
        score["protocol"] = features.groupdict()
    result: dict[str, Any] = {"scores": [score], "n_samples": n}
    if reference:
        result |= {"reference_id": reference, "reference": _short(reference)}
    return found["protocol"] or "", reference, n, result


def _files(shelf: Shelf, notes: list[str]) -> Iterator[Path]:
    """Files that may be results: beside runs, in runs, here, and in folders called `scores` there; each once."""
    places = [*shelf.places, *shelf.runs().values(), Path()]
    seen: set[Path] = set()
    for folder in (inner for place in places for inner in (place, place / FOLDER)):
        try:
            found = sorted(file for file in folder.glob("*.json") if file.is_file() and file.stat().st_size <= BYTES)
        except OSError:
            continue
        if len(found) > FILES:
            notes.append(f"{folder}: {len(found):,} files; the first {FILES} were looked at.")
        for file in found[:FILES]:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _of_file(file: Path) -> list[Row]:
    """The scores of a file; none where it is something else.

    Raises:
        DataError: it is a result of gantools, and damaged.
    """
    try:
        with file.open("rb") as f:
            if FORMAT.encode() not in f.read(200):
                return []
        result = read_result(file)
        return [_row(file, result, one) for one in result["scores"]]
    except (OSError, DataError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise DataError(f"{file}: damaged, so it is left out.") from None


def _row(file: Path, result: dict[str, Any], one: dict[str, Any]) -> Row:
    value, interval, protocol = one["value"], one.get("interval"), one.get("protocol")
    way = "" if protocol is None else "{extractor} {layer}, {name}".format(**protocol)
    n = result["n_samples"]
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError
    of, kimg = _of(str(result["samples"]))
    return Row(
        of,
        str(file),
        str(one["key"]),
        None if value is None else _finite(value),
        "higher" if one.get("better") == "higher" else "lower",
        kimg,
        low=None if interval is None else _finite(interval["low"]),
        high=None if interval is None else _finite(interval["high"]),
        protocol=way,
        reference=str(result.get("reference_id") or ""),
        n=n,
        result={**result, "scores": [one]},
    )


def _of(samples: str) -> tuple[str, float | None]:
    """What was scored: of a checkpoint the run's name and its kimg, of anything else its path alone."""
    path = Path(samples)
    if path.parent.name != CHECKPOINTS:
        return samples, None
    try:
        return path.parent.parent.name, checkpoint_nimg(path) / 1000
    except (GantoolsError, ValueError):
        return samples, None


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise TypeError
    return float(value)


def _better(metric: str) -> str:
    found = METRICS.get(PARTS.get(metric, metric))
    return "higher" if found is not None and found.better == "higher" else "lower"


def _grouped(rows: list[Row]) -> list[Row]:
    """Rows with letters of their groups, where a metric was measured in several ways."""
    ways: dict[str, dict[tuple[Any, ...], str]] = {}
    for row in rows:
        of = ways.setdefault(row.metric, {})
        of.setdefault(row.way, _letters(len(of)))
    several = {metric for metric, of in ways.items() if len(of) > 1}
    return [replace(row, group=ways[row.metric][row.way]) if row.metric in several else row for row in rows]


def _letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(65 + digit) + text
    return text


def _short(reference: str) -> str:
    """A reference without most of its fingerprint."""
    return re.sub(r"([0-9a-f]{8})[0-9a-f]+$", r"\1", reference)


def scores(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """All rows and what to know of them; of a training the best and the last of a score or, with `all`, every one."""
    every = query.switch("all")
    query.done()
    rows, notes = collect(shelf)
    several = [
        f"{metric} was measured in {len(ways)} ways (column way): compare within a letter alone."
        for metric in dict.fromkeys(row.metric for row in rows)
        if len(ways := {row.way for row in rows if row.metric == metric}) > 1
    ]
    shown = [row for row in rows if every or row.source != "training" or row.best or row.last]
    return told(
        {"rows": [row.told() for row in shown], "hidden": len(rows) - len(shown), "warn": several, "notes": notes}
    )


def beside(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """Chosen rows side by side, and why their numbers must not be compared where they must not."""
    ids = [name for name in query.text("ids").split(",") if name]
    query.done()
    if not 2 <= len(ids) <= BESIDE or len(set(ids)) != len(ids):
        raise ConfigError(f"ids: from 2 to {BESIDE} scores go side by side, not {len(ids)}.")
    known = {row.id: row for row in collect(shelf)[0]}
    missing = [name for name in ids if name not in known]
    if missing:
        raise NotThere(f"score {missing[0]!r}: is not there (any more).", "Choose others in the table.")
    rows = [known[name] for name in ids]
    return told({"rows": [row.told() for row in rows], "warn": differences(rows)})


def differences(rows: list[Row]) -> list[str]:
    """Why numbers must not be compared, a sentence each, the numbers of the rows in it from 1."""
    found: dict[str, list[str]] = {}
    for (i, a), (j, b) in combinations(enumerate(rows, 1), 2):
        for sentence in _differ(a, b):
            found.setdefault(sentence, []).append(f"{i} and {j}")
    return [f"{', '.join(pairs)}: {sentence}" for sentence, pairs in found.items()]


def _differ(a: Row, b: Row) -> list[str]:
    if a.metric != b.metric:
        return [f"{a.metric} and {b.metric} are different scores."]
    unknown = [row for row in (a, b) if row.n is None]
    said = ["how one of them was measured is not known."] if unknown else []
    # Of what one of them does not say, nothing can be told apart.
    x, y = (dict(row.result) for row in (a, b))
    both = x.keys() & y.keys()
    x, y = ({key: value for key, value in one.items() if key in both} for one in (x, y))
    for one, other in ((x, y), (y, x)):
        one["scores"] = [_shared(one["scores"][0], other["scores"][0])]
    return said + explain_difference(x, y)


def _shared(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What both say of a score."""
    kept = {key: value for key, value in one.items() if key in other}
    way, way_of_other = one.get("protocol"), other.get("protocol")
    if isinstance(way, dict) and isinstance(way_of_other, dict):
        kept["protocol"] = {key: value for key, value in way.items() if key in way_of_other}
    return kept


def table(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """All scores as comma-separated values."""
    every = query.switch("all")
    query.done()
    columns = (
        "of",
        "metric",
        "value",
        "low",
        "high",
        "better",
        "kimg",
        "n",
        "protocol",
        "reference",
        "group",
        "source",
    )
    rows = [row for row in collect(shelf)[0] if every or row.source != "training" or row.best or row.last]
    text = as_csv([{name: getattr(row, name) for name in columns} for row in rows])
    return download(text.encode("utf-8", "replace"), "text/csv; charset=utf-8", "scores.csv")


ROUTES: dict[str, Route] = {
    "/api/scores": Route(scores),
    "/api/scores/beside": Route(beside),
    "/save/scores.csv": Route(table),
}
