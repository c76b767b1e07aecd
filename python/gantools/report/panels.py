"""Which charts a report has, of one run or of several laid over each other; drawn by the page and by figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from gantools.metrics.registry import METRICS
from gantools.report.curves import Band, Curve, Mark, points_of
from gantools.report.record import Record

#: Charts of further figures at most.
FURTHER = 16
#: What the discriminator says, in a group of its own.
OUTPUTS = ("real_score", "fake_score", "discriminator_score")
#: Of a line of statistics, what is drawn elsewhere or is no curve.
PLAIN = ("nimg", "kimg", "epoch", "step", "seconds", "stage")


@dataclass(frozen=True)
class Panel:
    """One chart: `curves` over kimg, `marks` on the axis, a line at `level`; smoothed, raw faint below, or as it is."""

    title: str
    curves: list[Curve]
    marks: list[Mark]
    level: float | None = None
    smoothed: bool = True
    dots: bool = False


@dataclass(frozen=True)
class Group:
    """Charts under one heading, words before them, and after them how they were measured and what is wrong with it."""

    title: str
    words: str
    panels: list[Panel]
    after: list[str]
    warning: str = ""


def numbered(records: Sequence[Record]) -> list[tuple[Record, Mark]]:
    """The signs of trouble of all runs, numbered through; of several runs each in the style of its run."""
    found = [(i, record, mark) for i, record in enumerate(records) for mark in record.signs]
    style = (lambda i: i) if len(records) > 1 else (lambda i: None)
    return [(record, replace(mark, number=n, style=style(i))) for n, (i, record, mark) in enumerate(found, 1)]


def groups(records: Sequence[Record]) -> list[Group]:
    """Losses, what the discriminator says, scores, learning rates, samples; those of which there is something."""
    keys = _keys(records)
    metrics = list(dict.fromkeys(metric for record in records for metric in record.metrics))
    made = [
        _group(
            "Losses",
            "Raw faint, smoothed over it. Losses of a GAN do not measure the quality of its images.",
            records,
            [key for key in keys if key.startswith("loss_")],
        ),
        _group(
            "What the discriminator says",
            "Means over real and generated images, and the mean of both; where they are probabilities, 0.5 is a draw.",
            records,
            [key for key in OUTPUTS if key in keys],
        ),
        *(_score(records, metric) for metric in metrics),
        _group("Learning rates", "", records, [key for key in keys if key.startswith("lr_")], smoothed=False),
        _group(
            "Samples",
            "How much they differ, of what real images do; which share has a twin.",
            records,
            [key for key in ("sample_diversity", "sample_duplicates") if key in keys],
        ),
    ]
    return [group for group in made if group.panels]


def further(records: Sequence[Record]) -> tuple[list[Panel], int]:
    """Charts of speed, memory and all other figures, one each, and how many of these are left out."""
    keys = _keys(records)
    metrics = [metric for record in records for metric in record.metrics]
    speed: list[str] = [key for key in ("img_per_s", "peak_memory_mib") if key in keys]
    samples = ("sample_diversity", "sample_duplicates")
    shown = {*OUTPUTS, *metrics, *speed, *samples, *PLAIN}
    others = [key for key in keys if key not in shown and not key.startswith(("loss_", "lr_"))]
    others = [key for key in others if any(points_of(record.lines, key) for record in records)]
    panels = [panel for key in [*speed, *others[:FURTHER]] if (panel := _panel(records, [key], True, key)) is not None]
    return panels, max(0, len(others) - FURTHER)


def _keys(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for record in records for line in record.lines for key in line))


def _group(title: str, words: str, records: Sequence[Record], keys: list[str], smoothed: bool = True) -> Group:
    """One chart of all keys for one run, one a key for several."""
    make = partial(_panel, records, smoothed=smoothed)
    made = [make(keys, title=title)] if len(records) == 1 else [make([key], title=key) for key in keys]
    return Group(title, words, [panel for panel in made if panel is not None], [])


def _panel(records: Sequence[Record], keys: Sequence[str], smoothed: bool, title: str) -> Panel | None:
    one = len(records) == 1
    ends = _ends(records)
    drawn = [
        Curve(key if one else record.name, points, j if one else i, end="" if one else ends[i])
        for i, record in enumerate(records)
        for j, key in enumerate(keys)
        if (points := points_of(record.lines, key))
    ]
    values = [y for curve in drawn for _, y in curve.points]
    if not values:
        return None
    about = any(key in OUTPUTS or key == "discriminator_accuracy" for key in keys)
    level = 0.5 if about and min(values) >= 0 and max(values) <= 1 else None
    return Panel(title, drawn, _marks(records), level, smoothed)


def _marks(records: Sequence[Record]) -> list[Mark]:
    """Events on the axis; stages of one run alone, as of several they would not say whose they are."""
    stages = records[0].stages if len(records) == 1 else []
    return [*stages, *(mark for _, mark in numbered(records))]


def _ends(records: Sequence[Record]) -> list[str]:
    """What differs in the names of several runs, short enough for the end of a curve: `00003` of 00003-dcgan-blobs."""
    if len(records) < 2:
        return [""] * len(records)
    words = [record.name.split("-") for record in records]
    while all(len(parts) > 1 for parts in words) and len({parts[-1] for parts in words}) == 1:
        words = [parts[:-1] for parts in words]
    return ["-".join(parts) for parts in words]


def _score(records: Sequence[Record], metric: str) -> Group:
    ends = _ends(records)
    drawn = [
        Curve(record.name if len(records) > 1 else metric, points, i, _band(record, metric), ends[i])
        for i, record in enumerate(records)
        if (points := points_of(record.lines, metric))
    ]
    how = list(dict.fromkeys(_protocol(record, metric) for record in records if metric in record.metrics))
    if any(curve.band for curve in drawn):
        how.append("The band is the interval of 95 % for as many images.")
    ways = {_protocol(record, metric) for record in records if metric in record.metrics}
    warning = "They were measured in different ways and must not be compared." if len(ways) > 1 else ""
    panel = Panel(metric, drawn, _marks(records), smoothed=False, dots=True)
    known = METRICS.get(metric)
    words = "" if known is None else f"{known.name}: {known.better} is better."
    return Group(metric, words, [panel] if drawn else [], how, warning)


def _band(record: Record, metric: str) -> Band:
    """(kimg, low, high) of each line that has an interval of the score."""
    found: Band = []
    for line in record.lines:
        every = line.get("intervals")
        ends = every.get(metric) if isinstance(every, dict) else None
        if isinstance(ends, list) and len(ends) == 2 and metric in line:
            low, high = (float(v) if isinstance(v, int | float) and abs(v) <= 1e300 else None for v in ends)
            if low is not None and high is not None and low <= high:
                found.append((line["nimg"] / 1000, low, high))
    return found


def _protocol(record: Record, metric: str) -> str:
    """How a score was measured last, in the words of its line."""
    for line in reversed(record.lines):
        found = line.get("protocols")
        if metric in line and isinstance(found, dict) and isinstance(found.get(metric), str):
            return str(found[metric])
    return "How it was measured is not known."
