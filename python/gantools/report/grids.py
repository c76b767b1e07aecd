"""The grids of a run: which of them fit into a page, and the slider over them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gantools.page import embedded, text
from gantools.sampling.film import SIGNATURE

#: Grids in a page, and bytes of all their files, at most.
MOST, BUDGET = 40, 16 << 20
#: Frames of a film at most, and how many a second.
FRAMES, FPS = 300, 10
# The chunk that ends a PNG file.
END = b"\0\0\0\0IEND\xaeB`\x82"
_NAME = re.compile(r"kimg-(\d{6,12}\.\d{3})\.png")

#: Shows under the slider, of each run, the newest grid that is not newer than where it stands; the button plays them.
SCRIPT = """
(()=>{const s=document.getElementById('kimg');if(!s)return;
const stops=[...new Set([...document.querySelectorAll('img[data-kimg]')].map(i=>+i.dataset.kimg))].sort((a,b)=>a-b);
const words=document.getElementById('kimg-words'),play=document.getElementById('play');
s.max=stops.length-1;s.value=s.max;
function show(){const at=stops[+s.value];words.textContent=at+' kimg';s.setAttribute('aria-valuetext',at+' kimg');
for(const g of document.querySelectorAll('.frames')){const f=[...g.querySelectorAll('img[data-kimg]')];let k=0;
f.forEach((image,n)=>{if(+image.dataset.kimg<=at)k=n});f.forEach((image,n)=>{image.hidden=n!==k});
g.querySelector('.at').textContent=f[k].dataset.kimg+' kimg'}}
let timer=0;const stop=()=>{clearInterval(timer);timer=0;play.textContent='Play'};
play.addEventListener('click',()=>{if(timer)return stop();if(s.value===s.max)s.value=0;play.textContent='Pause';show();
timer=setInterval(()=>{if(s.value===s.max)return stop();s.value=+s.value+1;show()},250)});
s.addEventListener('input',()=>{stop();show()});document.getElementById('slide').hidden=false;
play.hidden=stops.length<2;show()})();
let shut=[];addEventListener('beforeprint',()=>{shut=[...document.querySelectorAll('details:not([open])')];
shut.forEach(d=>{d.open=true})});addEventListener('afterprint',()=>shut.forEach(d=>{d.open=false}));
"""
STYLE = (
    "img[hidden]{display:none}"
    "#slide{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem 1rem;margin:.8rem 0 1.2rem}"
    "#slide[hidden],#play[hidden]{display:none}#slide label{display:flex;flex:1 1 16rem;align-items:center;gap:1rem}"
    "#kimg{flex:1;min-width:8rem;height:28px;margin:0;accent-color:var(--C0)}"
    "#kimg-words{min-width:6rem;font-weight:600;font-variant-numeric:tabular-nums}"
    "#play{font:inherit;min-width:5rem;min-height:32px;color:inherit;background:var(--RAISED);"
    "border:1px solid var(--LINE);border-radius:6px;cursor:pointer}"
    ".frames img,.real img{width:100%;max-width:32rem;image-rendering:pixelated;border-radius:3px;display:block}"
    ".frames img[hidden]{display:none}@media print{#slide{display:none}}"
)


@dataclass(frozen=True)
class Grid:
    """A grid of samples: how many thousand images were shown before it, and its file."""

    kimg: float
    file: Path


def list_grids(run: Path) -> list[Grid]:
    """The grids of a run, oldest first."""
    folder = run / "grids"
    try:
        names = [(path, _NAME.fullmatch(path.name)) for path in folder.iterdir()]
    except OSError:  # none yet, or the run was removed meanwhile
        return []
    return sorted((Grid(float(m[1]), path) for path, m in names if m is not None), key=lambda grid: grid.kimg)


def chosen(grids: list[Grid], most: int, budget: int) -> list[Grid]:
    """At most `most` of the grids, evenly, the newest always, whose files have `budget` bytes together at most."""
    for n in range(min(most, len(grids)), 0, -1):
        # From the newest backwards, so that one alone is the newest.
        picked = [grids[i] for i in sorted({len(grids) - 1 - round(i) for i in np.linspace(0, len(grids) - 1, n)})]
        if sum(_size(grid.file) for grid in picked) <= budget:
            return picked
    return []


def frames(name: str, grids: list[Grid], most: int, budget: int) -> str:
    """The grids of one run on top of each other, the newest shown; what was left out is said."""
    picked = chosen(grids, most, budget)
    read = [(grid, png) for grid in picked if (png := read_whole(grid.file)) is not None]
    if not read:
        return f'<div><p class="q">{text(name)}: no grid that could be shown.</p></div>' if grids else ""
    images = "".join(
        embedded(
            png,
            f"Samples of {name} at {grid.kimg:.10g} kimg",
            f'data-kimg="{grid.kimg:.10g}"' + ("" if grid is read[-1][0] else " hidden"),
        )
        for grid, png in read
    )
    said = f" {len(picked)} of {len(grids)} grids are in this page, evenly chosen." if len(picked) < len(grids) else ""
    said += f" {len(picked) - len(read)} of them could not be read." if len(read) < len(picked) else ""
    return (
        f'<div class="frames"><p class="q">{text(name)}, <span class="at">{read[-1][0].kimg:.10g} kimg</span>.{said}'
        f"</p>{images}</div>"
    )


def slider() -> str:
    """Hidden until there is a script that moves it."""
    return (
        '<div id="slide" hidden><button id="play" type="button">Play</button><label><span>Grid at</span>'
        '<input id="kimg" type="range" min="0" value="0" step="1"></label>'
        '<output id="kimg-words" for="kimg"></output></div>'
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # the run was removed meanwhile
        return 0


def read_whole(file: Path) -> bytes | None:
    """A PNG file; None where it is none, is cut off, or is gone."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    return data if data.startswith(SIGNATURE) and data.endswith(END) else None


def film_files(grids: list[Grid]) -> list[Path]:
    """Files of the grids that have the size and kind of pixels of the newest, oldest first, `FRAMES` at most.

    A system that grows has grids of several sizes, and a film has one.
    """
    picked = [grids[i] for i in sorted({round(i) for i in np.linspace(0, len(grids) - 1, min(FRAMES, len(grids)))})]
    heads = [(grid.file, head) for grid in picked if (head := _head(grid.file)) is not None]
    return [file for file, head in heads if head == heads[-1][1]]


def _head(file: Path) -> bytes | None:
    """A PNG file's signature and its chunk IHDR, which says size and kind of pixels; None: cut off, or none."""
    try:
        with file.open("rb") as f:
            head = f.read(len(SIGNATURE) + 25)
            f.seek(max(0, file.stat().st_size - len(END)))
            return head if head.startswith(SIGNATURE) and f.read() == END else None
    except OSError:
        return None
