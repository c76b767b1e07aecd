"""A report of scores as one HTML file: numbers, how they were made, pictures; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import html
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import GantoolsError
from gantools.files import atomic_write
from gantools.grid import make_grid
from gantools.metrics.images.open import open_source
from gantools.metrics.images.reader import ImageReader
from gantools.metrics.networks import protocols
from gantools.metrics.networks.protocols import Input
from gantools.metrics.results.scores import Score, Scores
from gantools.metrics.results.words import explain

#: Pictures in a grid, and the side of each in pixels.
GRID, SIDE = 36, 96
#: The resize of thumbnails; no number depends on it.
THUMBNAIL = Input("pillow-lanczos", SIDE, "center")

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1b1b1f;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
td,th{padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}
td.n{font-variant-numeric:tabular-nums;font-weight:600;white-space:nowrap}small,.q{color:#555}
img{max-width:100%;image-rendering:auto}.pair{display:flex;flex-wrap:wrap;gap:1rem}.pair>div{flex:1 1 24rem}
.w{background:#fff6da;border-left:4px solid #d9a400;padding:.4rem .8rem;margin:.4rem 0}svg{max-width:100%}
figure{display:inline-block;margin:.3rem}figcaption{font-size:.8rem;color:#555}
@media(prefers-color-scheme:dark){body{background:#16161a;color:#e6e6ea}td,th{border-color:#333}small,.q,figcaption{color:#aaa}
.w{background:#3a3212}}
"""


def write_report(scores: Scores, samples: Any, ref: Any, file: str | Path) -> Path:
    """Write the report of `scores` as one HTML file, whole or not at all.

    Args:
        scores: from `gantools.score`.
        samples: what was scored, for the pictures.
        ref: what it was scored against, or None for what the scores name; statistics have no pictures.
        file: the file to write.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    ours = _open(samples)
    theirs = _open(ref if ref is not None else scores.reference)
    body = [f"<h1>Scores of {_text(scores.samples)}</h1>", _table(scores)]
    body += [f'<p class="w">{_text(w)}</p>' for w in scores.warnings]
    grids = [("Samples", ours), ("Reference", theirs)]
    pictures = [f"<div><h2>{title}</h2>{_grid(source)}</div>" for title, source in grids if source is not None]
    body.append(f'<div class="pair">{"".join(pictures)}</div>')
    for score in scores:
        if score.details.get("nearest") and ours is not None and theirs is not None:
            body.append(_nearest(score, ours, theirs))
        if score.details.get("points"):
            body.append(_points(score))
        if score.details.get("histogram"):
            body.append(_histogram(score))
        if score.details.get("worst"):
            body.append(_worst(score))
    body.append(_made(scores))
    words = "".join(f"<li>{_text(sentence)}</li>" for sentence in explain(scores))
    body.append(f"<h2>In words</h2><ul>{words}</ul>")
    data = json.dumps(scores.to_dict(), indent=1, allow_nan=False)
    body.append(f"<details><summary>JSON</summary><pre>{_text(data)}</pre></details>")
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>gantools score</title><style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as f:
        f.write(page.encode())
    return path


def _text(value: object) -> str:
    return html.escape(str(value))


def _open(images: Any) -> ImageReader | None:
    """The images, or None where there are none to show."""
    if images is None:
        return None
    try:
        return open_source(images)
    except (GantoolsError, TypeError):
        return None


def _number(value: float | None) -> str:
    return "none" if value is None else "infinite" if math.isinf(value) else f"{value:.6g}"


def _table(scores: Scores) -> str:
    rows = ["<tr><th>score</th><th>value</th><th>interval</th><th></th></tr>"]
    for s in scores:
        interval = ""
        if s.interval is not None:
            i = s.interval
            interval = f"{_number(i.low)} … {_number(i.high)} <small>{100 * i.level:g} %</small>"
        notes = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in _plain(s).items())
        rows.append(
            f'<tr><td>{_text(s.name)} <small>{s.better} is better</small></td><td class="n">{_number(s.value)}</td>'
            f"<td>{interval}</td><td><small>{_text(notes)}</small></td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _plain(score: Score) -> dict[str, Any]:
    return {k: v for k, v in score.details.items() if isinstance(v, str | int | float)}


def _picture(pixels: NDArray[np.uint8], title: str = "") -> str:
    data = base64.b64encode(_native.encode_png(np.ascontiguousarray(pixels))).decode()
    return f'<img alt="{_text(title)}" src="data:image/png;base64,{data}">'


def _thumbnails(source: ImageReader, indices: list[int]) -> list[NDArray[np.uint8]]:
    found = []
    for i in indices:
        (image,) = source.read(i, i + 1, [THUMBNAIL])
        found.append(np.clip(np.round(image[0]), 0, 255).astype(np.uint8))
    return found


def _grid(source: ImageReader) -> str:
    n = min(GRID, len(source))
    try:
        # Spread over the whole set: the first of a folder are often of one class.
        images = _thumbnails(source, np.linspace(0, len(source) - 1, n).astype(int).tolist())
    except GantoolsError as e:
        return f"<p>{_text(e.message)}</p>"
    return _picture(make_grid(np.stack(images), math.ceil(math.sqrt(n))), source.label)


def _nearest(score: Score, ours: ImageReader, theirs: ImageReader) -> str:
    figures = []
    for sample, near, distance in score.details["nearest"]:
        try:
            pair = np.concatenate([_thumbnails(ours, [sample])[0], _thumbnails(theirs, [near])[0]], 1)
        except (GantoolsError, IndexError) as e:
            return f"<p>{_text(e)}</p>"
        caption = f"sample {sample}, reference {near}: {distance:.4g}"
        figures.append(f"<figure>{_picture(pair, caption)}<figcaption>{caption}</figcaption></figure>")
    return f"<h2>Samples nearest to the reference</h2><p class='q'>Left the sample.</p>{''.join(figures)}"


def _points(score: Score) -> str:
    """The points and the line of an extrapolation."""
    points = [(1 / n, value) for n, value in score.details["points"]]
    slope, intercept = score.details["slope"], float(score)
    width, height, margin = 480, 200, 40
    top = max([v for _, v in points] + [intercept])
    low = min([v for _, v in points] + [intercept])
    right = max(x for x, _ in points)
    span = (top - low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return margin + x / right * (width - 2 * margin), height - margin - (y - low) / span * (height - 2 * margin)

    dots = "".join('<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="#3b6fd4"/>'.format(*place(x, y)) for x, y in points)
    (x0, y0), (x1, y1) = place(0, intercept), place(right, intercept + slope * right)
    line = f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="#d4553b"/>'
    plain = 'font-size="11" fill="currentColor"'
    label = f'<text x="{x0:.1f}" y="{y0 - 6:.1f}" {plain}>{_number(intercept)}</text>'
    axis = f'<text x="{width - margin}" y="{height - 12}" text-anchor="end" {plain}>1 / n</text>'
    drawn = f"{line}{dots}{label}{axis}"
    return f'<h2>{_text(score.name)}</h2><svg viewBox="0 0 {width} {height}" width="{width}">{drawn}</svg>'


def _histogram(score: Score) -> str:
    """Two histograms over the same bins: of the samples filled, of the reference as a line."""
    found = score.details["histogram"]
    width, height, margin = 480, 160, 24
    sides = [np.array(found[k], float) for k in ("samples", "reference") if k in found]
    shares = [side / max(side.sum(), 1.0) for side in sides]
    top = max(float(s.max()) for s in shares) or 1.0
    bins = len(shares[0])
    step = (width - 2 * margin) / bins
    tall = height - 2 * margin
    bars = "".join(
        f'<rect x="{margin + i * step:.1f}" y="{height - margin - s / top * tall:.1f}" width="{step:.1f}" '
        f'height="{s / top * tall:.1f}" fill="#3b6fd4" opacity=".55"/>'
        for i, s in enumerate(shares[0])
    )
    line = ""
    if len(shares) > 1:
        points = " ".join(
            f"{margin + (i + 0.5) * step:.1f},{height - margin - s / top * tall:.1f}" for i, s in enumerate(shares[1])
        )
        line = f'<polyline points="{points}" fill="none" stroke="#d4553b" stroke-width="2"/>'
    ends = "".join(
        f'<text x="{x}" y="{height - 6}" font-size="11" text-anchor="{anchor}" fill="currentColor">{value:.4g}</text>'
        for x, anchor, value in (
            (margin, "start", found["low"]),
            (width - margin, "end", found["high"]),
        )
    )
    return (
        f"<h2>{_text(found['what'])}</h2><p class='q'>Filled: samples; line: reference.</p>"
        f'<svg viewBox="0 0 {width} {height}" width="{width}">{bars}{line}{ends}</svg>'
    )


def _worst(score: Score) -> str:
    rows = "".join(
        "<tr>" + "".join(f"<td>{_text(f'{v:.5g}' if isinstance(v, float) else v)}</td>" for v in row) + "</tr>"
        for row in score.details["worst"]
    )
    return f"<h2>{_text(score.name)}: worst first</h2><table>{rows}</table>"


def _made(scores: Scores) -> str:
    rows: list[tuple[str, object]] = [("samples", f"{scores.n_samples:,} images, {scores.samples}")]
    if scores.reference is not None:
        n = "an unstated number of" if scores.n_reference is None else f"{scores.n_reference:,}"
        rows += [("reference", f"{n} images, {scores.reference}"), ("", scores.reference_id)]
    for p in sorted({s.protocol for s in scores if s.protocol is not None}, key=lambda p: (p.name, p.layer)):
        rows.append((f"protocol {p.name}", protocols.words(p.name)))
        rows.append(("features", f"{p.extractor} {p.layer}, {p.dims:,} wide, weights sha256 {p.weights_sha256}"))
    rows.append(("computed", f"batch {scores.batch}, {scores.device}, seed {scores.seed}"))
    rows.append(("versions", ", ".join(f"{k} {v}" for k, v in scores.versions.items())))
    for side, found in scores.inputs.items():
        rows.append((f"files of the {side}", json.dumps(found)))
    cells = "".join(f"<tr><td>{_text(k)}</td><td>{_text(v)}</td></tr>" for k, v in rows)
    return f"<h2>How they were made</h2><table>{cells}</table>"
