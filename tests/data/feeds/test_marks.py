"""Landmarks that a feed of pairs gives: a function of seed and position, mirrored with their images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import write_prepared

from gantools.data.feeds import open_feed
from gantools.data.prepared import PreparedSet
from gantools.errors import DataError

SIZE = 16


def spots(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images with a point of its own brightness at each of five places, and the places x, y."""
    images = np.zeros((n, SIZE, SIZE, 1), np.uint8)
    points = np.zeros((n, 5, 2), np.float32)
    for i in range(n):
        # Left and right ones are what they are called.
        columns = [rng.integers(0, 7), rng.integers(9, 16), 8, rng.integers(0, 7), rng.integers(9, 16)]
        for k, (x, y) in enumerate(zip(columns, (2, 2, 6, 12, 12), strict=True)):
            images[i, y, x], points[i, k] = 40 * (k + 1), (x, y)
    return images, points


@pytest.fixture
def sets(tmp_path) -> tuple[Any, PreparedSet]:
    images, points = spots(24, np.random.default_rng(0))
    data = PreparedSet(write_prepared(tmp_path / "targets", images))
    inputs = PreparedSet(write_prepared(tmp_path / "inputs", images))
    data.__dict__["annotations"] = {"marks": points.reshape(-1, 10)}
    return data, inputs


def feed(data: Any, inputs: Any, **options: Any) -> Any:
    given = {"seed": 3, "device": torch.device("cpu"), "largest": 8, "channels_last": False, **options}
    return open_feed("paired", data, inputs=inputs, **given)


@pytest.mark.parametrize("flip", [False, True])
def test_marks_are_where_their_spots_are(sets, flip):
    opened = feed(*sets, flip=flip)
    seen = 0
    for position in (0, 40):
        sample = opened.at(position, 24)
        marks = sample.extras["marks"]
        assert marks.shape == (24, 5, 2) and marks.dtype == torch.float32
        for image, points in zip(sample.inputs, marks.long(), strict=True):
            for x, y in points.tolist():
                assert float(image[0, y, x]) > -1
            assert points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0]
            first = round((float(image[0, 2, points[0, 0]]) + 1) * 127.5)
            seen += first == 80  # the mirrored right eye, which now is the left one
    assert (seen > 5) is flip
    opened.close()


def test_they_depend_on_seed_and_position_alone(sets):
    opened = feed(*sets, flip=True)
    whole, part = opened.at(5, 8), opened.at(7, 3)
    assert torch.equal(whole.extras["marks"][2:5], part.extras["marks"])
    other = feed(*sets, flip=True, seed=4)
    assert not torch.equal(other.at(5, 8).extras["marks"], whole.extras["marks"])
    opened.close()
    other.close()


def test_sets_without_marks_have_no_extras_and_wrong_ones_are_named(sets):
    data, inputs = sets
    data.__dict__["annotations"] = {}
    opened = feed(data, inputs)
    assert opened.at(0, 4).extras == {}
    opened.close()
    data.__dict__["annotations"] = {"marks": np.zeros((24, 4), np.float32)}
    with pytest.raises(DataError, match="marks are of shape"):
        feed(data, inputs)
