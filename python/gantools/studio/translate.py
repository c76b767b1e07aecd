"""The page Translate: what a run makes of an image of the user's, or of one of those that it was trained on."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import ConfigError, DataError, GantoolsError
from gantools.runs.layout import best_checkpoint
from gantools.studio.answers import PNG, Answer, Route, download, told
from gantools.studio.query import Query
from gantools.studio.shelf import MODEL, Kept, NotThere, Shelf, config_of, stamp_of, takes_of, trained_on
from gantools.studio.view import numbers_of, plain

if TYPE_CHECKING:
    from gantools.sampling.generator import Generator
    from gantools.sampling.translate import Translator

#: Pixels that an image may have, and what is made of it.
PIXELS = 64_000_000
#: Bytes of files that were given, and of pixels, that are kept for a while.
FILES, DECODED = 128 << 20, 256 << 20
#: What is made is computed as a whole up to so many pixels; a tile of it has so many at most.
WHOLE = TILE = 1 << 20
TILES = (64, 128, 256, 512, 1024)
#: Images of a set that are offered, and letters of a file's name.
EXAMPLES, NAME = 8, 200
#: Sets that a run was trained on: section of its config -> what they are.
SIDES = {"inputs": "Inputs it was trained with", "data": "Images it was trained towards"}


class Given:
    """The images that were given, by the SHA-256 of their files: in memory alone, the oldest forgotten first."""

    def __init__(self) -> None:
        self._files: Kept[str, bytes] = Kept(FILES, len)
        self._pixels: Kept[Hashable, NDArray[np.uint8]] = Kept(DECODED, lambda pixels: pixels.nbytes)

    def take(self, body: bytes) -> str:
        """Keeps a file and names it."""
        name = hashlib.sha256(body).hexdigest()
        self._files.get(name, lambda: body)
        return name

    def pixels(self, name: str, channels: int, alpha: str, sixteen_bit: str) -> NDArray[np.uint8]:
        """What `gantools translate` reads from the file, uint8 (h, w, channels).

        Raises:
            NotThere: it is not kept. DataError, ConfigError: it cannot be read so.
        """

        def gone() -> bytes:
            raise NotThere("the image: is not kept any more.", "Give it once more.")

        body = self._files.get(name, gone)
        key = (name, channels, alpha, sixteen_bit)
        return self._pixels.get(key, lambda: decoded(body, channels, alpha, sixteen_bit))


_given: WeakKeyDictionary[Shelf, Given] = WeakKeyDictionary()


def given(shelf: Shelf) -> Given:
    """The images that were given to this server."""
    return _given.setdefault(shelf, Given())


def decoded(body: bytes, channels: int, alpha: str, sixteen_bit: str) -> NDArray[np.uint8]:
    """The pixels of a file, uint8 (h, w, channels), its declared size looked at before anything is decoded.

    Raises:
        DataError: no image, damaged, too large, or transparent where `alpha` is `error`.
    """
    try:
        return _native.decode(body, channels=channels, alpha=alpha, sixteen_bit=sixteen_bit, max_pixels=PIXELS)
    except DataError as e:
        if "transparency" in e.message:
            raise DataError("the image is transparent.", "Choose how transparent images are read.") from None
        raise DataError(f"the image cannot be read: {e.message}.", e.hint) from None
    except ValueError as e:
        raise ConfigError(f"16 bits: {e}") from None


@dataclass(frozen=True)
class Asked:
    """What is made of what.

    Attributes:
        run: its name on the shelf.
        checkpoint: its name.
        image: SHA-256 of a file that was given; "": an example.
        side: of an example, a section in `SIDES`.
        index: of an example, its number in the set.
        name: of the file, for command and download.
        alpha, sixteen_bit: how a file is read, as `gantools translate` has it.
        tile: side of the parts that are computed; None: as large as is good.
        controls: by name, those that are not as they are by default.
    """

    run: str
    checkpoint: str
    image: str
    side: str
    index: int
    name: str
    alpha: str
    sixteen_bit: str
    tile: int | None
    controls: dict[str, float] = field(default_factory=dict)

    def address(self) -> str:
        """The parameters, each of them in one way only."""
        pairs = [("run", self.run), ("checkpoint", self.checkpoint)]
        if self.image:
            pairs += [("image", self.image), ("name", self.name), ("alpha", self.alpha)]
            pairs += [("sixteen_bit", self.sixteen_bit)]
        else:
            pairs += [("side", self.side), ("index", str(self.index))]
        pairs += [] if self.tile is None else [("tile", str(self.tile))]
        pairs += [(f"c.{name}", plain(value)) for name, value in sorted(self.controls.items())]
        return urlencode(pairs, safe=",:")


def read_asked(query: Query) -> Asked:
    """What an address asks for.

    Raises:
        ConfigError: a value that is none, or out of its range.
    """
    image, name = query.text("image"), query.text("name", "image.png")
    side = query.choice("side", tuple(SIDES), "inputs")
    if image and (len(image) != 64 or not set(image) <= set("0123456789abcdef")):
        raise ConfigError("image: is no name of an image that was given.")
    if not name or len(name) > NAME or "/" in name or "\\" in name or not name.isprintable():
        raise ConfigError("name: must be that of a file, without a folder.")
    tile = query.choice("tile", ("auto", *map(str, TILES)), "auto")
    return Asked(
        run=query.text("run"),
        checkpoint=query.text("checkpoint", "last"),
        image=image,
        side=side,
        index=query.integer("index", 0, 1 << 40, 0),
        name=name,
        alpha=query.choice("alpha", tuple(_native.ALPHA_POLICIES), "error"),
        sixteen_bit=query.text("sixteen_bit", "full"),
        tile=None if tile == "auto" else int(tile),
        controls=numbers_of(query, "c."),
    )


def translators(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The runs that make images from images, newest first; those of systems of one's own are taken to."""
    query.done()
    found = []
    for name, path in reversed(shelf.runs().items()):
        config = config_of(path)
        checkpoints = list(shelf.checkpoints(path))
        model = config["recipe"].get("model")
        if checkpoints and model and takes_of(model) in (None, "images"):
            found.append({"run": name, "recipe": str(config["recipe"].get("name", "")), "last": checkpoints[-1]})
    return told(found)


def about(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """What a run lets one turn, what it takes, and images to try it with."""
    run = query.text("run")
    path = shelf.run(run)
    name, _ = shelf.checkpoint(path, query.text("checkpoint", "last"))
    query.done()
    generator = shelf.generator(path, name)
    translator = generator.translator
    best = best_checkpoint(path)
    return told(
        {
            "run": run,
            "checkpoint": name,
            "checkpoints": list(shelf.checkpoints(path)),
            "best": None if best is None else f"{best.nimg / 1000:.10g}",
            "recipe": generator.recipe.name,
            "kimg": generator.nimg / 1000,
            "controls": [vars(control) for control in generator.system.controls],
            "scale": translator.scale,
            "channels": translator.channels,
            "tiles": _tiles(translator),
            "alpha": list(_native.ALPHA_POLICIES),
            "examples": _examples(path, translator.channels),
            "device": str(generator.device),
        }
    )


def _tiles(translator: Translator) -> list[int]:
    if translator.whole:
        return []
    large = [side for side in TILES if side >= translator.least_tile]
    return [side for side in large if (side * translator.scale) ** 2 <= TILE] or large[:1]


def _examples(path: Path, channels: int) -> list[dict[str, Any]]:
    found = []
    for side, words in SIDES.items():
        try:
            data = trained_on(path, side)
        except (GantoolsError, OSError):
            continue
        # A network that enlarges takes its large images too, but nobody asks that of it.
        if data.shape[2] == channels and not (side == "data" and data.inputs is not None):
            rows = np.unique(np.linspace(0, len(data) - 1, EXAMPLES).astype(int)).tolist()
            found.append({"side": side, "words": words, "set": data.name, "images": rows})
    return found


def _pixels(shelf: Shelf, asked: Asked, path: Path, channels: int) -> NDArray[np.uint8]:
    if asked.image:
        return given(shelf).pixels(asked.image, channels, asked.alpha, asked.sixteen_bit)
    data = trained_on(path, asked.side)
    if asked.index >= len(data):
        raise NotThere(f"image {asked.index:,}: {data.name} has {len(data):,}, counted from 0.")
    return data[asked.index]


def _tile(asked: Asked, shape: tuple[int, ...], translator: Translator) -> int | None:
    """The side of the parts that an image is computed in; None: whole.

    Raises:
        ConfigError: what would come of it is too large, or a tile is.
    """
    (h, w), scale = shape[:2], translator.scale
    made = h * w * scale * scale
    if made > PIXELS:
        raise ConfigError(
            f"{w * scale:,} x {h * scale:,} pixels would come of it, more than the {PIXELS // 10**6} megapixels that "
            "are shown here.",
            "Make the image smaller, or type: gantools translate with --tile 256",
        )
    tiles = _tiles(translator)
    if asked.tile is not None:
        if asked.tile not in tiles:
            known = ", ".join(map(str, tiles)) or "auto for this network"
            raise ConfigError(f"tile: must be one of {known}, not {asked.tile}.")
        return asked.tile
    return None if made <= WHOLE or not tiles else tiles[-1]


@dataclass(frozen=True)
class _Made:
    asked: Asked
    path: Path
    generator: Generator
    pixels: NDArray[np.uint8]
    tile: int | None

    def png(self, shelf: Shelf) -> bytes:
        key: Hashable = (stamp_of(self.generator.checkpoint), "translation", self.asked.address())
        return shelf.pictures.get(key, self._compute)

    def _compute(self) -> bytes:
        from gantools.device import out_of_memory

        with out_of_memory("not enough memory to make this image.", "Choose smaller tiles, or a smaller image."):
            made = self.generator.translate([self.pixels], tile=self.tile, controls=self.asked.controls)[0]
        return _native.encode_png(np.ascontiguousarray(made))


def _make(shelf: Shelf, query: Query) -> _Made:
    asked = read_asked(query)
    query.done()
    path = shelf.run(asked.run)
    name, _ = shelf.checkpoint(path, asked.checkpoint)
    generator = shelf.generator(path, name)
    translator = generator.translator
    pixels = _pixels(shelf, asked, path, translator.channels)
    return _Made(
        Asked(**{**vars(asked), "checkpoint": name}),
        path,
        generator,
        pixels,
        _tile(asked, pixels.shape, translator),
    )


def take(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """Keeps an image for a while, where it can be read, and tells its size and whether it is transparent."""
    query.done()
    if not body:
        raise DataError("the file is empty.", "Choose an image.")
    pixels = decoded(body, 3, "drop", "full")
    try:
        decoded(body, 1, "error", "full")
        transparent = False
    except DataError:
        transparent = True
    h, w, _ = pixels.shape
    return told({"image": given(shelf).take(body), "width": w, "height": h, "transparent": transparent})


def picture(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """What the network makes of an image: the file of `gantools translate`."""
    return Answer(_make(shelf, query).png(shelf), PNG)


def save(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The same to keep."""
    made = _make(shelf, query)
    return download(made.png(shelf), PNG, _file(made.asked, made.path))


def before(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The image as the network is given it."""
    asked = read_asked(query)
    channels = int(query.choice("channels", ("1", "3"), "3"))
    query.done()
    pixels = _pixels(shelf, asked, shelf.run(asked.run), channels)
    return Answer(_native.encode_png(np.ascontiguousarray(pixels)), PNG)


def lines(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The address of what is made, and the command and lines of Python that make the same bytes."""
    made = _make(shelf, query)
    asked, generator = made.asked, made.generator
    model = asked.checkpoint == MODEL
    controls = dict(sorted(asked.controls.items()))
    source = asked.name if asked.image else str(trained_on(made.path, asked.side).path)
    words = ["gantools", "translate", str(made.path), f"./{source}" if source.startswith("-") else source]
    words += [] if model else ["--checkpoint", asked.checkpoint]
    for name, value in controls.items():
        words += ["--control", f"{name}={plain(value)}"]
    words += [] if made.tile is None else ["--tile", str(made.tile)]
    if asked.image:
        words += [] if asked.alpha == "error" else ["--alpha", asked.alpha]
        words += [] if asked.sixteen_bit == "full" else ["--sixteen-bit", asked.sixteen_bit]
    load = f"g = gantools.Generator.load({str(made.path)!r}" + (")" if model else f", {asked.checkpoint!r})")
    options = "".join(f", {k}={v!r}" for k, v in (("tile", made.tile), ("controls", controls or None)) if v)
    h, w, _ = made.pixels.shape
    if asked.image:
        # Only the command as a whole reads files.
        arguments = f"{str(made.path)!r}, [{source!r}]" + ("" if model else f", checkpoint={asked.checkpoint!r}")
        policies = "".join(
            f", {k}={v!r}"
            for k, v, usual in (("alpha", asked.alpha, "error"), ("sixteen_bit", asked.sixteen_bit, "full"))
            if v != usual
        )
        python = f"folder, rejects = gantools.translate({arguments}{options}{policies})"
    else:
        python = f"{load}\nimages = g.translate([gantools.open({source!r})[{asked.index}]]{options})"
    return told(
        {
            "address": asked.address(),
            "command": shlex.join(words),
            "file": f"translations/{_file(asked, made.path)}",
            "python": python,
            "others": 0 if asked.image else len(trained_on(made.path, asked.side)) - 1,
            "tile": made.tile,
            "scale": generator.translator.scale,
            "width": w,
            "height": h,
        }
    )


def _file(asked: Asked, path: Path) -> str:
    """The name of the result among translations."""
    name = asked.name if asked.image else trained_on(path, asked.side).names[asked.index]
    return PurePosixPath(name).with_suffix(".png").as_posix()


ROUTES: dict[str, Route] = {
    "/api/translators": Route(translators),
    "/api/translator": Route(about, "networks"),
    "/api/translation": Route(lines, "networks"),
    "/translation.png": Route(picture, "networks"),
    "/translation/before.png": Route(before),
    "/save/translation.png": Route(save, "networks"),
    "/translation/image": Route(take, "files", "PUT"),
}
