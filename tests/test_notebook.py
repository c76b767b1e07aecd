"""Views for notebooks: small, escaped, without scripts, and never an error."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gantools
from gantools.grid import make_grid
from gantools.metrics.networks import protocols
from gantools.metrics.results.scores import Provenance, Score, Scores
from gantools.notebook import BYTES, COUNT, SIDE, image, page, picture, quiet, reduced, table

NASTY = '<script>alert("x")</script>&'


class Tags(HTMLParser):
    """The tags of a page, each of which must be closed, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)))


def shown(view: str) -> bytes:
    found = re.search(r"data:image/png;base64,([\w+/=]+)", view)
    assert found is not None
    return base64.b64decode(found[1])


@pytest.mark.parametrize(("size", "channels"), [(8, 3), (28, 1), (64, 3), (256, 3), (300, 1), (317, 3), (1024, 3)])
def test_a_grid_is_small_whatever_the_images(size: int, channels: int) -> None:
    # Noise is what compresses worst.
    noise = np.random.default_rng(0).integers(0, 256, (20, size, size, channels), np.uint8)
    png = picture(noise)
    assert len(png) <= BYTES and max(pixels(png).shape[:2]) <= SIDE
    if size <= 28:
        expected = make_grid(noise[:COUNT])
        assert np.array_equal(pixels(png), expected[..., 0] if channels == 1 else expected)


def test_the_grid_of_one_image_and_of_a_thin_one() -> None:
    assert pixels(picture(np.zeros((1, 4, 6, 3), np.uint8))).shape == (8, 10, 3)
    assert max(pixels(picture(np.zeros((2, 3, 4000, 3), np.uint8))).shape) <= SIDE


def test_pixels_are_means_of_blocks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 7, 9, 3), np.uint8)
    small = reduced(images, 2)
    assert small.shape == (2, 3, 4, 3)
    assert np.array_equal(small[1, 2, 3], np.rint(images[1, 4:6, 6:8].reshape(4, 3).mean(0)))


def test_text_is_escaped_everywhere() -> None:
    png = picture(np.zeros((1, 4, 4, 3), np.uint8))
    text = page(NASTY, table([[NASTY, "1"]], [NASTY, "b"]), image(png, NASTY), notes=[NASTY])
    found = Tags(text)
    assert "script" not in found.tags and found.text.count(NASTY) == 4
    assert shown(text) == png


def test_a_view_that_fails_is_none() -> None:
    class Broken:
        @quiet
        def _repr_html_(self) -> str:
            raise MemoryError

        @quiet
        def _repr_png_(self) -> bytes:
            raise KeyboardInterrupt

    assert Broken()._repr_html_() is None
    with pytest.raises(KeyboardInterrupt):
        Broken()._repr_png_()


def test_a_prepared_set(make_set: Callable[..., Path]) -> None:
    path = make_set(40, 8, name="a&b", classes=3)
    data = gantools.open(path)
    assert np.array_equal(pixels(data._repr_png_()), make_grid(data.gather(np.arange(COUNT))))
    view = data._repr_html_()
    assert view is not None and shown(view) == data._repr_png_()
    found = Tags(view)
    assert "a&b" in found.text and "40 of 8 x 8, 3 channels" in found.text and data.fingerprint in found.text
    next(path.glob("*.npy")).unlink()
    damaged = data
    damaged._reader = None  # type: ignore[assignment]
    assert damaged._repr_png_() is None
    assert "img" not in Tags(damaged._repr_html_() or "").tags  # the rest is still there


def scores(*values: float | None) -> Scores:
    name = next(iter(protocols.PROTOCOLS))
    made = Provenance(name, "inception", "2048", 2048, "ab" * 32)
    found = tuple(
        Score(f"s{i}", f"Score {i} {NASTY}", value, "lower", made, None, {"route": NASTY})
        for i, value in enumerate(values)
    )
    versions = {"gantools": "1"}
    return Scores(found, NASTY, 10, "ref", None, "id", 4, "cpu", 0, versions, {}, (f"Few {NASTY}",))


@pytest.mark.parametrize("values", [(12.3456,), (12.3456, None, float("inf"))])
def test_scores(values: tuple[float | None, ...]) -> None:
    found = scores(*values)
    view = found._repr_html_()
    assert view is not None
    tags = Tags(view)
    assert "script" not in tags.tags and "12.3456" in tags.text and f"Few {NASTY}" in tags.text
    assert ("none" in tags.text and "infinite" in tags.text) is (len(values) == 3)
    assert "an unstated number of images, ref" in tags.text and "weights sha256 abababab" in tags.text
    # What the page says of how they were made is what the text says.
    for line in str(found).splitlines()[len(values) :]:
        assert line[13:] in tags.text
    one = found.scores[0]._repr_html_()
    assert one is not None and "12.3456" in Tags(one).text and "script" not in Tags(one).tags
