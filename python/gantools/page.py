"""Pages of results: one HTML file that loads nothing from elsewhere, for light, dark, paper and a phone."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.files import atomic_write

#: Colours of lines: at least 3:1 on their background, told apart by colour-blind readers (after Okabe and Ito 2008).
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000")
DARK = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442")
#: The same lines by their dashes.
DASHES = ("none", "7 3", "2 3", "9 3 2 3")


def _variables(colours: Iterable[str]) -> str:
    return ":root{" + "".join(f"--C{i}:{colour};" for i, colour in enumerate(colours)) + "}"


#: Greys and grounds by name, light and dark: text, quieter text (4.5:1 and more), lines, raised ground, page.
_LIGHT = "--FG:#1b1b1f;--QUIET:#5b5b66;--LINE:#e2e2e8;--RAISED:#f6f6f9;--PAGE:#fff;--WARN:#fff6da;"
_DARK = "--FG:#e6e6ea;--QUIET:#a6a6b2;--LINE:#33333b;--RAISED:#1f1f25;--PAGE:#16161a;--WARN:#3a3212;"

STYLE = f"""
{_variables(LIGHT)}:root{{{_LIGHT}color-scheme:light}}
body{{font:15px/1.55 system-ui,sans-serif;margin:2.5rem auto 4rem;max-width:62rem;padding:0 1.25rem;color:var(--FG);
background:var(--PAGE);-webkit-text-size-adjust:100%}}
h1{{font-size:1.7rem;line-height:1.25;letter-spacing:-.01em;margin:0 0 .8rem;overflow-wrap:anywhere}}
h2{{font-size:1.2rem;line-height:1.3;letter-spacing:-.005em;margin:2.8rem 0 .5rem;overflow-wrap:anywhere}}
h3{{font-size:.95rem;margin:1.4rem 0 .3rem;overflow-wrap:anywhere}}
table{{border-collapse:collapse;width:100%}}
td,th{{padding:.4rem 1rem .4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--LINE)}}
th{{font-weight:500;color:var(--QUIET);font-size:.9rem}}
td.n{{font-variant-numeric:tabular-nums;font-weight:600;white-space:nowrap}}
small,.q{{color:var(--QUIET)}}.q{{font-size:.9rem;margin:.3rem 0;overflow-wrap:anywhere}}
img{{max-width:100%;image-rendering:auto}}.pair{{display:flex;flex-wrap:wrap;gap:1.5rem}}
.pair>div{{flex:1 1 24rem;min-width:0}}
.w{{background:var(--WARN);border-left:4px solid #d9a400;border-radius:0 4px 4px 0;padding:.5rem .9rem;margin:.5rem 0;
overflow-wrap:anywhere}}
svg{{max-width:100%}}figure{{display:inline-block;margin:.3rem;vertical-align:top;max-width:16rem}}
figcaption{{font-size:.8rem;line-height:1.35;color:var(--QUIET);overflow-wrap:anywhere}}
.l,.r{{display:inline-block;width:48%;vertical-align:top}}
:focus-visible{{outline:2px solid var(--C0);outline-offset:2px}}
@media(prefers-color-scheme:dark){{{_variables(DARK)}:root{{{_DARK}color-scheme:dark}}}}
@media print{{{_variables(LIGHT)}:root{{{_LIGHT}--QUIET:#333;--WARN:none;color-scheme:light}}
body{{color:#000;margin:0;max-width:none;padding:0;font-size:10pt}}
h1,h2,h3,summary{{break-after:avoid}}figure,svg,img,tr,.w{{break-inside:avoid}}
.q{{break-after:avoid}}.pair>div{{flex-basis:12rem}}}}
"""


def text(value: object) -> str:
    """What may be put into a page, also into a quoted attribute: nothing in it is an element."""
    return html.escape(str(value))


def embedded(png: bytes, title: str = "", attributes: str = "") -> str:
    """The element of a PNG file that is within the page.

    Args:
        png: the file.
        title: said where it is not seen.
        attributes: further ones, as HTML.
    """
    more = f" {attributes}" if attributes else ""
    return f'<img alt="{text(title)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"{more}>'


def scrolling(classes: str, title: str, inner: str) -> str:
    """HTML that may be wider than the page, and is scrolled by keys too."""
    return f'<div class="{classes}" tabindex="0" role="region" aria-label="{text(title)}">{inner}</div>'


def picture(pixels: NDArray[np.uint8], title: str = "") -> str:
    """The element of an image uint8 (h, w, c)."""
    return embedded(_native.encode_png(np.ascontiguousarray(pixels)), title)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between `low` and `high`, about as many as wanted."""
    step = 10.0 ** math.floor(math.log10((high - low) / wanted))
    step *= next((k for k in (1, 2, 5) if (high - low) / (k * step) <= wanted), 10)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def generator(title: str) -> str:
    """What says in the head of a page which command made it."""
    return f'<meta name="generator" content="{text(title)}">'


def write_page(file: str | Path, title: str, body: Iterable[str], style: str = "", script: str = "") -> Path:
    """Write a page, whole or not at all; its folder is made.

    Args:
        file: of the page.
        title: the command that makes it.
        body: HTML.
        style: rules that go over `STYLE`.
        script: run when all of it is there.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{generator(title)}'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}{style}</style><body><main>{''.join(body)}</main>"
        + (f"<script>{script}</script>" if script else "")
        + "</body></html>\n"
    )
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as f:
        f.write(page.encode("utf-8", "replace"))  # a name need not be text
    return path
