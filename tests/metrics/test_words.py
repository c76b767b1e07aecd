"""Sentences about scores: each stands where it is true, and does not where it is not."""

from __future__ import annotations

from typing import Any

import pytest

from gantools.metrics.numbers.intervals import Interval
from gantools.metrics.registry import METRICS
from gantools.metrics.results.scores import Provenance, Score, Scores
from gantools.metrics.results.words import explain, explain_difference, is_frechet

INCEPTION = Provenance("tf", "inception", "pool3", 2048, "a" * 64)
FALLS = "falls? as the number of images grows"


def scores(*keys: str, n: int = 100, reference: str | None = "ref", interval: bool = False, **more: Any) -> Scores:
    pixels = ("psnr", "ssim", "niqe")
    found = tuple(
        Score(
            key,
            key.upper(),
            1.0,
            "lower",
            None if key in pixels else INCEPTION,
            Interval(1.0, 0.1, 0.8, 1.2, 0.95, 40) if interval else None,
        )
        for key in keys
    )
    inputs = more.pop("inputs", {"samples": mix(PNG=n)})
    made = {"batch": 32, "device": "cpu", "seed": None, "versions": {"torch": "2"}, "warnings": (), **more}
    return Scores(found, "a", n, reference, None if reference is None else 50, reference, inputs=inputs, **made)


def mix(sizes: dict[str, int] | None = None, **formats: int) -> dict[str, Any]:
    n = sum(formats.values())
    return {"count": n, "formats": formats, "sizes": sizes or {"32x32": n}, "modes": {"RGB": n}}


FRECHET = ["fid", "fid-768", "fid-clean", "fd-inception-64", "sfid", "mifid", "per-class", "fd-dinov2", "fd-clip"]
OTHERS = ["kid", "kid-clean", "is", "precision", "coverage", "vendi", "psnr", "niqe", "fid-inf", "cmmd", "memorisation"]


@pytest.mark.parametrize("key", FRECHET + OTHERS)
def test_only_frechet_distances_fall_with_n(key: str) -> None:
    import re

    said = " ".join(explain(scores(key, "ssim", interval=True)))
    differ = " ".join(explain_difference(scores(key).to_dict(), scores(key, n=200, inputs={}).to_dict()))
    for text in (said, differ):
        assert bool(re.search(FALLS, text)) == (key in FRECHET)
    assert ("the bias that the number of images brings" in said) == (key in FRECHET)
    assert "100 and 200 samples" in differ


def test_every_metric_is_told_apart() -> None:
    frechet = {k for k in METRICS if is_frechet(k)}
    assert frechet == {"fid", "fd", "sfid", "mifid", "per-class", "fd-dinov2", "fd-clip"}


def test_the_reference_is_named_where_there_is_one() -> None:
    assert any("against the same reference" in s for s in explain(scores("kid")))
    assert not any("same reference" in s for s in explain(scores("niqe", reference=None)))


@pytest.mark.parametrize(
    ("key", "formats", "reference", "said"),
    [
        ("fid", {"JPEG": 5}, "r", True),
        ("fid", {"PNG": 5}, "r", False),
        ("fid", {"PNG": 5, "JPEG": 1}, "r", True),
        ("psnr", {"JPEG": 5}, "r", False),
        ("is", {"JPEG": 5}, None, False),
    ],
)
def test_jpeg_is_said_of_distances_of_jpegs(key: str, formats: Any, reference: str | None, said: bool) -> None:
    found = explain(scores(key, reference=reference, inputs={"samples": mix(**formats)}))
    assert any("JPEG moves features" in s for s in found) == said


@pytest.mark.parametrize(
    ("keys", "said"), [(("fid",), True), (("psnr",), False), (("kid", "psnr"), True), (("niqe",), False)]
)
def test_protocols_are_said_of_networks(keys: tuple[str, ...], said: bool) -> None:
    found = explain(scores(*keys))
    assert any("brought to the network by" in s for s in found) == said
    assert any("by the other protocols" in s for s in found) == said


def differences(x: dict[str, Any], y: dict[str, Any]) -> list[str]:
    a, b = (scores("fid", n=m["count"], inputs={"samples": m}).to_dict() for m in (x, y))
    return [
        w for w in ("formats", "sizes", "modes") if any(f"samples's {w} differ" in s for s in explain_difference(a, b))
    ]


@pytest.mark.parametrize("n", [1, 7, 50, 99])
def test_a_number_of_images_alone_is_no_difference_of_their_files(n: int) -> None:
    assert differences(mix(PNG=100), mix(PNG=n)) == []
    many = {f"{k}x{k}": 1 for k in range(100)}
    assert differences(mix(many, PNG=100), mix(dict(list(many.items())[:n]), PNG=n)) == []


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (mix(PNG=100), mix(JPEG=50), ["formats"]),
        (mix(PNG=100), mix(PNG=25, JPEG=25), ["formats"]),
        (mix(PNG=99, JPEG=1), mix(PNG=100), ["formats"]),
        (mix({"8x8": 100}, PNG=100), mix({"9x9": 50}, PNG=50), ["sizes"]),
        (mix(PNG=10), {**mix(PNG=10), "modes": {"grey": 10}}, ["modes"]),
        (mix(PNG=10), mix(PNG=10), []),
    ],
)
def test_files_of_another_kind_are_a_difference(x: dict[str, Any], y: dict[str, Any], said: list[str]) -> None:
    assert differences(x, y) == differences(y, x) == said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch": 8}, "images a forward pass"),
        ({"device": "cuda"}, "device"),
        ({"versions": {"torch": "3"}}, "Versions"),
    ],
)
def test_what_differs_is_said_and_nothing_else(change: dict[str, Any], words: str) -> None:
    a = scores("fid").to_dict()
    (only,) = explain_difference(a, scores("fid", **change).to_dict())
    assert only.startswith(words)
    assert explain_difference(a, scores("fid").to_dict()) == []
