"""Sets that torchvision knows how to download, kept in gantools' cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gantools.cache import cache_folder
from gantools.errors import DownloadError, cause


def by_torchvision(
    kind: str,
    dataset: str,
    *,
    calls: Sequence[dict[str, Any]],
    pick: Callable[[Path], Path],
    elsewhere: str,
    folder: str | None = None,
) -> Path:
    """The folder of a set, downloaded by torchvision on first use.

    Args:
        kind: the source's name on the command line.
        dataset: the class in `torchvision.datasets`.
        calls: the arguments to call it with, beside the folder and `download`, for each part that is wanted.
        pick: from the folder that was downloaded into to the folder in it that is the set.
        elsewhere: where else the set is to be had, for the hint of an error.
        folder: what the folder is called in the cache; None for `dataset`.

    Raises:
        DownloadError: torchvision is not installed, or the download failed; nothing is left of it.
    """
    try:
        from torchvision import datasets
    except ImportError as e:
        raise DownloadError(
            f"{kind}: no --source was given, and downloading needs torchvision.",
            f"Type: pip install 'gantools[download]'  or: gantools prep {kind} --source FOLDER",
        ) from e
    root = cache_folder() / "data"
    done = root / (folder or dataset)
    if done.is_dir():
        return done
    root.mkdir(parents=True, exist_ok=True)
    try:
        # Into a folder of its own first: a download that is cut must not look like a set.
        with tempfile.TemporaryDirectory(dir=root) as temporary:
            for arguments in calls:
                getattr(datasets, dataset)(temporary, download=True, **arguments)
            pick(Path(temporary)).replace(done)
    except (OSError, RuntimeError, StopIteration) as e:
        raise DownloadError(f"{kind}: the download failed ({cause(e)}).", elsewhere) from e
    return done
