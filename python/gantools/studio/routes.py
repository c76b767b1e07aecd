"""All addresses that answer with something of a run or a set; the pages and their files are in `pages.py`."""

from __future__ import annotations

from gantools.studio import data, sample, scores, translate
from gantools.studio.answers import Route

ROUTES: dict[str, Route] = {**sample.ROUTES, **translate.ROUTES, **data.ROUTES, **scores.ROUTES}
