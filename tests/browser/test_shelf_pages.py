"""The pages Translate, Data and Scores as a user has them."""

from __future__ import annotations

import base64
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from gantools import _native
from gantools.data.prepared import PreparedSet
from gantools.sampling.generator import Generator
from tests.browser.test_sample_page import pixels
from tests.studio.test_scores_page import result
from tests.studios import Studio

CYCLE = "00003-cyclegan-64-blobs"
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)


def settled(page):
    expect(page.locator("[data-state]").first).to_have_attribute("data-state", "settled")


@pytest.fixture
def opened(page, studio):
    """opened(address) -> the page there, once it is settled."""

    def open_(address):
        page.goto(studio.link)
        page.goto(studio.base + address)
        settled(page)
        return page

    return open_


def query_of(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def png(name="mine.png"):
    return {"name": name, "mimeType": "image/png", "buffer": _native.encode_png(IMAGE)}


def translated(studio_runs, image=IMAGE, **controls):
    generator = Generator.load(studio_runs / CYCLE, device="cpu")
    return generator.translate([image], controls=controls)[0]


def test_an_upload_is_translated_as_the_command_does_and_a_reload_restores_it(opened, studio_runs):
    page = opened("/translate")
    assert query_of(page)["side"] == "inputs"
    page.locator("#upload").set_input_files(png())
    expect(page).to_have_url(re.compile(r"image="))
    assert np.array_equal(pixels(page), translated(studio_runs))
    expect(page.locator("#command")).to_contain_text(f"{CYCLE} mine.png --checkpoint 0.048")
    page.get_by_role("slider", name="back").press("End")
    expect(page).to_have_url(re.compile(r"c\.back=1"))
    wanted = translated(studio_runs, back=1.0)
    assert np.array_equal(pixels(page), wanted) and not np.array_equal(wanted, translated(studio_runs))
    page.reload()
    assert np.array_equal(pixels(page), wanted)
    expect(page.locator("#before")).to_have_attribute("alt", "Before: mine.png")


def test_a_drop_and_a_paste_are_uploads(opened, studio_runs):
    page = opened("/translate")
    give = """([kind, name, data]) => {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), given = new DataTransfer();
        given.items.add(new File([bytes], name, {type: 'image/png'}));
        const event = kind === 'drop' ? new DragEvent('drop', {dataTransfer: given, cancelable: true})
          : new ClipboardEvent('paste', {clipboardData: given, cancelable: true});
        window.dispatchEvent(event);
    }"""
    data = base64.b64encode(_native.encode_png(IMAGE)).decode()
    for kind, name in (("drop", "dropped.png"), ("paste", "pasted.png")):
        page.evaluate(give, [kind, name, data])
        expect(page.locator("#before")).to_have_attribute("alt", f"Before: {name}")
        assert np.array_equal(pixels(page), translated(studio_runs))


def test_the_wipe_moves_by_keyboard_and_stays(opened):
    page = opened(f"/translate?run={CYCLE}")
    line, wipe = page.locator("#wipe i"), page.get_by_role("slider", name="Wipe")
    at = line.bounding_box()["x"]
    wipe.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"wipe=40"))
    assert line.bounding_box()["x"] < at
    page.keyboard.press("End")
    box, whole = line.bounding_box(), page.locator("#wipe").bounding_box()
    assert abs(box["x"] - whole["x"] - whole["width"]) < 3
    page.reload()
    settled(page)
    expect(wipe).to_have_value("100")
    # Both pictures have one size on the page, also at 1:1.
    page.get_by_role("radio", name="1:1").check()
    sizes = [page.locator(name).bounding_box() for name in ("#before", "#picture")]
    assert sizes[0] == sizes[1] and (sizes[0]["width"], sizes[0]["height"]) == (16, 16)


def test_what_is_no_image_is_said_and_nothing_breaks(opened, faults):
    page = opened("/translate")
    for name, body, words in (
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("cut.png", _native.encode_png(IMAGE)[:300], "damaged PNG"),
        ("empty.png", b"", "the file is empty"),
    ):
        page.locator("#upload").set_input_files({"name": name, "mimeType": "image/png", "buffer": body})
        expect(page.get_by_role("status")).to_contain_text(words)
    assert all("400 (Bad Request)" in fault for fault in faults), faults
    faults.clear()
    page.get_by_role("button", name="Image 6 of blobs").first.click()
    expect(page).to_have_url(re.compile(r"index=6"))
    settled(page)


def shown(page):
    settled(page)
    return [int(n) for n in page.locator("#shown button").evaluate_all("list => list.map((b) => b.dataset.index)")]


def test_a_class_changes_pictures_and_address_and_a_reload_restores_both(opened, studio_runs):
    data = PreparedSet(studio_runs.parent / "data" / "told")
    page = opened("/data?set=told&per=12")
    assert shown(page) == list(range(12))
    expect(page.locator("#pages")).to_have_text("of 4")
    page.get_by_label("Class").select_option("2")
    expect(page).to_have_url(re.compile(r"class=2"))
    wanted = np.flatnonzero(data.labels == 2).tolist()
    expect(page.locator("#shown button").first).to_have_attribute("data-index", "2")
    assert shown(page) == wanted[:12]
    page.locator("body").press("]")
    expect(page.locator("#shown button").first).to_have_attribute("data-index", str(wanted[12]))
    assert query_of(page)["page"] == "1"
    page.reload()
    assert shown(page) == wanted[12:]
    expect(page.locator("#command")).to_contain_text("--grid 12 --class 2 --from 12")


def test_an_image_is_opened_and_left_by_keyboard(opened, studio_runs):
    page = opened("/data?set=blobs&per=12")
    page.locator("#shown button").nth(4).press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("000004.png")
    expect(page).to_have_url(re.compile(r"index=4"))
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("000005.png")
    page.reload()
    expect(dialog).to_contain_text("000005.png")
    settled(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#shown button").nth(5)).to_be_focused()
    assert "index" not in query_of(page)


@pytest.fixture(scope="module")
def scored(studio_runs, tmp_path_factory):
    """A studio in a folder with three results."""
    place = tmp_path_factory.mktemp("scored")
    (place / "scores").mkdir()
    for name, one in (("a", result(30.0)), ("b", result(7.5, samples="b")), ("c", result(100.0, protocol="clean"))):
        (place / "scores" / f"{name}.json").write_text(one.to_json())
    started = Studio([studio_runs], cwd=place)
    yield started
    assert started.end()[0] == 0


def test_scores_are_sorted_compared_and_restored(page, scored):
    page.goto(scored.link)
    page.goto(f"{scored.base}/scores")
    settled(page)
    values = page.locator("#table tbody strong")
    expect(values).to_have_text(["30", "7.5", "100"])
    sort = page.get_by_role("button", name="Value")
    sort.press("Enter")
    expect(values).to_have_text(["7.5", "30", "100"])
    expect(sort).to_be_focused()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Value")
    page.keyboard.press("Enter")
    expect(values).to_have_text(["100", "30", "7.5"])
    boxes = page.locator("#table tbody input")
    boxes.nth(1).press("Space")
    boxes.nth(2).press("Space")
    expect(page.locator("#reasons")).to_contain_text("the numbers compare")
    boxes.nth(0).press("Space")
    expect(page.locator("#reasons")).to_contain_text("by different protocols: tf and clean")
    page.reload()
    expect(values).to_have_text(["100", "30", "7.5"])
    expect(page.locator("#compared strong")).to_have_text(["30", "7.5", "100"])
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as CSV").click()
    assert saved.value.path().read_text().count("\n") == 4


PAGES = {
    "/translate": "#picture",
    "/data?set=told&class=1": "#stage",
    "/data?set=told&show=equal": "#stage",
    "/data?set=told&show=rejects": "#stage",
    "/data?set=blobs&index=3": "#large[open]",
    "/scores": "#stage",
}


@pytest.mark.parametrize("address", PAGES)
def test_pages_can_be_read_by_all_in_light_dark_and_narrow(page, axe, scored, address):
    page.goto(scored.link)
    page.goto(scored.base + address)
    settled(page)
    expect(page.locator(PAGES[address])).to_be_visible()
    if address == "/scores":
        for box in page.locator("#table tbody input").all():
            box.check()
        expect(page.locator("#beside")).to_be_visible()
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        assert axe(page) == [], (scheme, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_anything_to_show_pages_say_what_to_do(page, studio):
    page.goto(studio.link)
    page.goto(f"{studio.base}/scores")
    expect(page.locator("#empty")).to_contain_text("gantools score RUN")
