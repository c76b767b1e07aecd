"""All addresses that answer with something of a run or a set; the pages and their files are in `pages.py`."""

from __future__ import annotations

from gantools.studio import sample, train
from gantools.studio.answers import Route

ROUTES: dict[str, Route] = {**sample.ROUTES, **train.ROUTES}
