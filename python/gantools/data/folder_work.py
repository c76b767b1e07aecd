"""The folder in which a set is made: locked, gone on with, and given its name when it is whole.

Everything happens in `OUT.partial` (a share's in a folder of its own), which holds the document of its plan; what a
stopped run of another plan left there is refused.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantools.data.prepared import digest, is_prepared, read_manifest
from gantools.errors import DataError
from gantools.files import atomic_write

PLAN = "plan.json"


def link(source: Path, target: Path) -> None:
    """The file under a second name where the disk allows it, else a copy; whole or not there."""
    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    # Two names of one file are left alone by a rename.
    temporary.unlink(missing_ok=True)


def replaceable(target: Path) -> bool:
    """Whether a folder may be replaced: it holds a prepared set, or nothing."""
    return target.is_dir() and (is_prepared(target) or not any(target.iterdir()))


def is_done(target: Path, document: dict[str, Any], overwrite: bool) -> bool:
    """Whether `target` holds the set of this plan already, so that there is nothing to do.

    Raises:
        DataError: it holds something else that may not be replaced.
    """
    if not target.exists():
        return False
    if not overwrite:
        if complete(target, document):
            return True
        raise DataError(
            f"{target} exists and is something else.",
            "Choose another place with --out, or replace it with --overwrite.",
        )
    if not replaceable(target):
        raise DataError(f"{target} is not a prepared set; --overwrite does not delete it.", "Choose another --out.")
    return False


@contextmanager
def working_folder(partial: Path, document: dict[str, Any], overwrite: bool) -> Iterator[None]:
    """The folder of an unfinished set, locked against a second run; what a run with another plan left is refused."""
    partial.mkdir(parents=True, exist_ok=True)
    with (partial.parent / f".{partial.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{partial}: another gantools prep is at work on it.", "Wait for it, or use --out."
            ) from None
        try:
            file = partial / PLAN
            ours = file.is_file() and file.read_text() == _text(document)
            if not ours and any(partial.iterdir()) and not complete(partial, document):
                if not overwrite:
                    raise DataError(
                        f"{partial}: holds a stopped run of another source, policy or version.",
                        "Discard it with --overwrite, or choose another place with --out.",
                    )
                shutil.rmtree(partial)
                partial.mkdir()
            if not ours:
                with atomic_write(file) as f:
                    f.write(_text(document).encode())
            yield
        finally:
            Path(lock.name).unlink(missing_ok=True)


def complete(folder: Path, document: dict[str, Any]) -> bool:
    """Whether `folder` holds the whole set of this plan.

    An unfinished set's folder does where the run was killed in the moment before it got its name.
    """
    return is_prepared(folder) and read_manifest(folder).get("plan") == digest(document)


def publish(partial: Path, target: Path) -> None:
    """Removes what only a stopped run needs and gives the folder its name."""
    # Records, and temporary files of a run that was killed.
    for leftover in [*partial.glob("images-*.json"), *partial.rglob("*.tmp")]:
        leftover.unlink()
    (partial / PLAN).unlink(missing_ok=True)
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)


def _text(document: dict[str, Any]) -> str:
    # In the order of the manifest, which a merge writes from this file.
    return json.dumps(document, indent=1)
