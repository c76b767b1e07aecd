"""A report of scores as one HTML file: numbers, how they were made, pictures; nothing is loaded from elsewhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.errors import GantoolsError
from gantools.grid import make_grid
from gantools.metrics.images.open import open_source
from gantools.metrics.images.reader import ImageReader
from gantools.metrics.networks import protocols
from gantools.metrics.networks.protocols import Input
from gantools.metrics.results.details import detail_words, input_words, number
from gantools.metrics.results.scores import Score, Scores
from gantools.metrics.results.words import explain
from gantools.page import picture, text, ticks, write_page

#: Pictures in a grid, and the side of each in pixels.
GRID, SIDE = 36, 96
#: The resize of thumbnails; no number depends on it.
THUMBNAIL = Input("pillow-lanczos", SIDE, "center")


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
    body = [f"<h1>Scores of {text(scores.samples)}</h1>", _table(scores)]
    body += [f'<p class="w">{text(w)}</p>' for w in scores.warnings]
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
            body.append(_worst(score, ours, theirs))
    body.append(_made(scores))
    words = "".join(f"<li>{text(sentence)}</li>" for sentence in explain(scores))
    body.append(f"<h2>In words</h2><ul>{words}</ul>")
    return write_page(file, "gantools score", body)


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
    rows = ["<tr><th>score</th><th>value</th><th>interval</th><th>how</th></tr>"]
    for s in scores:
        interval = ""
        if s.interval is not None:
            i = s.interval
            interval = f"{_number(i.low)} … {_number(i.high)} <small>{100 * i.level:g} %</small>"
        notes = ", ".join(detail_words(s))
        rows.append(
            f'<tr><td>{text(s.name)} <small>{s.better} is better</small></td><td class="n">{_number(s.value)}</td>'
            f"<td>{interval}</td><td><small>{text(notes)}</small></td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


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
        return f"<p>{text(e.message)}</p>"
    return picture(make_grid(np.stack(images), math.ceil(math.sqrt(n))), source.label)


def _called(source: ImageReader, i: int) -> str:
    """What an image is called, else its place."""
    names = source.names
    return f"image {i:,}" if names is None else names[i]


def _pair(ours: ImageReader, i: int, theirs: ImageReader, j: int, words: str) -> str:
    """Two images side by side, their names and some words under them."""
    names = f"{_called(ours, i)} | {_called(theirs, j)}"
    image = picture(np.concatenate([_thumbnails(ours, [i])[0], _thumbnails(theirs, [j])[0]], 1), names)
    a, b = text(_called(ours, i)), text(_called(theirs, j))
    return (
        f'<figure>{image}<figcaption><span class="l">{a}</span><span class="r">{b}</span><br>{text(words)}'
        "</figcaption></figure>"
    )


def _nearest(score: Score, ours: ImageReader, theirs: ImageReader) -> str:
    try:
        figures = [
            _pair(ours, sample, theirs, near, "an exact copy" if distance == 0 else f"distance {number(distance)}")
            for sample, near, distance in score.details["nearest"]
        ]
    except (GantoolsError, IndexError) as e:
        return f"<p>{text(e)}</p>"
    head = "<h2>Samples nearest to the reference</h2><p class='q'>Left the sample, right the reference.</p>"
    return head + "".join(figures)


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
    return f'<h2>{text(score.name)}</h2><svg viewBox="0 0 {width} {height}" width="{width}">{drawn}</svg>'


def _histogram(score: Score) -> str:
    """Two histograms over the same bins, with their scales: of the samples filled, of the reference as a line."""
    found = score.details["histogram"]
    low, high = float(found["low"]), float(found["high"])
    width, height, left, right, top, bottom = 560, 240, 56, 16, 28, 44
    sides = [np.array(found[k], float) for k in ("samples", "reference") if k in found]
    shares = [100 * side / max(side.sum(), 1.0) for side in sides]
    highest = max(float(s.max()) for s in shares) or 1.0
    bins = len(shares[0])

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    def y(share: float) -> float:
        return height - bottom - share / highest * (height - top - bottom)

    edges = np.linspace(low, high, bins + 1).tolist()
    step = x(edges[1]) - x(edges[0])
    bars = "".join(
        f'<rect x="{x(edge):.1f}" y="{y(s):.1f}" width="{step:.1f}" height="{y(0) - y(s):.1f}" fill="#3b6fd4" '
        'opacity=".55"/>'
        for edge, s in zip(edges, shares[0], strict=False)
    )
    line = ""
    if len(shares) > 1:
        points = " ".join(f"{x(edge) + step / 2:.1f},{y(s):.1f}" for edge, s in zip(edges, shares[1], strict=False))
        line = f'<polyline points="{points}" fill="none" stroke="#d4553b" stroke-width="2"/>'
    axes = f'<path d="M{left},{top}V{y(0):.1f}H{width - right}" fill="none" stroke="currentColor"/>'
    plain = 'font-size="11" fill="currentColor"'
    for at in ticks(low, high):
        axes += f'<path d="M{x(at):.1f},{y(0):.1f}v4" stroke="currentColor"/>'
        axes += f'<text class="x" x="{x(at):.1f}" y="{y(0) + 16:.1f}" text-anchor="middle" {plain}>{at:.6g}</text>'
    for at in ticks(0, highest, 4):
        axes += f'<path d="M{left},{y(at):.1f}h-4" stroke="currentColor"/>'
        axes += f'<text class="y" x="{left - 7}" y="{y(at) + 4:.1f}" text-anchor="end" {plain}>{at:.6g} %</text>'
    what = str(found["what"])
    axes += f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle" {plain}>{text(what)}</text>'
    axes += f'<text x="4" y="14" {plain}>share of the images</text>'
    legend = "Filled: samples; line: reference." if len(shares) > 1 else "Filled: samples."
    return (
        f"<h2>{text(score.name)}: {text(what[:1].lower() + what[1:])}</h2><p class='q'>{legend}</p>"
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img">{bars}{line}{axes}</svg>'
    )


def _worst(score: Score, ours: ImageReader | None, theirs: ImageReader | None) -> str:
    """The worst classes, images or pairs, by name; images and pairs with their pictures where these are there."""
    rows = score.details["worst"]
    by_class = len(rows[0]) == 4
    heads = ("class", "distance", "samples", "reference images") if by_class else ("image", score.name)
    cells = ["".join(f"<th>{text(head)}</th>" for head in heads)]
    cells += ["".join(f"<td>{text(_cell(value))}</td>" for value in row) for row in rows]
    table = f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
    pictures = "" if by_class or ours is None else _pictures_of(score, ours, theirs)
    return f"<h2>{text(score.name)}: worst first</h2>{table}{pictures}"


def _pictures_of(score: Score, ours: ImageReader, theirs: ImageReader | None) -> str:
    """The images or pairs that are named; nothing where a name says no place, or a picture cannot be read."""
    names = ours.names
    place = {str(name): i for i, name in enumerate(names if names is not None else range(len(ours)))}
    places = [place.get(str(name)) for name, _ in score.details["worst"]]
    paired = theirs is not None and "pairs" in score.details
    figures = []
    try:
        for i, (_, value) in zip(places, score.details["worst"], strict=True):
            if i is None:
                return ""
            if paired and theirs is not None:
                j = i if theirs.names is None or names is None else theirs.names.index(names[i])
                figures.append(_pair(ours, i, theirs, j, _cell(value)))
            else:
                image = picture(_thumbnails(ours, [i])[0], _called(ours, i))
                words = f"{text(_called(ours, i))}<br>{text(_cell(value))}"
                figures.append(f"<figure>{image}<figcaption>{words}</figcaption></figure>")
    except (GantoolsError, IndexError, ValueError):
        return ""
    left = "<p class='q'>Left the sample, right its target.</p>" if paired else ""
    return left + "".join(figures)


def _cell(value: object) -> str:
    """A name or a number; no number is that of a pair of equal images."""
    if value is None:
        return "infinite (equal images)"
    return f"{value:.5g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _made(scores: Scores) -> str:
    rows: list[tuple[str, object]] = [("samples", f"{scores.n_samples:,} images, {scores.samples}")]
    if scores.reference is not None:
        n = "an unstated number of" if scores.n_reference is None else f"{scores.n_reference:,}"
        rows += [("reference", f"{n} images, {scores.reference}"), ("", scores.reference_id)]
    for p in sorted({s.protocol for s in scores if s.protocol is not None}, key=lambda p: (p.name, p.layer)):
        said = protocols.words(p.name)
        named = "" if said == p.name or p.name.startswith("own:") else f" (protocol {p.name})"
        rows.append(("images become the input of the network by", said + named))
        rows.append(
            (
                "features",
                f"{p.layer} of the network {p.extractor}, {p.dims:,} wide; sha256 of the weights {p.weights_sha256}",
            )
        )
    seed = "each score's own seed" if scores.seed is None else f"seed {scores.seed}"
    rows.append(("computed", f"{scores.batch} images a forward pass on {scores.device}, {seed}"))
    rows.append(("versions", ", ".join(f"{k} {v}" for k, v in scores.versions.items())))
    for side, found in scores.inputs.items():
        if isinstance(found, dict) and (said := input_words(found)):
            rows.append((f"files of the {side}", said))
    cells = "".join(f"<tr><td>{text(k)}</td><td>{text(v)}</td></tr>" for k, v in rows)
    return f"<h2>How they were made</h2><table>{cells}</table>"
