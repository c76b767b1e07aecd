"""Where gantools keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "GANTOOLS_CACHE"


def cache_folder() -> Path:
    """The folder named by `GANTOOLS_CACHE`, else `$XDG_CACHE_HOME/gantools`, else `~/.cache/gantools`."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gantools"
