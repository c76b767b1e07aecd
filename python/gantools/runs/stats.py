"""The numbers of a run: `stats.jsonl`, one JSON line a tick."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gantools.files import write_whole

#: Of a run.
STATS = "stats.jsonl"


def append_line(path: Path, values: dict[str, Any]) -> None:
    """Append one JSON object as a line; it is on disk when this returns."""
    with path.open("a", encoding="utf-8") as f:
        f.write(json.dumps(values) + "\n")
        f.flush()
        os.fsync(f.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a stats file; a last line that was cut off by a crash is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if isinstance(line, dict):
            lines.append(line)
    return lines


def cut_after(path: Path, nimg: int) -> None:
    """Remove the lines of ticks later than `nimg`: a training that resumes there will write them again."""
    kept = [line for line in read_lines(path) if line.get("nimg", 0) <= nimg]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
