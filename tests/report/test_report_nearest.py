"""The newest grid's samples beside the training images nearest to them, looked for once a grid."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import yaml

from gantools import _native
from gantools.data.prepared import PreparedSet
from gantools.grid import make_grid
from gantools.report import nearest
from gantools.report.nearest import CACHE, tiles
from gantools.report.write import report
from gantools.training.run import train


@pytest.fixture
def run(tiny, make_set, tmp_path):
    """A run on 160 images of 8x8, of whose newest grid of 4 the second sample is training image 130."""
    data = make_set(160, 8)
    run = train(tiny, data=data, out=tmp_path / "runs", device="cpu", progress=False)
    newest = max((run / "grids").iterdir())
    samples = tiles(_native.decode(newest.read_bytes()), 4).copy()
    samples[1] = PreparedSet(data)[130]
    newest.write_bytes(_native.encode_png(make_grid(samples)))
    return run


def never(*_, **__):
    raise AssertionError("looked for again")


@pytest.mark.parametrize(("n", "shape"), [(1, (5, 7, 3)), (4, (8, 8, 1)), (5, (3, 3, 3)), (64, (28, 28, 1))])
def test_a_grid_is_cut_into_its_images(n, shape):
    images = np.random.default_rng(0).integers(1, 256, (n, *shape), np.uint8)
    grid = make_grid(images)
    assert np.array_equal(tiles(grid, n), images)
    assert n == 1 or tiles(grid, n + 1 if n != 5 else 7) is None or shape == (3, 3, 3)
    grid[0, 0] = 9  # the frame is black
    assert tiles(grid, n) is None


def test_what_is_no_grid_of_so_many_is_none():
    grid = make_grid(np.full((9, 8, 8, 1), 7, np.uint8))
    assert tiles(grid, 64) is None and tiles(grid, 4) is None and tiles(np.zeros((2, 2, 1), np.uint8), 4) is None


def test_a_copy_stands_out(run):
    text = report(run).read_text()
    assert "no. 130<br>a copy" in text and text.count(" apart</figcaption>") == 3
    assert "The 4 nearest of 4 samples" in text and "among 160 training images" in text
    assert "Half of 64 real images are within" in text
    kept = json.loads((run / CACHE).read_text())
    assert kept["index"][1] == 130 and kept["distance"][1] == 0 and min(kept["distance"][2:]) > 0


def test_it_is_looked_for_once_a_grid(run, monkeypatch):
    first = report(run).read_text()
    with monkeypatch.context() as patch:
        patch.setattr(nearest, "nearest_images", never)
        assert report(run).read_text() == first
    newest = max((run / "grids").iterdir())
    newest.write_bytes(_native.encode_png(make_grid(np.full((4, 8, 8, 3), 9, np.uint8))))
    assert "a copy" not in report(run).read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"grid": 1}', "index", "nan", "short"])
def test_what_was_kept_and_is_damaged_is_looked_for_again(run, text):
    first = report(run).read_text()
    kept = json.loads((run / CACHE).read_text())
    if text == "index":
        text = json.dumps({**kept, "index": [0, 1, 2, 160]})
    if text == "nan":
        text = json.dumps({**kept, "distance": [float("nan")] * 4})
    if text == "short":
        text = json.dumps({**kept, "mirrored": [False]})
    (run / CACHE).write_text(text)
    assert report(run).read_text() == first
    assert json.loads((run / CACHE).read_text()) == kept


def test_where_nothing_can_be_kept_it_is_shown_all_the_same(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nearest, "write_whole", full)
    assert "a copy" in report(run).read_text() and not (run / CACHE).exists()


def test_why_it_was_not_looked_for_is_said(run, monkeypatch):
    config = yaml.safe_load((run / "config.yaml").read_text())

    def said(**changes):
        (run / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))
        return report(run).read_text()

    assert "Not looked for: the recipe is not known" in said(recipe={**config["recipe"], "model": "of.my.own"})
    assert "is no grid of 9 samples" in said(recipe={**config["recipe"], "grid": 9})
    assert "the training set is not where the run found it" in said(data={**config["data"], "fingerprint": "0"})
    shutil.rmtree(config["data"]["path"])
    assert "the training set is not where the run found it" in said()
    for grid in (run / "grids").iterdir():
        grid.unlink()
    assert "Nearest training images" not in said()
