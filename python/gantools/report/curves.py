"""Curves as SVG: thinned without losing a spike, smoothed, on axes with events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantools.page import DASHES, LIGHT, scrolling, text, ticks

Points = list[tuple[float, float]]
#: (x, low, high).
Band = list[tuple[float, float, float]]

#: Points of a curve that are drawn at most; more than there are columns of pixels.
MOST = 1000
#: Points up to which each is marked by a dot.
DOTS = 60
#: Of the points, after how many what was counts half in a smoothed curve.
HALF = 0.02
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 230, 48, 118, 18, 40
#: Numbers of events nearer than this are written as one.
NUMBER = 16
#: Rows of text at the ends of curves do not come nearer than this.
LABEL = 13

STYLE = (
    ".plot{margin:.4rem 0 1.6rem}.chart{overflow-x:auto}"
    ".chart svg{width:100%;min-width:34rem;max-width:none;display:block;overflow:visible}"
    ".chart text{font-size:10px;fill:var(--QUIET)}.chart .end,.chart .number{fill:var(--FG)}"
    ".chart .number{font-weight:600}"
    ".chart .raw{opacity:.28;stroke-width:.8}.chart .smooth{stroke-width:1.8;stroke-linejoin:round}"
    ".axis{stroke:var(--QUIET);fill:none;stroke-width:.8}.grid{stroke:var(--LINE);stroke-width:.8}"
    ".level{stroke:var(--FG);stroke-dasharray:3 3;opacity:.6}"
    ".event{stroke:#d9a400;stroke-width:1.2}.stage{stroke:var(--QUIET);stroke-dasharray:1 3}"
    ".cross{stroke:var(--FG);opacity:.5;stroke-width:.8}"
    ".k{margin-right:.4rem;vertical-align:middle}.legend span{margin-right:1.4rem;display:inline-block}"
    ".legend{font-size:.85rem;margin:.2rem 0 0;overflow-wrap:anywhere}"
    ".legend b{font-weight:600;font-variant-numeric:tabular-nums;margin-left:.3rem}"
    + "".join(f".s{i}{{stroke:var(--C{i});fill:none}}.f{i}{{fill:var(--C{i})}}" for i in range(len(LIGHT)))
    + ".chart .band{opacity:.18;stroke-width:1}"
    + "".join(f".d{i}{{stroke-dasharray:{dash}}}" for i, dash in enumerate(DASHES))
    + "@media print{.chart{overflow:visible}.chart svg{min-width:0}.plot{break-inside:avoid}}"
)
#: A line at the pointer's kimg in all charts, and in their legends the values there; the last ones without it.
SCRIPT = f"""
(()=>{{const L={LEFT},R={WIDTH - RIGHT},T={TOP},B={HEIGHT - BOTTOM},N='http://www.w3.org/2000/svg';
const places=l=>l.getAttribute('points').split(' ').map(q=>q.split(',').map(Number));
const plots=[...document.querySelectorAll('.plot')].map(p=>{{const s=p.querySelector('.chart svg'),d=s.dataset;
const cross=s.appendChild(document.createElementNS(N,'path')),at=s.appendChild(document.createElementNS(N,'text'));
cross.setAttribute('class','cross');at.setAttribute('text-anchor','middle');at.setAttribute('y',B+28);
const out=[...p.querySelectorAll('.legend b')];
return{{s,cross,at,out,x0:+d.x0,x1:+d.x1,y0:+d.y0,y1:+d.y1,last:out.map(o=>o.textContent),
lines:[...s.querySelectorAll('polyline.smooth')].map(places)}}}});
const clear=()=>plots.forEach(p=>{{p.cross.removeAttribute('d');p.at.textContent='';
p.out.forEach((o,i)=>{{o.textContent=p.last[i]}})}});
const show=k=>plots.forEach(p=>{{const x=L+(k-p.x0)/(p.x1-p.x0)*(R-L);if(!(x>=L-1&&x<=R+1))return;
p.cross.setAttribute('d',`M${{x.toFixed(1)}},${{T}}V${{B}}`);
p.at.setAttribute('x',x);p.at.textContent=+k.toPrecision(4)+' kimg';
p.lines.forEach((l,i)=>{{const q=l.reduce((a,b)=>Math.abs(b[0]-x)<Math.abs(a[0]-x)?b:a);
p.out[i].textContent=+(p.y0+(B-q[1])/(B-T)*(p.y1-p.y0)).toPrecision(3)}})}});
plots.forEach(p=>{{p.s.addEventListener('pointermove',e=>{{const r=p.s.getBoundingClientRect(),
x=(e.clientX-r.left)/r.width*{WIDTH};clear();if(x>=L&&x<=R)show(p.x0+(x-L)/(R-L)*(p.x1-p.x0))}});
p.s.addEventListener('pointerleave',clear)}})}})();
"""


@dataclass(frozen=True)
class Curve:
    """One curve: what it is called, its points (kimg, value) in the order of kimg, which style it has, the band of its
    intervals (kimg, low, high), and a shorter name for its end."""

    label: str
    points: Points
    style: int = 0
    band: Band = field(default_factory=list)
    end: str = ""

    @property
    def classes(self) -> str:
        """Of its stroke: colours first, then dashes, so that 20 differ."""
        return f"s{self.style % len(LIGHT)} d{self.style % len(DASHES)}"


@dataclass(frozen=True)
class Mark:
    """Something that happened at `kimg`: a warning (with a number, under which a list has it), or a new stage; of
    several runs in the style of the run that it is of."""

    kimg: float
    words: str
    number: int | None = None
    style: int | None = None


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
    title: str,
    curves: Sequence[Curve],
    marks: Sequence[Mark] = (),
    level: float | None = None,
    smoothed: bool = True,
    dots: bool = True,
) -> str:
    """Curves over kimg on one pair of axes, with a legend below; nothing where no curve has a point.

    Args:
        title: what is drawn.
        curves: raw, faint, and smoothed over it, its name and last value at its end.
        marks: vertical lines.
        level: a value that is marked by a horizontal line.
        smoothed: False: the raw curve alone, not faint; for figures of which there are few.
        dots: mark each point of such a curve, where they are few.
    """
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return ""
    every = [point for curve in curves for point in curve.points]
    first, last = _apart(min(x for x, _ in every), max(x for x, _ in every))
    values = [y for _, y in every] + ([] if level is None else [level])
    values += [end for curve in curves for _, *ends in curve.band for end in ends]
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
            kind += "" if mark.style is None else f" s{mark.style % len(LIGHT)}"
            words = f"<title>{text(f'{mark.kimg:.9g} kimg: {mark.words}')}</title>"
            drawn.append(f'<path class="{kind}" d="M{x_of(mark.kimg):.1f},{TOP}V{y_of(low):.1f}">{words}</path>')
    drawn += _numbers([(x_of(m.kimg), m.number) for m in marks if m.number is not None and first <= m.kimg <= last])
    drawn += [_band(curve, x_of, y_of) for curve in curves if curve.band]
    ends = []
    for curve in curves:
        shown = thin(smooth(curve.points)) if smoothed else thin(curve.points)
        if smoothed:
            drawn.append(_line(thin(curve.points), f"raw s{curve.style % len(LIGHT)}", x_of, y_of))
        drawn.append(_line(shown, f"smooth {curve.classes}", x_of, y_of))
        if len(curve.points) <= DOTS and ((dots and not smoothed) or len(curve.points) == 1):
            drawn += [_dot(x_of(x), y_of(y), curve.style, f"{x:.9g} kimg: {y:.6g}") for x, y in curve.points]
        ends.append((y_of(shown[-1][1]), curve))
    drawn += _labels(ends)
    legend = "".join(
        f"<span>{key(curve.style)}{text(curve.label)}<b>{curve.points[-1][1]:.4g}</b></span>" for curve in curves
    )
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}"'
    scales = f'data-x0="{first!r}" data-x1="{last!r}" data-y0="{low!r}" data-y1="{high!r}"'
    svg = f"<svg {box} {scales}>{''.join(drawn)}</svg>"
    return f'<div class="plot">{scrolling("chart", f"Curves: {title}", svg)}<p class="legend">{legend}</p></div>'


def key(style: int | None) -> str:
    """A short line in the style of a curve; nothing for None."""
    if style is None:
        return ""
    return (
        '<svg class="k" viewBox="0 0 28 8" width="28" height="8" aria-hidden="true">'
        f'<path class="{Curve("", [], style).classes}" stroke-width="2" d="M0,4H28"/></svg>'
    )


def _apart(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis that is not empty, also where all values are one."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    room = 0.5 * max(abs(low), abs(high)) or 0.5
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


def _band(curve: Curve, x_of: Any, y_of: Any) -> str:
    """The area between low and high; of one point alone a bar."""
    ends = curve.band
    kept = ends if len(ends) <= MOST else [ends[i * (len(ends) - 1) // (MOST - 1)] for i in range(MOST)]
    there = [f"{x_of(x):.1f},{y_of(high):.1f}" for x, _, high in kept]
    back = [f"{x_of(x):.1f},{y_of(low):.1f}" for x, low, _ in reversed(kept)]
    classes = f"s{curve.style % len(LIGHT)} f{curve.style % len(LIGHT)}"
    return f'<polygon class="band {classes}" points="{" ".join(there + back)}"/>'


def _numbers(events: Sequence[tuple[float, int]]) -> list[str]:
    """Numbers above events; those that would cover each other as one text, as 2-4."""
    drawn: list[str] = []
    group: list[tuple[float, int]] = []

    def close() -> None:
        if group:
            first, last = min(n for _, n in group), max(n for _, n in group)
            every = last - first == len(group) - 1
            words = str(first) if first == last else f"{first}\u2013{last}" if every else f"{first}\u2026"
            middle = (group[0][0] + group[-1][0]) / 2
            drawn.append(f'<text class="number" x="{middle:.1f}" y="{TOP - 5}" text-anchor="middle">{words}</text>')
            group.clear()

    for x, number in sorted(events):
        if group and x - group[-1][0] >= NUMBER:
            close()
        group.append((x, number))
    close()
    return drawn


def _dot(x: float, y: float, style: int, words: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="2.5"'
    return f'<circle class="f{style % len(LIGHT)}" {place}><title>{text(words)}</title></circle>'


def _labels(ends: Sequence[tuple[float, Curve]]) -> list[str]:
    """Names at the ends of curves, moved apart so that none covers another; those without room are in the legend."""
    bottom = HEIGHT - BOTTOM
    kept = sorted(ends, key=lambda end: end[0])[: (bottom - TOP) // LABEL + 1]
    places: list[float] = []
    for y, _ in kept:
        places.append(max(y, places[-1] + LABEL if places else TOP))
    for i in reversed(range(len(places))):  # and back up, from the axis
        places[i] = min(places[i], places[i + 1] - LABEL if i + 1 < len(places) else bottom)
    drawn = []
    for at, (_, curve) in zip(places, kept, strict=True):
        name = curve.end or curve.label
        name = name if len(name) <= 19 else f"{name[:18]}\u2026"
        drawn.append(f'<text class="end" x="{WIDTH - RIGHT + 6}" y="{at + 4:.1f}">{text(name)}</text>')
    return drawn
