"""The page Data: what a prepared set holds, image by image, by class, by attribute, with marks, rejects and repeats."""

from __future__ import annotations

import math
import shlex
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.annotations import PARTITIONS
from gantools.data.inspect import equal_images, info, rejects
from gantools.data.prepared import MANIFEST, PreparedSet
from gantools.data.show import choose, draw, grid_of, half_of, kinds
from gantools.errors import ConfigError, DataError
from gantools.studio.answers import PNG, Answer, Route, download, told
from gantools.studio.query import Query
from gantools.studio.shelf import NotThere, Shelf

#: Images of a page at most; rejects, and groups of equal images, of one.
MOST, LINES, GROUPS = 200, 100, 40
#: Images of a group that are shown, and sizes that are told.
OF_GROUP, SIZES = 12, 8
#: Bytes of pixels that are read through for equal images while a page waits.
READ = 4 << 30
#: Small pictures are no larger than about this.
THUMBNAIL = 160
#: Sets kept open.
OPEN = 8


@dataclass(eq=False)
class Opened:
    """A set that is looked at, and what was found out about it once."""

    data: PreparedSet
    stamp: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """`gantools info`, without what takes long."""
        return info(self.data.path, duplicates=False)

    @cached_property
    def equal(self) -> list[list[int]]:
        """Groups of images whose pixels are equal."""
        return equal_images(self.data)

    @property
    def marks(self) -> list[str]:
        """What can be drawn on its images."""
        manifest, found = self.data.manifest, []
        if "landmarks" in manifest.get("annotations", {}):
            found.append("landmarks")
        wild = manifest.get("source", {}).get("in_the_wild")
        if (
            "boxes" in manifest.get("annotations", {})
            and wild
            and manifest.get("policy", {}).get("crop") != "landmarks"
        ):
            found.append("boxes")
        return found


_open: WeakKeyDictionary[Shelf, dict[str, Opened]] = WeakKeyDictionary()


def opened(shelf: Shelf, name: str) -> Opened:
    """A set by its name, opened once as long as it stays as it is.

    Raises:
        NotThere, DataError: it is gone, or damaged.
    """
    kept = _open.setdefault(shelf, {})
    found = kept.get(name)
    if found is None or _stamp(found.data.path) != found.stamp:
        data = shelf.set(name)
        found = Opened(data, _stamp(data.path))
        kept[name] = found
        for old in list(kept)[:-OPEN]:
            kept.pop(old, None)
    return found


def _stamp(path: Path) -> int:
    try:
        return (path / MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


@dataclass(frozen=True)
class Wanted:
    """Which images of a set are looked at.

    Attributes:
        set: its name on the shelf.
        class_: name of a class; None: all.
        attribute: above those that have it, below those that lack it; None: neither.
        page: from 0.
        per: images of a page; of an attribute half of them each.
        marks: names of `Opened.marks` to draw.
    """

    set: str
    class_: str | None
    attribute: str | None
    page: int
    per: int
    marks: tuple[str, ...]

    def halves(self, data: PreparedSet) -> tuple[list[NDArray[np.int64]], list[int], int]:
        """Numbers of the images of the page, how many there are of each half, and the number of pages.

        Raises:
            NotThere: a page beyond the last. ConfigError, DataError: no such class or attribute, or no such images.
        """
        counts = [len(rows) for rows in kinds(data, self.class_, self.attribute)]
        pages = max(1, math.ceil(max(counts) / self.each(data)))
        _within(self.page, pages)
        start = self.page * self.each(data)
        return choose(data, self.per, class_=self.class_, attribute=self.attribute, start=start), counts, pages

    def each(self, data: PreparedSet) -> int:
        """Images of a page, or of a half of it."""
        return self.per if self.attribute is None else half_of(data, self.per)

    def command(self, data: PreparedSet) -> str:
        """The command that shows the same images."""
        start = self.page * self.each(data)
        words = ["gantools", "show", str(data.path), "--grid", str(self.per)]
        words += [] if self.class_ is None else ["--class", self.class_]
        words += [] if self.attribute is None else ["--attribute", self.attribute]
        words += ["--from", str(start)] if start else []
        return shlex.join([*words, *(f"--{mark}" for mark in self.marks)])


def _wanted(query: Query) -> Wanted:
    return Wanted(
        query.text("set"),
        query.text("class") if "class" in query else None,
        query.text("attribute") or None,
        query.integer("page", 0, 1 << 40, 0),
        query.integer("per", 1, MOST, 60),
        tuple(name for name in ("landmarks", "boxes") if query.switch(name)),
    )


def sets(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The sets on the shelf."""
    query.done()
    found: list[dict[str, Any]] = []
    for name in shelf.sets():
        try:
            data = opened(shelf, name).data
        except (NotThere, DataError) as e:
            found.append({"set": name, "wrong": e.message})
            continue
        found.append({"set": name, "count": len(data), "shape": list(data.shape)})
    return told(found)


def about(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """What is known of a set as a whole: `gantools info`, what can be drawn, how many were rejected."""
    found = opened(shelf, query.text("set"))
    query.done()
    facts = dict(found.facts)
    facts["sizes"] = dict(list(facts["sizes"].items())[:SIZES]) if "sizes" in facts else {}
    facts["kinds_of_sizes"] = len(found.facts.get("sizes", {}))
    command = shlex.join(["gantools", "info", str(found.data.path)])
    return told({**facts, "marks": found.marks, "pairs": found.data.inputs is not None, "command": command})


def images(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The numbers and names of the images of a page, and the command and lines of Python that show the same."""
    wanted = _wanted(query)
    query.done()
    data = opened(shelf, wanted.set).data
    halves, counts, pages = wanted.halves(data)
    titles = [f"{word} {wanted.attribute}" for word in ("has", "lacks")] if wanted.attribute else [wanted.class_ or ""]
    rows = np.concatenate(halves).tolist()
    together = rows == list(range(rows[0], rows[-1] + 1))
    numbers = f"range({rows[0]}, {rows[-1] + 1})" if together else str(rows)
    return told(
        {
            "halves": [
                {"title": title, "count": count, "images": [[i, data.names[i]] for i in rows.tolist()]}
                for title, count, rows in zip(titles, counts, halves, strict=True)
            ],
            "pages": pages,
            "page": wanted.page,
            "command": wanted.command(data),
            "file": f"{data.name}.png",
            "python": f"s = gantools.open({str(data.path)!r})\nimages = s.gather({numbers})",
        }
    )


def image(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """One image as PNG: of a set of pairs both, or with `side` one; with `small`, reduced by a whole factor."""
    name, number = query.text("set"), query.integer("index", 0, 1 << 40, 0)
    landmarks, boxes = query.switch("landmarks"), query.switch("boxes")
    side, small = query.choice("side", ("both", "image", "input"), "both"), query.switch("small")
    query.done()
    data = opened(shelf, name).data
    row = np.array([_checked(data, number)])
    if side == "input" and data.inputs is None:
        raise ConfigError(f"side: {data.name} is no set of pairs.")
    if side == "input" and data.inputs is not None:
        pixels = data.inputs.gather(row)[0]
    elif side == "image" and data.inputs is not None:
        pixels = data.gather(row)[0]
    else:
        pixels = draw(data, row, landmarks=landmarks, boxes=boxes)[0]
    return Answer(_native.encode_png(_reduced(pixels) if small else np.ascontiguousarray(pixels)), PNG)


def grid(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The file of `gantools show` for a page."""
    wanted = _wanted(query)
    query.done()
    data = opened(shelf, wanted.set).data
    halves, _, _ = wanted.halves(data)
    landmarks, boxes = "landmarks" in wanted.marks, "boxes" in wanted.marks
    pixels = grid_of(data, halves, wanted.per, landmarks=landmarks, boxes=boxes)
    return download(_native.encode_png(pixels), PNG, f"{data.name}.png")


def item(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """All that is known of one image."""
    found = opened(shelf, query.text("set"))
    data, i = found.data, query.integer("index", 0, 1 << 40, 0)
    query.done()
    _checked(data, i)
    said: list[tuple[str, str]] = [("number", f"{i:,} of {len(data):,}, counted from 0"), ("name", data.names[i])]
    if data.labels is not None and data.classes is not None:
        said.append(("class", data.classes[data.labels[i]]))
    if data.sizes is not None:
        said.append(("file", "{} x {} pixels".format(*data.sizes[i].tolist())))
    attributes: list[str] = []
    titles = {number: word for word, number in PARTITIONS.items()}
    for key, values in data.annotations.items():
        columns = data.manifest["annotations"][key].get("columns")
        if key == "attributes" and columns:
            attributes = [name for name, value in zip(columns, values[i].tolist(), strict=True) if value == 1]
            said.append(("attributes", ", ".join(attributes).replace("_", " ") or "none"))
        elif key == "partition":
            said.append((key, titles.get(int(values[i]), str(values[i]))))
        elif key == "landmarks" and values[i].size == 10:
            points = values[i].reshape(5, 2).tolist()
            said.append((key, "  ".join(f"{x}, {y}" for x, y in points)))
        elif values[i].size <= 16:
            said.append((key, ", ".join(f"{value:g}" for value in np.ravel(values[i]).tolist())))
    if data.inputs is not None:
        h, w, c = data.inputs.shape
        operation = data.manifest["inputs"]["operation"]
        said.append(("input", f"{w} x {h}, {c} channel{'s' if c > 1 else ''}, {operation}"))
    shard = int(np.searchsorted(np.cumsum([s.count for s in data.shards]), i, "right"))
    said.append(("stored in", data.shards[shard].file))
    if "equal" in vars(found):
        group = next((rows for rows in found.equal if i in rows), [i])
        twins = [data.names[j] for j in group if j != i]
        said.append(("equal pixels", ", ".join(twins[:OF_GROUP]) or "no other image"))
    command = shlex.join(["gantools", "show", str(data.path), "--grid", "1", *(["--from", str(i)] if i else [])])
    return told(
        {
            "said": said,
            "command": command,
            "python": f"image = gantools.open({str(data.path)!r})[{i}]",
            "pair": data.inputs is not None,
        }
    )


def rejected(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """Files that could not be taken into a set, and why."""
    data, page = opened(shelf, query.text("set")).data, query.integer("page", 0, 1 << 40, 0)
    query.done()
    found = rejects(data)
    pages = max(1, math.ceil(len(found) / LINES))
    _within(page, pages)
    shown = found[page * LINES : (page + 1) * LINES]
    return told({"count": len(found), "pages": pages, "page": page, "rejects": shown})


def equal(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """Groups of images with equal pixels. It reads the whole set, once."""
    found, page = opened(shelf, query.text("set")), query.integer("page", 0, 1 << 40, 0)
    query.done()
    data = found.data
    command = shlex.join(["gantools", "info", str(data.path)])
    if math.prod(data.shape) * len(data) > READ:
        raise DataError(
            f"{data.name}: more than {READ >> 30} GiB of pixels, too many to read through here.", f"Type: {command}"
        )
    with found.lock:
        groups = found.equal
    pages = max(1, math.ceil(len(groups) / GROUPS))
    _within(page, pages)
    shown = groups[page * GROUPS : (page + 1) * GROUPS]
    return told(
        {
            "count": sum(len(rows) - 1 for rows in groups),
            "groups": len(groups),
            "pages": pages,
            "page": page,
            "images": [{"of": len(rows), "images": [[i, data.names[i]] for i in rows[:OF_GROUP]]} for rows in shown],
            "command": command,
        }
    )


def _within(page: int, pages: int) -> None:
    if page >= pages:
        raise NotThere(f"page {page + 1:,}: there are {pages:,}.", "Go back to the first page.")


def _checked(data: PreparedSet, number: int) -> int:
    if number >= len(data):
        raise NotThere(f"image {number:,}: {data.name} has {len(data):,}, counted from 0.")
    return number


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image by means of whole blocks of pixels, at most twice as large as a small picture is."""
    factor = max(1, max(image.shape[:2]) // THUMBNAIL)
    h, w = (side // factor for side in image.shape[:2])
    if factor == 1 or 0 in (h, w):
        return np.ascontiguousarray(image)
    blocks = image[: h * factor, : w * factor].reshape(h, factor, w, factor, -1)
    means: NDArray[np.uint8] = np.round(blocks.mean((1, 3))).astype(np.uint8)
    return means


ROUTES: dict[str, Route] = {
    "/api/sets": Route(sets),
    "/api/set": Route(about),
    "/api/set/images": Route(images),
    "/api/set/image": Route(item),
    "/api/set/rejects": Route(rejected),
    "/api/set/equal": Route(equal),
    "/set/image.png": Route(image),
    "/save/set.png": Route(grid),
}
