"""The charts of a report as figures for papers, by matplotlib."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantools.errors import ConfigError
from gantools.files import atomic_write
from gantools.page import DASHES, LIGHT
from gantools.report.curves import Curve, smooth, thin
from gantools.report.panels import Panel, further, groups
from gantools.report.record import Record

#: Widths of a column and of a page, in cm, and the height of a figure as a share of its width.
COLUMN, PAGE = 8.3, 17.0
_RATIO = 0.62
#: Points of text, and dots per inch of a PNG.
POINTS, DPI = 8, 300
#: What a file of ours says of itself.
CREATOR = "gantools report"
_DRAWN = {
    "font.size": POINTS,
    "axes.titlesize": POINTS,
    "axes.labelsize": POINTS,
    "xtick.labelsize": POINTS,
    "ytick.labelsize": POINTS,
    "legend.fontsize": POINTS,
    "font.family": "sans-serif",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 5),
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.usetex": False,
    "text.parse_math": False,
}


def check_matplotlib() -> None:
    """Raises ConfigError where it is not installed."""
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise ConfigError(
            "figures need matplotlib, which is not installed.", "Type: pip install 'gantools[figures]'"
        ) from None


def write_png(folder: Path, records: Sequence[Record], width: float) -> list[Path]:
    """Write each chart as `NAME.png` of `width` cm into a folder, which is made; each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with _settings():
        for name, figure in _figures(records, width):
            path = folder / f"{name}.png"
            with atomic_write(path) as f:
                figure.savefig(f, format="png", dpi=DPI, metadata={"Software": CREATOR})
            files.append(path)
    return files


def write_pdf(file: Path, records: Sequence[Record], width: float) -> Path:
    """Write all charts as one PDF file, a page each of `width` cm, its text as text; whole or not at all."""
    pages = importlib.import_module("matplotlib.backends.backend_pdf").PdfPages
    file.parent.mkdir(parents=True, exist_ok=True)
    said = {"Creator": CREATOR, "CreationDate": None, "Title": ", ".join(record.name for record in records)}
    # The settings to the end: the fonts are written when the file is closed.
    with _settings(), atomic_write(file) as f, pages(f, metadata=said) as pdf:
        for _, figure in _figures(records, width):
            pdf.savefig(figure)
    return file


def names(records: Sequence[Record]) -> list[str]:
    """What the figures are called: letters, digits, `-` and `_`."""
    return [name for name, _ in _named(records)]


def _named(records: Sequence[Record]) -> list[tuple[str, Panel]]:
    panels = [panel for group in groups(records) for panel in group.panels] + further(records)[0]
    found: dict[str, Panel] = {}
    for panel in panels:
        plain = re.sub(r"[^a-z0-9_]+", "-", panel.title.lower()).strip("-") or "figure"
        name, n = plain, 2
        while name in found:
            name, n = f"{plain}-{n}", n + 1
        found[name] = panel
    return list(found.items())


def _figures(records: Sequence[Record], width: float) -> Iterator[tuple[str, Any]]:
    """Name and matplotlib's Figure of each chart."""
    make = importlib.import_module("matplotlib.figure").Figure
    for name, panel in _named(records):
        figure = make(figsize=(width / 2.54, width * _RATIO / 2.54), layout="constrained")
        _draw(figure.add_subplot(), panel)
        yield name, figure


@contextmanager
def _settings() -> Iterator[None]:
    """The defaults of matplotlib, not the reader's own, with ours over them."""
    matplotlib = importlib.import_module("matplotlib")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({key: value for key, value in _DRAWN.items() if key in matplotlib.rcParams})
        yield


def _draw(axes: Any, panel: Panel) -> None:
    if panel.level is not None:
        axes.axhline(panel.level, color="black", linewidth=0.6, linestyle=(0, (3, 3)))
    for curve in panel.curves:
        colour = LIGHT[curve.style % len(LIGHT)]
        if curve.band:
            xs, lows, highs = zip(*curve.band, strict=True)
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.2, linewidth=0)
        if panel.smoothed:
            axes.plot(*zip(*thin(curve.points), strict=True), color=colour, alpha=0.3, linewidth=0.5)
        shown = thin(smooth(curve.points)) if panel.smoothed else thin(curve.points)
        marker = "o" if len(shown) == 1 else None
        axes.plot(
            *zip(*shown, strict=True),
            color=colour,
            linewidth=1.2,
            linestyle=_dashes(curve),
            marker=marker,
            markersize=3,
            label=_plain(curve.end or curve.label),
        )
    inside = [x for curve in panel.curves for x, _ in curve.points]
    for mark in panel.marks:
        if min(inside) <= mark.kimg <= max(inside):
            colour = "#d9a400" if mark.style is None else LIGHT[mark.style % len(LIGHT)]
            line = (
                {"color": colour, "linewidth": 0.8} if mark.number is not None else {"color": "0.6", "linewidth": 0.5}
            )
            axes.axvline(mark.kimg, zorder=0, **line)
    axes.set_xlabel("kimg (1,000 images shown)")
    axes.set_ylabel(_plain(panel.title))
    axes.grid(axis="y", linewidth=0.4, alpha=0.25)
    axes.margins(x=0.01)
    if len(panel.curves) > 1:
        axes.legend(frameon=False, handlelength=2.4)


def _dashes(curve: Curve) -> Any:
    dash = DASHES[curve.style % len(DASHES)]
    return "solid" if dash == "none" else (0, tuple(float(part) / 2 for part in dash.split()))


def _plain(words: str) -> str:
    """Words that matplotlib takes for no formula, and for no label that is hidden."""
    short = words if len(words) <= 40 else f"{words[:39]}…"
    return short.lstrip("_").replace("$", r"\$") or "?"
