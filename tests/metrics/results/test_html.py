"""The report is for a reader: words, names, scales, in one file; and no text of a program."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gantools import _native
from gantools.metrics.images.preflight import Preflight, summary
from gantools.metrics.networks import protocols
from gantools.metrics.networks.published import PUBLISHED, own_kind
from gantools.metrics.numbers.kernels import mmd
from gantools.metrics.results.details import WORDS, input_words, kernel_words, number
from gantools.metrics.results.html import write_report
from gantools.metrics.results.scores import Scores
from gantools.metrics.scorer import score
from gantools.page import ticks

FEATURES = ("fd", "kid", "prc", "dc", "mifid", "memorisation", "vendi", "fid-inf", "per-class")
PAIRS = ("psnr", "ssim")
#: Elements that have no end.
VOID = {"meta", "img", "br", "circle", "line", "path", "rect", "polyline"}


class Page(HTMLParser):
    """The elements of a page in their order, as (tag, attributes, text within), and its visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[int] = []
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.seen: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], "an element has no end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        last = self.open.pop()
        assert self.elements[last][0] == tag, f"{tag} ends within {self.elements[last][0]}"

    def handle_data(self, data: str) -> None:
        for i in self.open:
            self.elements[i][2].append(data)
        if not any(self.elements[i][0] in ("style", "title") for i in self.open):
            self.seen.append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, " ".join(text)) for name, attributes, text in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.seen)


def blobs(n: int, spread: float, seed: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:28, 0:28] / 28
    a, b, c = np.random.default_rng(seed).uniform(0.2, spread, (3, n, 1, 1))
    return (np.exp(-((x - a) ** 2 + (y - b) ** 2) / (0.1 * c + 0.02)) * 255).astype(np.uint8)


def write(folder: Path, images: NDArray[np.uint8], name: str) -> Path:
    for i, image in enumerate(images):
        place = folder / ("boots" if i % 2 else "coats") / f"{name} {i:03d} <&>.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("sides")
    return write(root / "ours", blobs(44, 0.9, 0), "made"), write(root / "theirs", blobs(44, 0.7, 1), "real")


@pytest.fixture(scope="module")
def found(folders: tuple[Path, Path]) -> Scores:
    ours, theirs = folders
    return score(ours, ref=theirs, metrics=FEATURES, extractor="fashion-mnist", device="cpu", cache=False)


@pytest.fixture(scope="module")
def page(found: Scores, folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Page:
    file = write_report(found, *folders, tmp_path_factory.mktemp("page") / "report.html")
    assert [p.name for p in file.parent.iterdir()] == ["report.html"]
    return Page(file.read_text("utf-8"))


@pytest.fixture(scope="module")
def pairs(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Scores, Page]:
    place = tmp_path_factory.mktemp("pairs")
    ours, theirs = write(place / "ours", blobs(6, 0.9, 0), "one"), write(place / "theirs", blobs(6, 0.7, 1), "one")
    result = score(ours, ref=theirs, metrics=PAIRS, cache=False)
    return result, Page(write_report(result, ours, theirs, place / "r.html").read_text("utf-8"))


def test_all_of_it_is_in_the_file(page: Page, pairs: tuple[Scores, Page]) -> None:
    for one in (page, pairs[1]):
        for tag, attributes, _ in one.elements:
            assert tag not in ("script", "link", "iframe", "object", "base")
            for name in ("src", "href", "srcset", "data", "action"):
                assert (attributes.get(name) or "data:").startswith("data:")
        style = " ".join(text for _, text in one.all("style"))
        assert "url(" not in style and "@import" not in style


def test_no_text_of_a_program(page: Page, pairs: tuple[Scores, Page]) -> None:
    for one in (page, pairs[1]):
        text = one.text
        assert not re.search(r'[{}]|"\w+":|\w+\(\w+=|\b(None|True|False|nan|inf)\b|Kernel\.|\bdict\b', text)
        # Names of fields; file names of this test have spaces.
        assert re.findall(r"\b[a-z]+_[a-z_]+\b", text.replace("test_", "")) == []


def test_every_score_is_there_with_its_value_and_how_it_was_made(page: Page, found: Scores) -> None:
    rows = [text for _, text in page.all("tr")]
    for s in found:
        (row,) = [r for r in rows if r.startswith(f"{s.name} ") and f"{float(s):.6g}" in r]
        assert f"{s.better} is better" in row
    assert "kernel (x·y / 128 + 1)³" in page.text
    assert re.search(r"100 subsets, 44 images each", page.text)


def test_every_detail_has_words(found: Scores, pairs: tuple[Scores, Page]) -> None:
    keys = {key for s in (*found, *pairs[0]) for key in s.details}
    assert len(keys) > 20 and keys <= WORDS.keys()


def test_names_stand_under_the_nearest(page: Page, found: Scores) -> None:
    captions = [text for _, text in page.all("figcaption")]
    nearest = found["memorisation-fashion-mnist"].details["nearest"]
    assert len([c for c in captions if "made" in c and "real" in c]) == len(nearest) == 8
    ours, theirs = (
        sorted(f"{'boots' if i % 2 else 'coats'}/{name} {i:03d} <&>.png" for i in range(44))
        for name in ("made", "real")
    )
    for sample, near, distance in nearest:
        assert any(ours[sample] in c and theirs[near] in c and number(distance) in c for c in captions)


def test_names_and_pictures_stand_under_the_worst_pairs(pairs: tuple[Scores, Page]) -> None:
    result, page = pairs
    captions = [text for _, text in page.all("figcaption")]
    for s in result:
        for name, value in s.details["worst"]:
            assert any(c.count(name) == 2 and f"{value:.5g}" in c for c in captions)
    assert len(page.all("figure")) == 2 * 6


def test_the_histogram_has_a_scale(page: Page, found: Scores) -> None:
    told = found["fd-fashion-mnist"].details["histogram"]
    ticks = [(float(a["x"] or ""), float(t)) for a, t in page.all("text") if a.get("class") == "x"]
    shares = [(float(a["y"] or ""), float(t.removesuffix(" %"))) for a, t in page.all("text") if a.get("class") == "y"]
    assert len(ticks) >= 3 and len(shares) >= 3 and shares[0][1] == 0
    assert all(told["low"] <= value <= told["high"] for _, value in ticks)
    for marks in (ticks, shares):
        places, values = np.array(marks).T
        slopes = np.diff(values) / np.diff(places)
        np.testing.assert_allclose(slopes, slopes.mean(), rtol=0.02)  # places are rounded to a tenth of a pixel
    # The tallest bar reaches the share that the scale says.
    bars = [a for a, _ in page.all("rect")]
    per_pixel = abs((shares[-1][1] - shares[0][1]) / (shares[-1][0] - shares[0][0]))
    tallest = max(float(a["height"] or "") for a in bars) * per_pixel
    counts = [c for side in ("samples", "reference") for c in told[side]]
    assert len(bars) == len(told["samples"])
    assert tallest == pytest.approx(100 * max(told["samples"]) / sum(told["samples"]), abs=0.2)
    assert max(counts) > 0 and "share of the images" in page.text and told["what"] in page.text


@pytest.mark.parametrize("seed", range(30))
def test_ticks_are_few_round_and_within(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = float(rng.normal() * 10.0 ** rng.integers(-4, 5))
    high = low + float(rng.uniform(0.1, 1) * 10.0 ** rng.integers(-3, 6))
    found = ticks(low, high)
    assert 2 <= len(found) <= 7 and found == sorted(found)
    assert all(low - 1e-6 * (high - low) <= v <= high + 1e-6 * (high - low) for v in found)
    step = found[1] - found[0]
    digit = step / 10.0 ** np.floor(np.log10(step * 1.000001))
    assert min(abs(digit - round_one) for round_one in (1, 2, 5)) < 1e-3


def test_protocols_are_said_in_words(page: Page) -> None:
    assert "TF1 bilinear to 28x28, ITU-R 601 grey" in page.text
    for name in {*protocols.PROTOCOLS, *(network.protocol for network in PUBLISHED.values())}:
        said = protocols.words(name)
        assert said != name and len(said.split()) >= 4, name


@pytest.mark.parametrize("resize", _native.RESIZE_RULES)
@pytest.mark.parametrize("crop", ["none", "center"])
def test_protocols_of_own_networks_are_said_in_words(resize: str, crop: str) -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.AdaptiveAvgPool2d(1))
    (name,) = own_kind(net, size=16, resize=resize, crop=crop, mean=(0.5, 0.25, 0.5)).protocols
    said = protocols.words(name)
    assert resize not in said and "own" not in said.split() and "to 16x16" in said
    assert "mean 0.5, 0.25, 0.5" in said and "deviation 0.229, 0.224, 0.225" in said
    assert ("centre square" in said) == (crop == "center")


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (_native.Kernel.polynomial(1 / 2048, 1, 3), "kernel (x·y / 2048 + 1)³"),
        (_native.Kernel.polynomial(1 / 128, 0, 2), "kernel (x·y / 128)²"),
        (_native.Kernel.polynomial(0.3, 1.5, 12), "kernel (0.3 x·y + 1.5)¹²"),
        (_native.Kernel.gaussian(10), "kernel exp(-|x - y|² / (2 · 10²))"),
        (_native.Kernel.gaussian(0.5), "kernel exp(-|x - y|² / (2 · 0.5²))"),
    ],
)
def test_kernels_are_formulas(kernel: Any, words: str) -> None:
    assert kernel_words(repr(kernel)) == words


def test_a_kernel_as_the_scores_have_it() -> None:
    x = np.random.default_rng(0).normal(size=(8, 6))
    assert kernel_words(mmd(x, x).kernel) == "kernel (x·y / 6 + 1)³"


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (Preflight("a", 0), "0 images"),
        (Preflight("a", 1, {(3, 4): 1}, {"RGB": 1}, {"PNG": 1}), "1 image: 3x4; RGB; PNG"),
        (
            Preflight("a", 9, {(3, 4): 4, (8, 8): 2, (9, 9): 2, (7, 7): 1}, {"RGB": 9}, {"JPEG": 5, "PNG": 4}, alpha=2),
            "9 images: 4 3x4, 2 8x8, 2 9x9 and 1 more kinds; RGB; 5 JPEG, 4 PNG; 2 with transparency",
        ),
        (Preflight("a", 1200, {(3, 4): 1200}, duplicates=1100), "1,200 images: 3x4; 1,100 copies of others"),
    ],
)
def test_files_are_said_in_words(side: Preflight, words: str) -> None:
    assert input_words(summary(side)) == words
