"""Scores of a training have intervals where these take seconds; that they are those of `gantools score` is tested in
test_run.py."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from gantools.recipes.recipe import EvalConfig
from gantools.training.evaluate import Evaluator


@pytest.mark.parametrize(
    ("metrics", "extractor", "images", "expected"),
    [
        (("fd",), "fashion-mnist", 10**6, True),
        (("fid",), None, 100, False),  # 2048 wide: half a minute a time
        (("fd", "kid"), "fashion-mnist", 2000, True),
        (("fd", "kid"), "fashion-mnist", 2001, False),  # all pairs
    ],
)
def test_intervals_are_measured_where_they_take_seconds(metrics, extractor, images, expected):
    job = SimpleNamespace(recipe=SimpleNamespace(eval=EvalConfig(metrics, extractor)), data=range(images))
    gallery = SimpleNamespace(state=SimpleNamespace(device="cpu"))
    assert Evaluator(job, Path(), gallery)._interval(500) is expected
