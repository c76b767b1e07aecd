"""Which of a source's images go into a set: by an expression over what is known of each, equal numbers a class, no
duplicates, a random sample.

An expression compares names with values, joined by `&`, `|` and parentheses; `&` binds more strongly:

    Smiling=1 & (Male=-1 | Young=1)
    partition!=test & lefteye_x>60
    class=Sandal | class='Ankle boot'
    width>=256 & height>=256 & aspect<=1.5
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.annotations import PARTITIONS
from gantools.data.sources.base import Source
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.progress import Progress

Mask = NDArray[np.bool_]
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_TOKEN = re.compile(r"\s*(?:(?P<op>[!<>]=|[=<>&|()])|'(?P<quoted>[^']*)'|(?P<word>-?[\w.]+))")
SYNTAX = 'Write for example: "Smiling=1 & (Male=-1 | Young=1)", with = != < > <= >= & | and parentheses.'
# Deeper nesting than this is no filter that anyone wrote, and would end in Python's own limit.
MAX_DEPTH = 50


# What every image file has, whatever its source; aspect is width / height.
SIZES = ("width", "height", "aspect")


class Column:
    """One name that an expression may use.

    Args:
        values: numbers (n,), or a function that gives them when the name is used; NaN where a value is not known.
        words: what else may stand for a number, for example `train` for 0.
        ordered: whether `<` and `>` mean anything.
    """

    def __init__(
        self,
        values: NDArray[Any] | Callable[[], NDArray[Any]],
        words: dict[str, int] | None = None,
        *,
        ordered: bool = True,
    ) -> None:
        self._values, self.words, self.ordered = values, words or {}, ordered

    @property
    def values(self) -> NDArray[Any]:
        """The numbers (n,)."""
        return self._values() if callable(self._values) else self._values

    def span(self) -> str:
        """The values that there are, in words."""
        present = np.unique(self.values)
        titles = {number: word for word, number in self.words.items()}
        if titles:
            return " or ".join(titles.get(int(v), str(v)) for v in present[:20]) + (
                ", ..." if len(present) > 20 else ""
            )
        return f"{present[0]:.6g} to {present[-1]:.6g}" if len(present) > 1 else f"{present[0]:.6g}"


def columns(images: Source, *, turned: bool = True) -> dict[str, Column]:
    """What can be compared: `class`, each annotation (of one column) or its columns by their names, and the size.

    Args:
        images: what the columns are of; an annotation hides a size of its name.
        turned: whether width and height are those after the EXIF orientation is applied.
    """
    sizes = cache(lambda: _sizes(images, turned))
    found = {
        "width": Column(lambda: sizes()[:, 0]),
        "height": Column(lambda: sizes()[:, 1]),
        "aspect": Column(lambda: sizes()[:, 0] / sizes()[:, 1]),
    }
    if images.labels is not None and images.classes is not None:
        words = {name: i for i, name in enumerate(images.classes)}
        found["class"] = Column(images.labels, words, ordered=False)
    for name, annotation in images.annotations.items():
        if annotation.values.ndim == 2 and annotation.columns is None:
            # Vectors without names, which are nothing to compare with a number.
            continue
        if annotation.columns is None:
            words = PARTITIONS if name == "partition" else {}
            found[name] = Column(annotation.values, words, ordered=name != "partition")
        else:
            for i, column in enumerate(annotation.columns):
                found[column] = Column(annotation.values[:, i])
    return found


def _sizes(images: Source, turned: bool) -> NDArray[np.float64]:
    """Width and height of each image, (n, 2), NaN where its header cannot be read; pixels are not decoded."""
    found, _, unread = _native.inspect_images(images.reader, images.items)
    sizes = found[:, :2].astype(np.float64)
    if turned:
        # The last four orientations lie on their side.
        lying = found[:, 6] >= 5
        sizes[lying] = sizes[lying][:, ::-1]
    sizes[[row for row, _ in unread]] = np.nan
    return sizes


def where(expression: str, known: dict[str, Column]) -> Mask:
    """The images for which `expression` holds, as bool (n,).

    Raises:
        ConfigError: it cannot be read; an unknown name (the nearest one is given); a value that the name never has by
            its kind.
    """
    parser = _Parser(expression, known)
    mask = parser.either(0)
    if parser.at < len(parser.tokens):
        raise parser.wrong("expected & or |")
    return mask


class _Parser:
    """Recursive descent over a list of (kind, text, position)."""

    def __init__(self, text: str, known: dict[str, Column]) -> None:
        self.text, self.known, self.at = text, known, 0
        self.tokens: list[tuple[str, str, int]] = []
        end = 0
        while text[end:].strip():
            match = _TOKEN.match(text, end)
            if match is None:
                at = end + len(text[end:]) - len(text[end:].lstrip())
                raise ConfigError(f"filter {text!r}: {text[at]!r} at position {at + 1} is not understood.", SYNTAX)
            kind = match.lastgroup
            assert kind is not None
            self.tokens.append((kind, match[kind], match.start(kind)))
            end = match.end()

    def wrong(self, what: str) -> ConfigError:
        if self.at < len(self.tokens):
            _, text, position = self.tokens[self.at]
            found = f"{text!r} at position {position + 1}"
        else:
            found = "its end"
        return ConfigError(f"filter {self.text!r}: {what}, found {found}.", SYNTAX)

    def accept(self, *operators: str) -> str | None:
        if self.at < len(self.tokens):
            kind, text, _ = self.tokens[self.at]
            if kind == "op" and text in operators:
                self.at += 1
                return text
        return None

    def word(self, what: str) -> tuple[str, bool]:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] == "op":
            raise self.wrong(f"expected {what}")
        kind, text, _ = self.tokens[self.at]
        self.at += 1
        return text, kind == "quoted"

    def either(self, depth: int) -> Mask:
        mask = self.both(depth)
        while self.accept("|"):
            mask = mask | self.both(depth)
        return mask

    def both(self, depth: int) -> Mask:
        mask = self.one(depth)
        while self.accept("&"):
            mask = mask & self.one(depth)
        return mask

    def one(self, depth: int) -> Mask:
        if self.accept("("):
            if depth == MAX_DEPTH:
                raise ConfigError(f"filter: more than {MAX_DEPTH} parentheses within each other.", SYNTAX)
            mask = self.either(depth + 1)
            if not self.accept(")"):
                raise self.wrong("expected )")
            return mask
        name, _ = self.word("a name")
        if name not in self.known:
            raise unknown_name("name in the filter", name, self.known)
        column = self.known[name]
        comparison = self.accept(*COMPARISONS)
        if comparison is None:
            raise self.wrong(f"expected =, !=, <, >, <= or >= after {name}")
        if comparison not in ("=", "!=") and not column.ordered:
            raise ConfigError(f"filter {self.text!r}: {name} has no order; compare it with = or !=.")
        value, quoted = self.word("a value")
        number = self.value(name, column, value, quoted)
        compared: Mask = COMPARISONS[comparison](column.values, number)
        # What is not known is not a reason to leave an image out: it becomes a reject that says why.
        return compared | np.isnan(column.values) if column.values.dtype.kind == "f" else compared

    def value(self, name: str, column: Column, text: str, quoted: bool) -> int | float:
        if text in column.words:
            return column.words[text]
        if not quoted and re.fullmatch(r"-?\d{1,18}", text):
            return int(text)
        if column.words:
            raise unknown_name(f"value of {name}", text, column.words)
        if not quoted and re.fullmatch(r"-?(\d{1,18}\.\d*|\.\d+)", text):
            return float(text)
        raise ConfigError(f"filter {self.text!r}: {name} is compared with numbers, not {text!r}.", SYNTAX)


def balance(images: Source) -> NDArray[np.int64]:
    """Rows, ascending, of the first images of each class, as many as the smallest class that is there has.

    Raises:
        DataError: the images have no classes.
    """
    if images.labels is None:
        raise DataError("--balance: these images have no classes.", "Put them into one sub-folder a class.")
    present, counts = np.unique(images.labels, return_counts=True)
    rows = [np.flatnonzero(images.labels == c)[: counts.min()] for c in present]
    return np.sort(np.concatenate(rows))


def dedupe(images: Source, *, progress: bool = False) -> NDArray[np.int64]:
    """Rows, ascending, of the images whose file has other bytes than those of all images before it.

    An image that cannot be read is kept: it becomes a reject with its reason.
    """
    seen: set[bytes] = set()
    kept = []
    with Progress("looking for duplicates", len(images), show=progress) as bar:
        for row, item in enumerate(images.items.tolist()):
            try:
                content = hashlib.blake2b(images.reader.read(item), digest_size=16).digest()
            except DataError:
                kept.append(row)
            else:
                if content not in seen:
                    seen.add(content)
                    kept.append(row)
            if row % 256 == 0:
                bar.update(row)
        bar.update(len(images))
    return np.array(kept, dtype=np.int64)


def sample(images: Source, count: int, seed: int) -> NDArray[np.int64]:
    """Rows, ascending, of `count` images drawn at random without repetition; all of them where there are fewer.

    An image is drawn by a hash of `seed` and its name alone (and its place, among images of one name), so the order of
    the images, the machine and the number of the others do not matter: of a larger set the same ones come first.
    """
    prefix = f"{seed}:".encode()
    names = (name.encode("utf-8", "surrogateescape") for name in images.names)
    keys = np.array([hashlib.blake2b(prefix + name, digest_size=8).digest() for name in names], dtype="S8")
    # As numbers: a string of numpy loses the zeros at its end.
    drawn = np.argsort(np.frombuffer(keys.tobytes(), ">u8"), kind="stable")[:count]
    return np.sort(drawn).astype(np.int64)


def apply(
    images: Source,
    *,
    expression: str | None = None,
    turned: bool = True,
    unique: bool = False,
    equal: bool = False,
    count: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Source, dict[str, Any]]:
    """The images that pass: by `expression`, without duplicates, `equal` numbers a class, a sample of `count`; in turn.

    Returns:
        The images, and what was done, for the manifest: `where`, `dedupe`, `balance`, `sample` and `seed`, those that
        were asked for.

    Raises:
        ConfigError: the expression is wrong.
        DataError: no image passes, or there are no classes to balance.
    """
    done: dict[str, Any] = {}
    if expression is not None:
        known = columns(images, turned=turned)
        rows = np.flatnonzero(where(expression, known))
        if not len(rows):
            raise DataError(
                f"no image of {len(images):,} is as --where {expression!r} wants it.",
                " ".join(f"{name} is {column.span()}." for name, column in known.items() if name in expression),
            )
        images = images.select(rows)
        done["where"] = expression
    if unique:
        rows = dedupe(images, progress=progress)
        done["dedupe"] = len(images) - len(rows)
        images = images.select(rows)
    if equal:
        images = images.select(balance(images))
        done["balance"] = True
    if count is not None:
        images = images.select(sample(images, count, seed))
        done |= {"sample": count, "seed": seed}
    return images, done
