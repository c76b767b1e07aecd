"""All addresses that answer with something of a run or a set; the pages and their files are in `pages.py`."""

from __future__ import annotations

from gantools.studio import data, sample, scores, train, translate
from gantools.studio.answers import Route

PAGES = (sample, train, translate, data, scores)
ROUTES: dict[str, Route] = {address: route for page in PAGES for address, route in page.ROUTES.items()}
