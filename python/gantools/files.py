"""Small helpers for files that must be whole or not there at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that appears as `path`, by renaming, only when the block ends without an error."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as f:
            yield f
        temporary.replace(path)
    except BaseException:
        # On a full disk the space is wanted back.
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    with atomic_write(path) as f:
        f.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
