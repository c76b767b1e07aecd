"""Small helpers for files and folders that must be whole or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gantools.errors import DataError


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that appears as `path`, by renaming, only when the block ends without an error.

    The temporary name has the process and the thread in it, so that two writers of one file do not meet.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
    try:
        with temporary.open("wb") as f:
            yield f
        temporary.replace(path)
    except BaseException as e:
        # On a full disk the space is wanted back.
        temporary.unlink(missing_ok=True)
        # A failed write does not say of which file. Errors of libraries that only derive from OSError have no number,
        # and would lose their message by a file name.
        if isinstance(e, OSError) and e.errno is not None and e.filename is None:
            e.filename = str(path)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    with atomic_write(path) as f:
        f.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def write_whole(path: Path, data: bytes) -> None:
    """Writes `data`, atomically; it is on the disk, not only in the system's memory, when this returns."""
    with atomic_write(path) as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


@contextmanager
def whole_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder to fill, renamed to `path` at the end; on an error it is removed and `path` is as before.

    Args:
        path: the folder to make; its parents are made as well.
        overwrite: replace `path` when it exists; otherwise an existing non-empty `path` is an OSError at the end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if overwrite and path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            path.rename(old)
            try:
                temporary.rename(path)
            except BaseException:
                old.rename(path)
                raise
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_replaceable(
    target: Path, manifest: str, format: str, what: str, overwrite: bool, option: str = "with --out"
) -> None:
    """Refuse a folder to write into that holds something, unless it is of the same kind and may be replaced.

    Args:
        target: the folder.
        manifest: name of the file in it that says what kind of folder it is.
        format: what that file says of the kind.
        what: the kind, for messages, such as `samples`.
        overwrite: whether one of the same kind may be replaced.
        option: how another place is chosen, for the hint.

    Raises:
        DataError: it may not be written.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise DataError(f"{target}: exists already.", f"Replace it with --overwrite, or choose another place {option}.")
    try:
        ours = json.loads((target / manifest).read_bytes())["format"] == format
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise DataError(
            f"{target}: holds other things than {what} of gantools; not replacing it.",
            f"Choose another place {option}.",
        )
