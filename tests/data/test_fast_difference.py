"""What docs/formats.md says that `--fast` changes is what it changes."""

from __future__ import annotations

import numpy as np
import pytest

import gantools


@pytest.mark.parametrize(("name", "largest", "most"), [("lanczos", 6, 1), ("bilinear", 6, 1), ("box", 35, 16)])
def test_fast_differs_by_no_more_than_was_measured(test_data, tmp_path, name, largest, most):
    options = {"source": test_data / "data/celeba", "size": 16, "filter": name, "sample": 400, "progress": False}
    exact, fast = (gantools.prep("celeba", fast=f, out=tmp_path / str(f), **options) for f in (False, True))
    rows = np.arange(400)
    apart = np.abs(exact.gather(rows).astype(int) - fast.gather(rows))
    assert 0 < apart.max() <= largest
    # A sample has its own percentile, at most a level from that of all.
    assert np.quantile(apart, 0.999) <= most + 1
