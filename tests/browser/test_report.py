"""The report in a browser: by file://, offline, and nothing else is asked for (see conftest.py)."""

from __future__ import annotations

import numpy as np
import pytest

from gantools.page import DARK, LIGHT
from gantools.report.write import report
from gantools.training.run import train
from tests.conftest import blobs, write_prepared


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Pages of one run and of two laid over each other, of real trainings with scores."""
    folder = tmp_path_factory.mktemp("reports")
    data = write_prepared(folder / "data" / "blobs", blobs(200, 28, 1))
    overrides = ["network.width=4", "grid=4", "eval.extractor=fashion-mnist", "eval.n=60", "compute.compile=off"]
    options = {"data": data, "out": folder / "runs", "batch": 8, "kimg": 0.096, "tick_kimg": 0.024, "device": "cpu"}
    runs = [
        train("dcgan-mini", metrics=["fd"], overrides=[*overrides, *more], progress=False, **options)
        for more in ([], ["game.loss.name=hinge", "optim.lr=0.01"])
    ]
    return {"one": report(runs[0]), "two": report(runs, out=folder / "two.html")}


@pytest.fixture(params=["one", "two"])
def opened(request, reports, page):
    """The page of one run or of two, offline."""
    page.context.set_offline(True)
    page.goto(reports[request.param].as_uri())
    return page


def shown(page):
    """Sources of the grids that are seen."""
    return [image.get_attribute("src") for image in page.locator(".frames img:visible").all()]


def pixels(page):
    return page.locator(".frames").first.screenshot()


def test_the_slider_shows_other_grids_and_back(opened):
    from playwright.sync_api import expect

    slider, words = opened.locator("#kimg"), opened.locator("#kimg-words")
    expect(words).to_have_text("0.096 kimg")
    newest, seen = shown(opened), pixels(opened)
    assert len(newest) == opened.locator(".frames").count()
    slider.fill("0")
    expect(words).to_have_text("0 kimg")
    assert not set(shown(opened)) & set(newest) and pixels(opened) != seen
    slider.fill(slider.get_attribute("max"))
    expect(words).to_have_text("0.096 kimg")
    assert shown(opened) == newest and pixels(opened) == seen


def test_the_keyboard_alone_reaches_the_slider_and_moves_it(opened):
    from playwright.sync_api import expect

    for _ in range(60):
        opened.keyboard.press("Tab")
        if opened.evaluate("document.activeElement.id") == "kimg":
            break
    expect(opened.locator("#kimg")).to_be_focused()
    newest = shown(opened)
    opened.keyboard.press("ArrowLeft")
    expect(opened.locator("#kimg-words")).to_have_text("0.072 kimg")
    assert not set(shown(opened)) & set(newest)
    opened.keyboard.press("Home")
    expect(opened.locator("#kimg-words")).to_have_text("0 kimg")
    opened.keyboard.press("End")
    assert shown(opened) == newest


def test_the_button_plays_the_grids_to_the_newest(opened):
    from playwright.sync_api import expect

    newest = shown(opened)
    opened.locator("#play").press("Enter")
    expect(opened.locator("#play")).to_have_text("Pause")
    expect(opened.locator("#play")).to_have_text("Play")
    assert shown(opened) == newest


def test_the_pointer_says_the_values_in_all_charts(opened):
    from playwright.sync_api import expect

    legend = opened.locator(".legend b")
    before = legend.all_inner_texts()
    chart = opened.locator(".chart svg").first
    box = chart.bounding_box()
    opened.mouse.move(box["x"] + box["width"] * 0.15, box["y"] + box["height"] / 2)
    crosses = opened.locator(".cross[d]")
    expect(crosses).to_have_count(opened.locator(".plot").count())
    assert legend.all_inner_texts() != before
    opened.mouse.move(2, 2)
    expect(crosses).to_have_count(0)
    assert legend.all_inner_texts() == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_can_be_read_by_all(opened, axe, scheme, width):
    opened.set_viewport_size({"width": width, "height": 740})
    opened.emulate_media(color_scheme=scheme)
    opened.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert axe(opened) == []
    assert beyond(opened) == []


def beyond(page):
    """Elements that make the page wider than its window."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth && !e.parentElement.closest('.chart,.wide,.scroll'))
        .map(e => e.outerHTML.slice(0, 200))"""
    )


def rgb(colour):
    return "rgb({}, {}, {})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


def strokes(page):
    """Colours of the first lines: by style."""
    names = "['.smooth.s0', '.smooth.s1']"
    return page.evaluate(f"{names}.map(n => getComputedStyle(document.querySelector('.chart ' + n)).stroke)")


def test_the_colours_are_those_of_the_ground(opened):
    for scheme, colours, ground in (("light", LIGHT, "#ffffff"), ("dark", DARK, "#16161a")):
        opened.emulate_media(color_scheme=scheme)
        assert strokes(opened) == [rgb(colours[0]), rgb(colours[1])]
        assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == rgb(ground)


def test_on_paper_it_is_light_and_whole(opened):
    opened.emulate_media(color_scheme="dark", media="print")
    assert strokes(opened) == [rgb(LIGHT[0]), rgb(LIGHT[1])]
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == rgb("#ffffff")
    assert opened.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not opened.locator("#slide").is_visible()
    closed = opened.locator("details:not([open])")
    before = closed.count()
    assert before > 1
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert closed.count() == 0
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert closed.count() == before
    assert opened.pdf().startswith(b"%PDF")


def test_without_a_script_the_newest_grids_are_seen(reports, new_page):
    page = new_page(java_script_enabled=False)
    page.goto(reports["two"].as_uri())
    assert page.locator(".frames img:visible").count() == 2
    assert not page.locator("#slide").is_visible()


def test_what_it_shows_was_drawn(opened):
    """Every picture of the page is whole, and the bands and near training images are there."""
    sizes = opened.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(sizes) > 10 and np.min(sizes) > 0
    assert opened.locator(".band").count() == opened.locator(".frames").count()
    assert opened.locator(".near figure").count() == 4 * opened.locator(".frames").count()
