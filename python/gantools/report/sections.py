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
from gantools.report import panels
from gantools.report.curves import chart, key, points_of
from gantools.report.panels import Group, Panel
from gantools.report.record import Record
from gantools.report.verdict import best_of, verdict
from gantools.runs.checkpoint import versions
from gantools.runs.folders import RECORD
from gantools.runs.table import Row

#: What the table in the page has at most; all rows are in the CSV file.
ROWS = 120
#: Keys of a recipe for people.
WORDS = ("name", "description", "source", "target", "prep")

#: Of what a verdict's word is a sign.
GOOD, BAD = ("improving",), ("diverged", "collapsed", "discriminator wins", "stands still", "worse")

STYLE = (
    ".wide,.scroll{overflow-x:auto}td,pre{overflow-wrap:anywhere}"
    ".wide td,.wide th{white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums}"
    ".wide table{font-size:.85rem}.scroll th{white-space:nowrap}"
    ".by{margin:0 0 .3rem;font-size:.85rem;color:var(--QUIET)}"
    ".verdict,.tiles div{border:1px solid var(--LINE);border-radius:8px;padding:.6rem .9rem}"
    ".verdict{background:var(--RAISED);padding:.9rem 1.1rem;margin:.6rem 0;overflow-wrap:anywhere}"
    ".verdict p{margin:0}.verdict .of{font-weight:600;margin-bottom:.3rem}"
    ".badge{display:inline-block;border-radius:1rem;padding:.05rem .7rem;margin-right:.5rem;font-weight:600;"
    "font-size:.9rem;background:#e7e7ee;color:#3c3c46}"
    ".good{background:#dff3ea;color:#0a5c41}.bad{background:#fde4df;color:#96200f}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.6rem;margin:.6rem 0 0}"
    ".tiles dt{font-size:.8rem;"
    "color:var(--QUIET)}.tiles dd{margin:0;font-size:1.25rem;font-weight:600;line-height:1.3;"
    "font-variant-numeric:tabular-nums}.tiles small{font-weight:400;font-size:.8rem}"
    "details{border-top:1px solid var(--LINE);margin-top:1rem}summary{cursor:pointer;padding:.6rem 0;font-weight:500}"
    "pre{white-space:pre-wrap;background:var(--RAISED);border:1px solid var(--LINE);border-radius:8px;"
    "padding:.8rem 1rem;font-size:.85rem;line-height:1.5}"
    "@media(prefers-color-scheme:dark){.badge{background:#34343d;color:#d5d5de}.good{background:#12382b;color:#8ce0bb}"
    ".bad{background:#47190f;color:#ffb3a3}}"
    "@media print{.badge,.good,.bad{background:none;color:#000;border:1px solid #000}.verdict,pre{background:none}"
    "summary{list-style:none}details pre{columns:2;border:0;padding:0;font-size:7.5pt}.wide{overflow:visible}"
    ".wide td,.wide th{white-space:normal;font-size:7pt;padding-right:.3rem}}"
)


def head(records: Sequence[Record]) -> str:
    """Title, verdicts, notes, and of one run its main figures."""
    title = records[0].name if len(records) == 1 else f"{len(records)} runs side by side"
    parts = [f'<p class="by">gantools report</p><h1>{text(title)}</h1>']
    for i, record in enumerate(records):
        found = verdict(record)
        of = f'<p class="of">{key(i)}{text(record.name)}</p>' if len(records) > 1 else ""
        said = found.sentence[:1].upper() + found.sentence[1:]
        written = f" <small>Last tick written {text(record.written)}.</small>" if record.written else ""
        kind = "good" if found.word in GOOD else "bad" if found.word in BAD else "plain"
        parts.append(
            f'<div class="verdict">{of}<p><b class="badge {kind}">{text(found.word)}</b>{text(said)}{written}</p></div>'
        )
        whose = f"{text(record.name)}: " if len(records) > 1 else ""
        parts += [f'<p class="w">{whose}{text(note)}</p>' for note in record.notes]
    return "".join(parts) + (_tiles(records[0]) if len(records) == 1 else "")


def _tiles(record: Record) -> str:
    """The figures one looks for first."""
    metric = next(iter(record.metrics), None)
    values = points_of(record.lines, metric) if metric else []
    found: list[tuple[str, str, str]] = []
    if metric and values:
        kimg, best = best_of(metric, values)
        found.append((f"best {metric}", f"{best:.4g}", f"at {kimg:.6g} kimg"))
    if record.lines:
        epochs = record.lines[-1].get("epoch")
        said = f"{epochs:,.1f} epochs" if isinstance(epochs, int | float) else ""
        found.append(("images shown", f"{record.lines[-1]['nimg'] / 1000:,.6g} kimg", said))
    if seconds := points_of(record.lines, "seconds"):
        device = record.lines[-1].get("device")
        found.append(("time", _duration(seconds[-1][1]), f"on {device}" if isinstance(device, str) else ""))
    if speed := points_of(record.lines, "img_per_s"):
        found.append(("speed", f"{float(np.median([y for _, y in speed])):,.0f} img/s", "median of the ticks"))
    cells = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd><dd><small>{text(more)}</small></dd></div>"
        for name, value, more in found
    )
    return f'<dl class="tiles">{cells}</dl>' if cells else ""


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def curves(records: Sequence[Record]) -> str:
    """All charts: those of one run by kind of figure; of several runs one a figure, a style a run."""
    parts = []
    made = panels.groups(records)
    scores = max((i for i, group in enumerate(made) if group.title in records[0].metrics), default=1)
    for i, group in enumerate(made):
        parts.append(_group(group, len(records) == 1))
        if i == scores:
            parts.append(signs(records))
    if len(made) <= scores:
        parts.append(signs(records))
    further, left = panels.further(records)
    if further:
        said = f'<p class="q">{left} further figures are not drawn.</p>' if left else ""
        drawn = "".join(_panel(panel, True) for panel in further)
        parts.append(f"<details><summary>Speed, memory and further figures</summary>{drawn}{said}</details>")
    return "".join(parts)


def _group(group: Group, one: bool) -> str:
    words = f'<p class="q">{text(group.words)}</p>' if group.words else ""
    drawn = "".join(_panel(panel, not one and panel.title != group.title) for panel in group.panels)
    after = "".join(f'<p class="q">{text(said)}</p>' for said in group.after)
    after += f'<p class="w">{text(group.warning)}</p>' if group.warning else ""
    return f"<h2>{text(group.title)}</h2>{words}{drawn}{after}"


def _panel(panel: Panel, headed: bool) -> str:
    made = chart(panel.title, panel.curves, panel.marks, panel.level, panel.smoothed, panel.dots)
    return (f"<h3>{text(panel.title)}</h3>" if headed else "") + made


def signs(records: Sequence[Record]) -> str:
    """What went wrong and when, with the numbers that the charts have; of several runs of all, numbered through."""
    rows = [
        f"<tr><td>{mark.number}</td><td>{key(mark.style)}{text(record.name)}</td><td>{mark.kimg:.9g} kimg</td>"
        f"<td>{text(mark.words)}</td></tr>"
        for record, mark in panels.numbered(records)
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
    named = [("run", [record.name for record in records])] if len(records) > 1 else []
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
        f"<tr><td>{text(name)}</td><td>{cell(old)}</td><td>{cell(new)}</td></tr>"
        for name, old, new in differences(before, after, absent)
        if name not in WORDS
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
