"""The pages: what every one of them has, and the files they are made of."""

from __future__ import annotations

from importlib import resources

from gantools.page import DARK, LIGHT, text
from gantools.studio.answers import HTML, Answer

#: The pages by their addresses, in the order of the menu: (name, one sentence).
PAGES = {
    "/sample": ("Sample", "Images from a trained run, as you turn what it lets you turn."),
    "/train": ("Train", "Trainings while they run: curves, scores, health, grids."),
    "/translate": ("Translate", "Images made from your images."),
    "/data": ("Data", "Prepared sets, class by class."),
    "/scores": ("Scores", "Scores side by side."),
}
KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def page(address: str) -> Answer:
    """A page: the menu, and what `static/NAME.html` holds, with its script `NAME.js` and its rules `NAME.css`."""
    name, words = PAGES[address]
    inner = (resources.files(__package__) / "static" / f"{address[1:]}.html").read_text(encoding="utf-8")
    links = "".join(
        f'<a href="{text(other)}"' + (' aria-current="page"' if other == address else "") + f">{text(title)}</a>"
        for other, (title, _) in PAGES.items()
    )
    whole = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(name)} · gantools studio</title>"
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/studio.css">'
        f'<link rel="stylesheet" href="/static{text(address)}.css">'
        f'<script type="module" src="/static{text(address)}.js"></script></head><body>'
        '<a class="skip" href="#main">To the content</a><header><strong>gantools</strong>'
        f'<nav aria-label="Pages">{links}</nav></header>'
        f'<main id="main" tabindex="-1"><h1>{text(name)}</h1><p class="lead">{text(words)}</p>'
        f'{inner}</main><p id="status" role="status"></p></body></html>\n'
    )
    return Answer(whole.encode(), HTML)


def static_files() -> dict[str, Answer]:
    """All files that pages load, by their address; nothing else is ever read for an address."""
    found = {}
    for file in (resources.files(__package__) / "static").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in KINDS:
            found[f"/static/{file.name}"] = Answer(file.read_bytes(), KINDS[suffix])
    style = found["/static/studio.css"]
    lines = _colours(LIGHT) + "@media(prefers-color-scheme:dark){" + _colours(DARK) + "}\n"
    found["/static/studio.css"] = Answer(lines.encode() + style.body, style.kind)
    return found


def _colours(colours: tuple[str, ...]) -> str:
    return ":root{" + "".join(f"--C{i}:{colour};" for i, colour in enumerate(colours)) + "}"
