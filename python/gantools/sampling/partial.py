"""The folder of translated images, and what of one that a stopped command left the same command can go on with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gantools.errors import DataError
from gantools.files import atomic_write

#: What the manifest of translated images says that it is, and the file.
FORMAT, FORMAT_VERSION, MANIFEST = "gantools-translations", 1, "manifest.json"
# Of a folder that is not whole yet: what decides its images.
PLAN = "plan.json"


def begin(partial: Path, plan: Mapping[str, Any], inputs: Any, overwrite: bool) -> set[str]:
    """The files that a stopped call of this plan has made in `partial`, which is there afterwards.

    Raises:
        DataError: it holds what another call left, or something else.
    """
    given = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
    text = json.dumps({**plan, "inputs": given}, indent=1)
    if partial.exists():
        file = partial / PLAN
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            for leftover in partial.rglob("*.tmp"):
                leftover.unlink()
            return {p.relative_to(partial).as_posix() for p in partial.rglob("*.png")}
        ours = file.is_file() or (partial.is_dir() and not any(partial.iterdir()))
        if not (overwrite and ours):
            raise DataError(
                f"{partial}: holds a stopped call of other images or settings."
                if ours
                else f"{partial}: is in the way.",
                "Discard it with --overwrite, or choose another place with --out."
                if ours
                else "Move it away, or choose another place with --out.",
            )
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    with atomic_write(partial / PLAN) as f:
        f.write(text.encode())
    return set()


def publish(partial: Path, target: Path) -> None:
    """Gives the folder, whose manifest is written, its name in the place of what is there."""
    (partial / PLAN).unlink()
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def stamp(path: Path) -> list[int]:
    """Size and time of a file: another one where it has been written anew; nothing of a pattern."""
    if not path.exists():
        return []
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def weights_stamp(checkpoint: Path) -> list[list[Any]]:
    """What is another one when the weights of a checkpoint are."""
    return [[p.name, *stamp(p)] for p in sorted(checkpoint.glob("*.safetensors"))]
