"""Curves as SVG: thinned without losing a spike, smoothed, on axes with events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantools.page import DASHES, LIGHT, scrolling, text, ticks

Points = list[tuple[float, float]]

#: Points of a curve that are drawn at most; more than there are columns of pixels.
MOST = 1000
#: Points up to which each is marked by a dot.
DOTS = 60
#: Of the points, after how many what was counts half in a smoothed curve.
HALF = 0.02
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 250, 62, 150, 18, 40
#: Rows of text at the ends of curves do not come nearer than this.
LABEL = 13

STYLE = (
    ".chart{overflow-x:auto}.chart svg{width:100%;min-width:34rem;max-width:none;display:block}"
    ".chart text{font-size:11px;fill:currentColor}.chart .raw{opacity:.3;stroke-width:1}"
    ".chart .smooth{stroke-width:2}.axis{stroke:currentColor;fill:none}"
    ".grid{stroke:currentColor;opacity:.12}.level{stroke:currentColor;stroke-dasharray:3 3;opacity:.7}"
    ".event{stroke:#d9a400;stroke-width:1.5}.stage{stroke:currentColor;opacity:.4;stroke-dasharray:1 3}"
    ".k{margin-right:.3rem}.legend span{margin-right:1.2rem;white-space:nowrap}"
    ".legend{font-size:.85rem;overflow-wrap:anywhere}"
    + "".join(f".s{i}{{stroke:var(--C{i});fill:none}}.f{i}{{fill:var(--C{i})}}" for i in range(len(LIGHT)))
    + "".join(f".d{i}{{stroke-dasharray:{dash}}}" for i, dash in enumerate(DASHES))
    + "@media print{.chart{overflow:visible}.chart svg{min-width:0}}"
)


@dataclass(frozen=True)
class Curve:
    """One curve: what it is called, its points (kimg, value) in the order of kimg, and which style it has."""

    label: str
    points: Points
    style: int = 0

    @property
    def classes(self) -> str:
        """Of its stroke: colours first, then dashes, so that 20 differ."""
        return f"s{self.style % len(LIGHT)} d{self.style % len(DASHES)}"


@dataclass(frozen=True)
class Mark:
    """Something that happened at `kimg`: a warning (with a number, under which a list has it), or a new stage."""

    kimg: float
    words: str
    number: int | None = None


def points_of(lines: Sequence[Mapping[str, Any]], key: str) -> Points:
    """(kimg, value) of each line that has a number called `key`."""
    found = ((line["nimg"] / 1000, line.get(key)) for line in lines)
    return [(x, float(y)) for x, y in found if isinstance(y, int | float) and not isinstance(y, bool)]


def thin(points: Points, most: int = MOST) -> Points:
    """At most `most` of the points, in their order: the first, the last, and of each stretch the least and largest."""
    if len(points) <= most:
        return points
    stretches = (most - 2) // 2
    kept = {0, len(points) - 1}
    for i in range(stretches):
        part = range(i * len(points) // stretches, (i + 1) * len(points) // stretches)
        kept |= {min(part, key=lambda k: points[k][1]), max(part, key=lambda k: points[k][1])}
    return [points[k] for k in sorted(kept)]


def smooth(points: Points) -> Points:
    """The moving average of the values, in which what was counts half after `HALF` of all points (and one at least).

    m_t = b m_{t-1} + (1 - b) y_t, divided by 1 - b^t: without a bias to 0 at the beginning, as in Kingma and Ba 2015
    (arXiv:1412.6980), section 3.
    """
    decay = 0.5 ** (1 / max(1.0, HALF * len(points)))
    mean, weight, smoothed = 0.0, 0.0, []
    for x, y in points:
        mean = decay * mean + (1 - decay) * y
        weight = decay * weight + (1 - decay)
        smoothed.append((x, mean / weight))
    return smoothed


def chart(
    title: str, curves: Sequence[Curve], marks: Sequence[Mark] = (), level: float | None = None, smoothed: bool = True
) -> str:
    """Curves over kimg on one pair of axes, with a legend below; nothing where no curve has a point.

    Args:
        title: what is drawn.
        curves: raw, faint, and smoothed over it, its name and last value at its end.
        marks: vertical lines.
        level: a value that is marked by a horizontal line.
        smoothed: False: the raw curve alone, not faint; for figures of which there are few.
    """
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return ""
    every = [point for curve in curves for point in curve.points]
    first, last = _apart(min(x for x, _ in every), max(x for x, _ in every))
    values = [y for _, y in every] + ([] if level is None else [level])
    low, high = _apart(min(values), max(values))

    def x_of(kimg: float) -> float:
        return LEFT + (kimg - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y_of(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    drawn = _axes(first, last, low, high, x_of, y_of)
    if level is not None:
        drawn.append(f'<path class="level" d="M{LEFT},{y_of(level):.1f}H{WIDTH - RIGHT}"/>')
    for mark in marks:
        if first <= mark.kimg <= last:
            kind = "stage" if mark.number is None else "event"
            words = f"<title>{text(f'{mark.kimg:.9g} kimg: {mark.words}')}</title>"
            drawn.append(f'<path class="{kind}" d="M{x_of(mark.kimg):.1f},{TOP}V{y_of(low):.1f}">{words}</path>')
            if mark.number is not None:
                drawn.append(f'<text x="{x_of(mark.kimg):.1f}" y="{TOP - 5}" text-anchor="middle">{mark.number}</text>')
    ends = []
    for curve in curves:
        shown = thin(smooth(curve.points)) if smoothed else thin(curve.points)
        if smoothed:
            drawn.append(_line(thin(curve.points), f"raw s{curve.style % len(LIGHT)}", x_of, y_of))
        drawn.append(_line(shown, f"smooth {curve.classes}", x_of, y_of))
        if len(curve.points) <= DOTS and (not smoothed or len(curve.points) == 1):
            drawn += [_dot(x_of(x), y_of(y), curve.style, f"{x:.9g} kimg: {y:.6g}") for x, y in curve.points]
        ends.append((y_of(shown[-1][1]), curve))
    drawn += _labels(ends)
    legend = "".join(
        f'<span><svg class="k" viewBox="0 0 28 8" width="28" height="8" aria-hidden="true">'
        f'<path class="smooth {curve.classes}" stroke-width="2" d="M0,4H28"/></svg>{text(curve.label)} '
        f"{curve.points[-1][1]:.4g}</span>"
        for curve in curves
    )
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}"'
    svg = f"<svg {box}>{''.join(drawn)}</svg>"
    return f'{scrolling("chart", f"Curves: {title}", svg)}<p class="legend">{legend}</p>'


def _apart(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis that is not empty, also where all values are one."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    room = max(0.5, 0.05 * abs(low)) if low or high else 0.5
    return low - room, high + room


def _axes(first: float, last: float, low: float, high: float, x_of: Any, y_of: Any) -> list[str]:
    bottom, right = y_of(low), WIDTH - RIGHT
    drawn = [f'<path class="axis" d="M{LEFT},{TOP}V{bottom:.1f}H{right}"/>']
    for at in ticks(first, last, 6):
        drawn.append(f'<path class="axis" d="M{x_of(at):.1f},{bottom:.1f}v4"/>')
        drawn.append(f'<text x="{x_of(at):.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{at:.6g}</text>')
    for at in ticks(low, high, 5):
        drawn.append(f'<path class="grid" d="M{LEFT},{y_of(at):.1f}H{right}"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y_of(at) + 4:.1f}" text-anchor="end">{at:.6g}</text>')
    middle = (LEFT + right) / 2
    drawn.append(f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">kimg (1,000 images shown)</text>')
    return drawn


def _line(points: Points, classes: str, x_of: Any, y_of: Any) -> str:
    places = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
    return f'<polyline class="{classes}" points="{places}"/>'


def _dot(x: float, y: float, style: int, words: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="2.5"'
    return f'<circle class="f{style % len(LIGHT)}" {place}><title>{text(words)}</title></circle>'


def _labels(ends: Sequence[tuple[float, Curve]]) -> list[str]:
    """Names at the ends of curves, moved apart so that none covers another; those without room are in the legend."""
    drawn, free = [], float(TOP)
    for y, curve in sorted(ends, key=lambda end: end[0]):
        at = max(y, free)
        if at > HEIGHT - 4:
            break
        free = at + LABEL
        name = curve.label if len(curve.label) <= 20 else f"{curve.label[:19]}\u2026"
        drawn.append(f'<text class="end" x="{WIDTH - RIGHT + 6}" y="{at + 4:.1f}">{text(name)}</text>')
    return drawn
