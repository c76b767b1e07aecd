"""Curves lose no spike, stay on their axes, and are told apart."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from gantools.page import DARK, DASHES, LIGHT
from gantools.report.curves import (
    BOTTOM,
    HALF,
    HEIGHT,
    LABEL,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Curve,
    Mark,
    chart,
    smooth,
    thin,
)


def every_nth(points, most):
    return points[:: math.ceil(len(points) / most)]


def spikes_kept(thinned, points):
    values = {y for _, y in thinned}
    return {min(y for _, y in points), max(y for _, y in points)} <= values


def test_thinning_keeps_spikes_ends_and_order():
    points = [(float(i), math.sin(i / 700)) for i in range(10_000)]
    points[4321], points[7777] = (4321.0, 9.0), (7777.0, -9.0)
    found = thin(points)
    assert len(found) <= 1000 and found == sorted(found) and set(found) <= set(points)
    assert found[0] == points[0] and found[-1] == points[-1]
    assert spikes_kept(found, points)
    assert not spikes_kept(every_nth(points, 1000), points)  # what it is for


def test_few_points_are_not_thinned():
    points = [(float(i), 1.0) for i in range(1000)]
    assert thin(points) == points


def weighted(points, biased=False):
    """Each point as the weighted mean of all up to it."""
    decay = 0.5 ** (1 / max(1.0, HALF * len(points)))
    found = []
    for t in range(1, len(points) + 1):
        weights = [decay ** (t - 1 - i) for i in range(t)]
        total = sum(w * y for w, (_, y) in zip(weights, points, strict=False))
        found.append(total / (1 / (1 - decay) if biased else sum(weights)))
    return found


@pytest.mark.parametrize("n", [1, 2, 10, 300])
def test_smoothing_is_a_weighted_mean(n):
    points = [(float(i), math.cos(i) + 5) for i in range(n)]
    found = smooth(points)
    assert [x for x, _ in found] == [x for x, _ in points]
    assert [y for _, y in found] == pytest.approx(weighted(points))
    # Without its correction the beginning would be drawn to 0.
    assert [y for _, y in found] != pytest.approx(weighted(points, biased=True))


def places(svg):
    for found in re.findall(r'points="([^"]*)"', svg):
        for pair in found.split():
            x, y = map(float, pair.split(","))
            yield x, y
    for x, y in re.findall(r'<circle [^>]*cx="([^"]*)" cy="([^"]*)"', svg):
        yield float(x), float(y)


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 1.0)],
        [(5.0, 0.0), (6.0, 0.0)],
        [(0.0, -1e300), (1.0, 1e300), (2.0, 0.0)],
        [(0.0, 1e-300), (1.0, 2e-300)],
        [(9e12, 1e16), (9.1e12, 1e16 + 2)],
        [(i / 7, (-1) ** i * i) for i in range(5000)],
    ],
)
@pytest.mark.parametrize("smoothed", [True, False])
def test_every_number_is_on_the_drawing(points, smoothed):
    svg = chart("a", [Curve("loss", points)], [Mark(points[0][0], "here", 1)], 0.5, smoothed)
    assert "nan" not in svg and "inf" not in svg
    found = list(places(svg))
    assert found
    for x, y in found:
        assert LEFT <= x <= WIDTH - RIGHT and TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1


def test_a_point_is_drawn_where_its_value_is():
    svg = chart("a", [Curve("loss", [(0.0, 0.0), (5.0, 1.0), (10.0, 4.0)])], smoothed=False)
    (line,) = re.findall(r'<polyline class="smooth[^"]*" points="([^"]*)"', svg)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    expected = [(LEFT, HEIGHT - BOTTOM), (LEFT + width / 2, HEIGHT - BOTTOM - height / 4), (LEFT + width, TOP)]
    assert [tuple(map(float, pair.split(","))) for pair in line.split()] == [
        pytest.approx(p, abs=0.1) for p in expected
    ]


def test_nothing_is_drawn_of_nothing():
    assert chart("a", [Curve("loss", [])]) == "" and chart("a", []) == ""


def test_names_at_the_ends_do_not_cover_each_other():
    svg = chart("a", [Curve(f"run {i}", [(0.0, 0.0), (1.0, 1.0 + i / 1000)], i) for i in range(10)])
    heights = sorted(float(y) for y in re.findall(r'class="end" x="[^"]*" y="([^"]*)"', svg))
    assert len(heights) == 10 and all(b - a >= LABEL - 0.2 for a, b in itertools.pairwise(heights))


def test_names_at_the_ends_stay_above_the_axis():
    for n in (1, 3, 13, 20):
        svg = chart("a", [Curve(f"run {i}", [(0.0, 9.0), (1.0, i / 1000)], i) for i in range(n)])
        heights = sorted(float(y) for y in re.findall(r'class="end" x="[^"]*" y="([^"]*)"', svg))
        assert len(heights) == min(n, (HEIGHT - BOTTOM - TOP) // LABEL + 1)
        assert heights[-1] <= HEIGHT - BOTTOM + 4 and heights[0] >= TOP
        assert all(b - a >= LABEL - 0.2 for a, b in itertools.pairwise(heights))


def test_the_band_is_where_its_ends_are():
    curve = Curve("fd", [(0.0, 5.0), (10.0, 4.0)], 2, [(0.0, 4.0, 6.0), (10.0, 0.0, 10.0)])
    svg = chart("a", [curve], smoothed=False)
    (band,) = re.findall(r'<polygon class="band s2 f2" points="([^"]*)"', svg)
    height = HEIGHT - TOP - BOTTOM
    expected = [(LEFT, 0.6), (WIDTH - RIGHT, 1.0), (WIDTH - RIGHT, 0.0), (LEFT, 0.4)]
    expected = [(x, HEIGHT - BOTTOM - share * height) for x, share in expected]
    assert [tuple(map(float, pair.split(","))) for pair in band.split()] == [
        pytest.approx(p, abs=0.1) for p in expected
    ]
    long = Curve("fd", [(0.0, 0.0)], 0, [(float(i), -1.0, 1.0) for i in range(10_000)])
    assert chart("a", [long], smoothed=False).count(",") < 2500


def test_numbers_of_events_that_would_cover_each_other_are_one_text():
    curve = Curve("a", [(0.0, 0.0), (100.0, 1.0)])
    marks = [Mark(k, "x", n) for n, k in enumerate((10.0, 50.0, 50.5, 51.0, 90.0), 1)]
    found = re.findall(r'class="number"[^>]*>([^<]*)<', chart("a", [curve], marks))
    assert found == ["1", "2\u20134", "5"]
    assert chart("a", [curve], marks).count('class="event"') == 5


def test_events_of_several_runs_have_their_colours():
    marks = [Mark(10.0, "x", 1, style=0), Mark(20.0, "y", 2, style=6)]
    svg = chart("a", [Curve("a", [(0.0, 0.0), (100.0, 1.0)])], marks)
    assert 'class="event s0"' in svg and 'class="event s1"' in svg


def test_a_scale_of_one_small_value_is_about_it():
    svg = chart("a", [Curve("lr", [(0.0, 0.001), (1.0, 0.001)])], smoothed=False)
    low, high = (float(re.search(rf'data-y{i}="([^"]*)"', svg)[1]) for i in (0, 1))
    assert 0 < low < 0.001 < high < 0.002


def test_names_are_escaped():
    svg = chart('<i>"', [Curve("<script>alert(1)</script>", [(0.0, 1.0)])], [Mark(0.0, "<img src=x>", 1)])
    assert "<script" not in svg and "<img" not in svg and "<i>" not in svg


def luminance(colour):
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("colours", "ground"), [(LIGHT, "#ffffff"), (DARK, "#16161a")])
def test_colours_are_seen_on_their_background(colours, ground):
    assert all(contrast(colour, ground) >= 3 for colour in colours)
    assert contrast("#e69f00", "#ffffff") < 3  # the palette's own orange is not


def test_twenty_runs_have_a_style_of_their_own():
    assert len({Curve("a", [], i).classes for i in range(20)}) == 20 == len(LIGHT) * len(DASHES)
