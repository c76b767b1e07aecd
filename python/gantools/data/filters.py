"""Which of a source's images go into a set: by an expression over annotations, equal numbers a class, no duplicates.

An expression compares names with values, joined by `&`, `|` and parentheses; `&` binds more strongly:

    Smiling=1 & (Male=-1 | Young=1)
    partition!=test & lefteye_x>60
    class=Sandal | class='Ankle boot'
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.data.annotations import PARTITIONS
from gantools.data.sources.base import Source
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.progress import Progress

Mask = NDArray[np.bool_]
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_TOKEN = re.compile(r"\s*(?:(?P<op>!=|[=<>&|()])|'(?P<quoted>[^']*)'|(?P<word>-?[\w.]+))")
SYNTAX = 'Write for example: "Smiling=1 & (Male=-1 | Young=1)", with = != < > & | and parentheses.'
# Deeper nesting than this is no filter that anyone wrote, and would end in Python's own limit.
MAX_DEPTH = 50


class Column:
    """One name that an expression may use.

    Args:
        values: integers (n,).
        words: what else may stand for a number, for example `train` for 0.
        ordered: whether `<` and `>` mean anything.
    """

    def __init__(self, values: NDArray[Any], words: dict[str, int] | None = None, *, ordered: bool = True) -> None:
        self.values, self.words, self.ordered = values, words or {}, ordered


def columns(images: Source) -> dict[str, Column]:
    """What can be compared: `class`, and each annotation (of one column) or its columns by their names."""
    found = {}
    if images.labels is not None and images.classes is not None:
        words = {name: i for i, name in enumerate(images.classes)}
        found["class"] = Column(images.labels, words, ordered=False)
    for name, annotation in images.annotations.items():
        if annotation.columns is None:
            words = PARTITIONS if name == "partition" else {}
            found[name] = Column(annotation.values, words, ordered=name != "partition")
        else:
            for i, column in enumerate(annotation.columns):
                found[column] = Column(annotation.values[:, i])
    return found


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
            if not self.known:
                raise ConfigError(f"filter {self.text!r}: these images have neither classes nor annotations.")
            raise unknown_name("name in the filter", name, self.known)
        column = self.known[name]
        comparison = self.accept(*COMPARISONS)
        if comparison is None:
            raise self.wrong(f"expected =, !=, < or > after {name}")
        if comparison in "<>" and not column.ordered:
            raise ConfigError(f"filter {self.text!r}: {name} has no order; compare it with = or !=.")
        value, quoted = self.word("a value")
        compared: Mask = COMPARISONS[comparison](column.values, self.value(name, column, value, quoted))
        return compared

    def value(self, name: str, column: Column, text: str, quoted: bool) -> int:
        if text in column.words:
            return column.words[text]
        if not quoted and re.fullmatch(r"-?\d{1,18}", text):
            return int(text)
        if column.words:
            raise unknown_name(f"value of {name}", text, column.words)
        raise ConfigError(f"filter {self.text!r}: {name} is compared with whole numbers, not {text!r}.", SYNTAX)


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


def apply(
    images: Source,
    *,
    expression: str | None = None,
    unique: bool = False,
    equal: bool = False,
    progress: bool = False,
) -> tuple[Source, dict[str, Any]]:
    """The images that pass, first by `expression`, then without duplicates, then `equal` numbers a class.

    Returns:
        The images, and what was done, for the manifest: `where`, `dedupe` and `balance`, those that were asked for.

    Raises:
        ConfigError: the expression is wrong.
        DataError: no image passes, or there are no classes to balance.
    """
    done: dict[str, Any] = {}
    if expression is not None:
        rows = np.flatnonzero(where(expression, columns(images)))
        if not len(rows):
            raise DataError(f"no image is as --where {expression!r} wants it.", "gantools info shows what there is.")
        images = images.select(rows)
        done["where"] = expression
    if unique:
        rows = dedupe(images, progress=progress)
        done["dedupe"] = len(images) - len(rows)
        images = images.select(rows)
    if equal:
        images = images.select(balance(images))
        done["balance"] = True
    return images, done
