"""Parts of a report as HTML; every name and value from a file is escaped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from gantools.grid import make_grid
from gantools.page import picture, scrolling, text
from gantools.recipes import recipe_names
from gantools.recipes.recipe import load_recipe
from gantools.recipes.strict import differences
from gantools.report import grids as grids_of
from gantools.report.curves import Curve, Mark, chart, points_of
from gantools.report.record import Record
from gantools.report.verdict import best_of, verdict
from gantools.runs.checkpoint import versions
from gantools.runs.folders import RECORD
from gantools.runs.table import Row

#: What the table in the page has at most; all rows are in the CSV file.
ROWS = 120
#: Charts of further figures.
FURTHER = 16
#: Keys of a recipe for people.
WORDS = ("name", "description", "source", "target", "prep")
#: Of a line of statistics, what is drawn elsewhere or is no curve.
PLAIN = ("nimg", "kimg", "epoch", "step", "seconds", "stage")

STYLE = (
    ".wide,.scroll{overflow-x:auto}td,pre{overflow-wrap:anywhere}.verdict{font-size:1.1rem;overflow-wrap:anywhere}"
    ".wide td,.wide th{white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums}"
    "summary{cursor:pointer;padding:.3rem 0}pre{white-space:pre-wrap;background:#8881;padding:.6rem}"
)


def head(records: Sequence[Record]) -> str:
    """Title, verdicts and notes."""
    names = ", ".join(record.name for record in records)
    parts = [f"<h1>{text(names)}</h1>"]
    for record in records:
        found = verdict(record)
        of = f"{text(record.name)}: " if len(records) > 1 else ""
        written = f" <small>Last tick written {text(record.written)}.</small>" if record.written else ""
        parts.append(f'<p class="verdict">{of}<b>{text(found.word)}</b>. {text(found.sentence)}{written}</p>')
        parts += [f'<p class="w">{of}{text(note)}</p>' for note in record.notes]
    return "".join(parts)


def curves(records: Sequence[Record]) -> str:
    """All charts: those of one run by kind of figure; of several runs one a figure, a style a run."""
    keys = list(dict.fromkeys(key for record in records for line in record.lines for key in line))
    losses = [key for key in keys if key.startswith("loss_")]
    outputs: list[str] = [key for key in ("real_score", "fake_score", "discriminator_score") if key in keys]
    metrics = list(dict.fromkeys(metric for record in records for metric in record.metrics))
    rates = [key for key in keys if key.startswith("lr_")]
    samples: list[str] = [key for key in ("sample_diversity", "sample_duplicates") if key in keys]
    speed: list[str] = [key for key in ("img_per_s", "peak_memory_mib") if key in keys]
    parts = [
        _group(
            "Losses",
            "Raw faint, smoothed over it. Losses of a GAN do not measure the quality of its images.",
            records,
            losses,
        ),
        _group(
            "What the discriminator says",
            "Means over real and generated images, and the mean of both; where they are probabilities, 0.5 is a draw.",
            records,
            outputs,
        ),
        "".join(_score(records, metric) for metric in metrics),
        signs(records),
        _group("Learning rates", "", records, rates, smoothed=False),
        _group("Samples", "How much they differ, of what real images do; which share has a twin.", records, samples),
    ]
    shown = {*losses, *outputs, *metrics, *rates, *samples, *speed, *PLAIN}
    further = [key for key in keys if key not in shown and any(points_of(r.lines, key) for r in records)]
    charts = "".join(_panel(records, [key], True, key) for key in [*speed, *further[:FURTHER]])
    if charts:
        left = len(further) - FURTHER
        said = f'<p class="q">{left} further figures are not drawn.</p>' if left > 0 else ""
        parts.append(f"<details><summary>Speed, memory and further figures</summary>{charts}{said}</details>")
    return "".join(parts)


def _group(title: str, words: str, records: Sequence[Record], keys: list[str], smoothed: bool = True) -> str:
    """A heading and charts: one of all keys for one run, one a key for several."""
    if len(records) == 1:
        charts = _panel(records, keys, smoothed, title)
    else:
        charts = "".join(_panel(records, [key], smoothed, key) for key in keys)
    note = f'<p class="q">{text(words)}</p>' if words else ""
    return f"<h2>{text(title)}</h2>{note}{charts}" if charts else ""


def _panel(records: Sequence[Record], keys: Sequence[str], smoothed: bool, title: str) -> str:
    one = len(records) == 1
    drawn = [
        Curve(key if one else record.name, points_of(record.lines, key), j if one else i)
        for i, record in enumerate(records)
        for j, key in enumerate(keys)
    ]
    values = [y for curve in drawn for _, y in curve.points]
    about = any(key in ("real_score", "fake_score", "discriminator_score", "discriminator_accuracy") for key in keys)
    level = 0.5 if about and values and min(values) >= 0 and max(values) <= 1 else None
    made = chart(title, drawn, _marks(records), level, smoothed)
    heading = f"<h3>{text(title)}</h3>" if made and (not one or title in keys) else ""
    return heading + made


def _marks(records: Sequence[Record]) -> list[Mark]:
    """Events on the axis; of several runs none, as they would not say whose they are."""
    return [*records[0].stages, *records[0].signs] if len(records) == 1 else []


def _score(records: Sequence[Record], metric: str) -> str:
    drawn = [Curve(record.name, points_of(record.lines, metric), i) for i, record in enumerate(records)]
    made = chart(metric, drawn, _marks(records), smoothed=False)
    how = list(dict.fromkeys(_protocol(record, metric) for record in records if metric in record.metrics))
    warn = ""
    if len(how) > 1:
        warn = '<p class="w">They were measured in different ways and must not be compared.</p>'
    said = "".join(f'<p class="q">{text(words)}</p>' for words in how)
    return f"<h2>{text(metric)}</h2>{made}{said}{warn}" if made else ""


def _protocol(record: Record, metric: str) -> str:
    """How a score was measured last, in the words of its line."""
    for line in reversed(record.lines):
        found = line.get("protocols")
        if metric in line and isinstance(found, dict) and isinstance(found.get(metric), str):
            return str(found[metric])
    return "How it was measured is not known."


def signs(records: Sequence[Record]) -> str:
    """What went wrong and when, with the numbers that the charts have."""
    rows = [
        f"<tr><td>{mark.number}</td><td>{text(record.name)}</td><td>{mark.kimg:.9g} kimg</td>"
        f"<td>{text(mark.words)}</td></tr>"
        for record in records
        for mark in record.signs
    ]
    heads = "<tr><th>number</th><th>run</th><th>since</th><th>what</th></tr>"
    return f"<h2>Signs of trouble</h2><table>{heads}{''.join(rows)}</table>" if rows else ""


def grids(records: Sequence[Record]) -> str:
    """All grids under one slider, real images beside them."""
    n = len(records)
    found = [grids_of.list_grids(record.folder) for record in records]
    shown = [
        grids_of.frames(record.name, grids, max(4, grids_of.MOST // n), grids_of.BUDGET // n)
        for record, grids in zip(records, found, strict=True)
    ]
    real: dict[str, str] = {}
    for record in records:
        of = str(record.section("data").get("fingerprint"))
        if record.real is not None and of not in real:
            title = f"Real images of {record.section('data').get('name')}"
            image = picture(make_grid(record.real), title)
            real[of] = f'<div class="real"><p class="q">{text(title)}, spread over the set.</p>{image}</div>'
    both = [*filter(None, shown), *real.values()]
    if not both:
        return ""
    slide = grids_of.slider() if any('class="frames"' in part for part in shown) else ""
    return f'<h2>Samples by kimg</h2>{slide}<div class="pair">{"".join(both)}</div>'


def facts(records: Sequence[Record]) -> str:
    """Speed, memory, device, precision and versions, a column a run."""
    named = [("run", [record.name for record in records])]
    said = {
        "recipe": _recipe,
        "data": _data,
        "shown": _shown,
        "best": _scores,
        "time": _time,
        "speed": _speed,
        "memory": _memory,
        "device": _device,
        "versions": _versions,
    }
    named += [(title, [get(record) for record in records]) for title, get in said.items()]
    cells = "".join(
        f"<tr><th>{title}</th>{''.join(f'<td>{text(v)}</td>' for v in values)}</tr>" for title, values in named
    )
    return f"<h2>How it ran</h2>{scrolling('scroll', 'How it ran', f'<table>{cells}</table>')}"


def _recipe(record: Record) -> str:
    recipe = record.section("recipe")
    return f"{recipe.get('name', 'unknown')} ({recipe.get('model', 'unknown')}), seed {recipe.get('seed', 'unknown')}"


def _data(record: Record) -> str:
    data = record.section("data")
    count = data.get("count")
    n = f"{count:,} images" if isinstance(count, int) else "an unknown number of images"
    return f"{data.get('name', 'unknown')}, {n}, fingerprint {data.get('fingerprint', 'unknown')}"


def _shown(record: Record) -> str:
    if not record.lines:
        return "nothing yet"
    last = record.lines[-1]
    epochs = last.get("epoch")
    return f"{last['nimg'] / 1000:.9g} kimg" + (f", {epochs:.2f} epochs" if isinstance(epochs, int | float) else "")


def _scores(record: Record) -> str:
    found = (
        (metric, best_of(metric, points)) for metric in record.metrics if (points := points_of(record.lines, metric))
    )
    return ", ".join(f"{metric} {y:.4g} at {x:.9g} kimg" for metric, (x, y) in found) or "no score was measured"


def _time(record: Record) -> str:
    found = points_of(record.lines, "seconds")
    return f"{found[-1][1] / 60:,.1f} minutes" if found else "unknown"


def _speed(record: Record) -> str:
    found = [y for _, y in points_of(record.lines, "img_per_s")]
    return f"{float(np.median(found)):,.0f} images a second (median of the ticks)" if found else "unknown"


def _memory(record: Record) -> str:
    found = [y for _, y in points_of(record.lines, "peak_memory_mib")]
    return f"{max(found):,.0f} MiB of the device at most" if found else "not measured on this device"


def _device(record: Record) -> str:
    last = record.lines[-1] if record.lines else record.config
    words = [str(last.get("device", "unknown")), str(last.get("precision", ""))]
    return ", ".join(filter(None, [*words, "compiled" if last.get("compiled") is True else ""]))


def _versions(record: Record) -> str:
    return ", ".join(f"{k} {v}" for k, v in record.section("versions").items()) or "unknown"


def table(tables: Sequence[tuple[Record, list[Row]]]) -> str:
    """Figures by epoch, those of a report beside; of long runs every so many rows."""
    parts = []
    for record, rows in tables:
        if not rows:
            continue
        some = rows
        if len(rows) > ROWS:
            some = [rows[i] for i in sorted({round(i) for i in np.linspace(0, len(rows) - 1, ROWS)})]
        names = list(rows[0])
        cells = ["".join(f"<th>{text(name.replace('_', ' '))}</th>" for name in names)]
        cells += ["".join(f"<td>{_figure(row.get(name))}</td>" for name in names) for row in some]
        said = f'<p class="q">{len(some)} of {len(rows):,} rows, evenly chosen.</p>' if len(some) < len(rows) else ""
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        of = f": {record.name}" if len(tables) > 1 else ""
        parts.append(
            f"<details><summary>Figures by epoch{text(of)}</summary>{said}"
            f"{scrolling('wide', f'Figures by epoch{of}', f'<table>{body}</table>')}</details>"
        )
    return "".join(parts)


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, int | float) else text(value)


def recipes(records: Sequence[Record]) -> str:
    """Each run's recipe as what is another than in the recipe of gantools it is called after, and as a whole."""
    parts = []
    for i, record in enumerate(records):
        recipe = record.section("recipe")
        if not recipe:
            continue
        of = f" of {text(record.name)}" if len(records) > 1 else ""
        parts.append(f"<h2>Recipe{of}</h2>")
        name = recipe.get("name")
        if isinstance(name, str) and name in recipe_names():
            parts.append(_difference(load_recipe(name).to_dict(), recipe, f"the recipe {name} of gantools"))
        else:
            parts.append('<p class="q">It is called after no recipe of gantools.</p>')
        if i:
            parts.append(_difference(records[0].section("recipe"), recipe, f"that of {records[0].name}"))
        whole = json.dumps(recipe, indent=1, ensure_ascii=False, default=str)
        parts.append(f"<details><summary>All of it</summary><pre>{text(whole)}</pre></details>")
    return "".join(parts)


def _difference(before: dict[str, Any], after: dict[str, Any], than: str) -> str:
    absent = object()

    def cell(value: Any) -> str:
        return "(none)" if value is absent else text(json.dumps(value, ensure_ascii=False, default=str))

    rows = [
        f"<tr><td>{text(key)}</td><td>{cell(old)}</td><td>{cell(new)}</td></tr>"
        for key, old, new in differences(before, after, absent)
        if key not in WORDS
    ]
    if not rows:
        return f'<p class="q">The same as {text(than)}.</p>'
    return (
        f'<p class="q">What is another than in {text(than)}.</p>'
        f"<table><tr><th>key</th><th>there</th><th>here</th></tr>{''.join(rows)}</table>"
    )


def commands(records: Sequence[Record]) -> str:
    """What to type to make it again and to go on from it."""
    lines = []
    for record in records:
        run = shlex.quote(str(record.folder))
        path = record.section("data").get("path")
        again = shlex.quote(str(record.folder / RECORD))
        lines += [
            f"# {record.name}: train it again, make images, look at its figures",
            f"gantools train {again} --data {shlex.quote(path)}"
            if isinstance(path, str)
            else f"gantools train {again}",
            f"gantools sample {run}",
            f"gantools info {run}",
        ]
    said = ", ".join(f"{k} {v}" for k, v in versions().items())
    return f"<h2>Commands</h2><pre>{text(chr(10).join(lines))}</pre><p class='q'>This page: {text(said)}.</p>"
