"""What is looked at: read from an address, written as one, as a command, and as a line of Python."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlencode

from gantools.errors import ConfigError
from gantools.sampling.write import GRID, GRID_IMAGES, LATENTS
from gantools.studio.query import Query

Kind = Literal["grid", "one", "seeds", "walk", "pad", "mix"]
#: Seeds of latents end here; numbers of images too.
SEEDS = (1 << 63) - 1
#: Frames of a walk at most.
FRAMES = 1000


@dataclass(frozen=True)
class View:
    """What is looked at in a run.

    Attributes:
        run: its name on the shelf.
        checkpoint: its name.
        kind: `grid`, images 0..n-1 of a seed; `one`, image `index` of it; `seeds`, image 0 of each of `seeds`; `walk`,
            frame `frame` of `frames` by way of `seeds`; `pad`, what lies at (x, y) between four `seeds`; `mix`, every
            one of `seeds` with the layers low..high-1 of every one of `others`.
        class_: name of the class of all images; None: each in turn.
        controls: by name, those that are not as they are by default.
        directions: by name, in standard deviations.
    """

    run: str
    checkpoint: str = "last"
    kind: Kind = "grid"
    seed: int = 0
    n: int = 16
    index: int = 0
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    others: tuple[int, ...] = (4, 5, 6, 7)
    frames: int = 120
    frame: int = 0
    once: bool = False
    fps: int = 24
    x: float = 0.5
    y: float = 0.5
    low: int = 0
    high: int = 4
    class_: str | None = None
    controls: dict[str, float] = field(default_factory=dict)
    directions: dict[str, float] = field(default_factory=dict)

    def address(self) -> str:
        """The parameters, each view in one way only."""
        pairs: list[tuple[str, str]] = [("run", self.run), ("checkpoint", self.checkpoint), ("kind", self.kind)]
        pairs += [(name, plain(getattr(self, name))) for name in _OF[self.kind]]
        pairs += [] if self.class_ is None else [("class", self.class_)]
        pairs += [(f"c.{name}", plain(value)) for name, value in sorted(self.controls.items())]
        pairs += [(f"d.{name}", plain(value)) for name, value in sorted(self.directions.items())]
        return urlencode(pairs, safe=",")

    def command(self, run: Path, model: bool) -> tuple[str, str]:
        """The command that makes it, and the file of its result that is this picture.

        Args:
            run: folder of the run.
            model: whether it is an exported model, which has no checkpoints.
        """
        words = ["gantools", "walk" if self.kind == "walk" else "sample", str(run)]
        words += [] if model else ["--checkpoint", self.checkpoint]
        if self.kind == "grid":
            words += ["-n", str(self.n), "--seed", str(self.seed), "--grid"]
            file = f"samples/{GRID}"
        elif self.kind == "one":
            words += ["--seed", str(self.seed), "--index", str(self.index)]
            file = "samples/000000.png"
        elif self.kind == "seeds":
            words += ["--seeds", ",".join(map(str, self.seeds)), "--grid"]
            file = f"samples/{GRID}"
        elif self.kind == "walk":
            words += ["--seeds", ",".join(map(str, self.seeds)), "--frames", str(self.frames)]
            words += ["--once"] if self.once else []
            file = f"walk/{self.frame:06d}.png"
        else:
            words += ["--latents", LATENTS]
            file = "samples/000000.png" if self.kind == "pad" else "samples/000000.png and so on, row after row"
        words += [] if self.class_ is None else ["--class", self.class_]
        for option, values in (("--control", self.controls), ("--direction", self.directions)):
            for name, value in sorted(values.items()):
                words += [option, f"{name}={plain(value)}"]
        return shlex.join(words), file

    def python(self, run: Path, model: bool) -> str:
        """The lines of Python that make the images, uint8 (n, h, w, c)."""
        options = "".join(
            f", {name}={value!r}"
            for name, value in (
                ("class_", self.class_),
                ("controls", dict(sorted(self.controls.items())) or None),
                ("directions", dict(sorted(self.directions.items())) or None),
            )
            if value is not None
        )
        seeds = list(self.seeds)
        if self.kind == "grid":
            made = f"g.sample({self.n}, seed={self.seed}{options})"
        elif self.kind == "one":
            made = f"g.numbered({self.index}, 1, seed={self.seed}{options})"
        elif self.kind == "seeds":
            made = f"g.of_seeds({seeds}{options})"
        elif self.kind == "walk":
            made = f"g.walk({self.frames}, seeds={seeds}, closed={not self.once}{options})[{self.frame}]"
        elif self.kind == "pad":
            made = f"g.from_latents(gantools.blend(g.keys(seeds={seeds}), {self.x:g}, {self.y:g}){options})"
        else:
            rows, columns = (f"g.styles_of(g.keys(seeds={list(of)}))" for of in (self.seeds, self.others))
            made = f"g.from_latents(gantools.mix_styles({rows}, {columns}, ({self.low}, {self.high})){options})"
        load = f"gantools.Generator.load({str(run)!r}" + (")" if model else f", {self.checkpoint!r})")
        return f"g = {load}\nimages = {made}"


#: What an address says of each kind, after run, checkpoint and kind.
_OF: dict[Kind, tuple[str, ...]] = {
    "grid": ("seed", "n"),
    "one": ("seed", "index"),
    "seeds": ("seeds",),
    "walk": ("seeds", "frames", "frame", "once", "fps"),
    "pad": ("seeds", "x", "y"),
    "mix": ("seeds", "others", "low", "high"),
}


def read_view(query: Query) -> View:
    """The view of an address.

    Raises:
        ConfigError: a value that is none, or out of its range.
    """
    blank = View("")
    found = View(
        run=query.text("run"),
        checkpoint=query.text("checkpoint", "last"),
        kind=query.choice("kind", get_args(Kind), "grid"),
        seed=query.integer("seed", 0, SEEDS, 0),
        n=query.integer("n", 1, GRID_IMAGES, blank.n),
        index=query.integer("index", 0, SEEDS, 0),
        seeds=query.integers("seeds", 0, SEEDS, blank.seeds),
        others=query.integers("others", 0, SEEDS, blank.others),
        frames=query.integer("frames", 1, FRAMES, blank.frames),
        frame=query.integer("frame", 0, FRAMES - 1, 0),
        once=query.switch("once"),
        fps=query.integer("fps", 1, 1000, blank.fps),
        x=query.number("x", 0, 1, blank.x),
        y=query.number("y", 0, 1, blank.y),
        low=query.integer("low", 0, 1000, blank.low),
        high=query.integer("high", 0, 1000, blank.high),
        class_=query.text("class") or None,
        controls=numbers_of(query, "c."),
        directions=numbers_of(query, "d."),
    )
    if found.frame >= found.frames:
        raise ConfigError(f"frame: below {found.frames}, the number of frames, not {found.frame}.")
    if found.kind == "pad" and len(found.seeds) != 4:
        raise ConfigError(f"seeds: four for what lies between four images, not {len(found.seeds)}.")
    if found.kind == "mix" and len(found.seeds) * len(found.others) > GRID_IMAGES:
        raise ConfigError(f"seeds and others: at most {GRID_IMAGES} images together.")
    return found


def numbers_of(query: Query, prefix: str) -> dict[str, float]:
    """The finite numbers whose names start with `prefix`, which is taken off."""
    found = {}
    for name, text in query.starting(prefix).items():
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = math.nan
        if not math.isfinite(found[name]):
            raise ConfigError(f"{name}: must be a number, not {text!r}.")
    return found


def plain(value: float | bool | Sequence[int] | str) -> str:
    """A value as it stands in an address and in a command: read back, it is the same."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return value if isinstance(value, str) else ",".join(map(str, value))
