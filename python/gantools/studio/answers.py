"""What is sent back: bytes and what they are, and how an address is served."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gantools.errors import GantoolsError
from gantools.studio.query import Query
from gantools.studio.shelf import NotThere, Shelf

PNG, JSON, HTML = "image/png", "application/json", "text/html; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes:
        body: the bytes.
        kind: what they are, as a media type.
        status: of HTTP.
        headers: further ones.
    """

    body: bytes
    kind: str = JSON
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def same(self) -> Answer:
        """Itself, for what is always answered alike."""
        return self


@dataclass(frozen=True)
class Route:
    """How an address is served.

    Attributes:
        answer: (shelf, parameters, body of a PUT or nothing) -> the answer. A `GantoolsError` is told to the user.
        by: the thread that networks run on, one after the other, or one of those that read files.
        method: GET, or PUT with a body.
    """

    answer: Callable[[Shelf, Query, bytes], Answer]
    by: Literal["networks", "files"] = "files"
    method: Literal["GET", "PUT"] = "GET"


def told(value: Any, status: int = 200) -> Answer:
    """Plain values as JSON."""
    return Answer(json.dumps(value, allow_nan=False).encode(), JSON, status)


def refused(error: GantoolsError) -> Answer:
    """What is wrong and what to do, for the page to show."""
    return told({"error": error.message, "hint": error.hint}, 404 if isinstance(error, NotThere) else 400)


def download(body: bytes, kind: str, name: str) -> Answer:
    """A file to keep, under a name of plain letters."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return Answer(body, kind, headers={"content-disposition": f'attachment; filename="{plain}"'})
