"""The page Sample as a user has it: what is turned shows, in the picture and in the address."""

from __future__ import annotations

import base64
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from gantools import _native
from gantools.grid import make_grid
from gantools.sampling.generator import Generator
from gantools.sampling.latents import blend


def settled(page):
    expect(page.locator("#picture")).to_have_attribute("data-state", "settled")


def pixels(page):
    """The picture that is shown, uint8 (h, w, 3)."""
    settled(page)
    width, height, text = page.evaluate(
        """() => {
            const image = document.querySelector('#picture'), canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
            return [canvas.width, canvas.height, btoa(Array.from(data, (b) => String.fromCharCode(b)).join(''))];
        }"""
    )
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[:, :, :3]


@pytest.fixture
def opened(page, studio):
    """opened(query) -> the page with that address."""

    def open_(query=""):
        page.goto(studio.link)
        if query:
            page.goto(f"{studio.base}/sample?{query}")
        settled(page)
        return page

    return open_


def query_of(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_the_link_opens_the_newest_run_that_samples_and_hides_its_key(page, studio):
    page.goto(studio.link)
    settled(page)
    # The newest run of all makes images from images, which is for another page.
    assert query_of(page)["run"] == "00002-stylegan2-celeba-blobs"
    expect(page.locator("#run option")).to_have_count(3)


def test_the_picture_is_what_sample_writes(opened, studio_runs):
    run = studio_runs / "00000-dcgan-blobs"
    page = opened("run=00000-dcgan-blobs&kind=grid&seed=3&n=9")
    wanted = make_grid(Generator.load(run, device="cpu").sample(9, seed=3))
    np.testing.assert_array_equal(pixels(page), wanted)
    with page.expect_download() as kept:
        page.get_by_role("link", name="Save picture", exact=True).click()
    assert kept.value.path().read_bytes() == _native.encode_png(wanted)


def test_a_slider_changes_pixels_and_address_and_a_reload_restores_both(opened):
    page = opened("run=00002-stylegan2-celeba-blobs&seed=1&n=4")
    before = pixels(page)
    slider = page.get_by_role("slider", name="truncation")
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("c.truncation=0.6"))
    after = pixels(page)
    assert not np.array_equal(after, before)
    page.reload()
    np.testing.assert_array_equal(pixels(page), after)
    assert query_of(page)["c.truncation"] == "0.6"


def test_the_keyboard_alone_reseeds_and_steps_through_checkpoints(opened):
    page = opened("run=00000-dcgan-blobs&seed=1&n=4")
    before = pixels(page)
    page.locator("body").press("[")
    expect(page).to_have_url(re.compile("checkpoint=0.032"))
    assert not np.array_equal(pixels(page), before)
    page.locator("body").press("]")
    expect(page).to_have_url(re.compile("checkpoint=0.048"))
    np.testing.assert_array_equal(pixels(page), before)
    page.locator("body").press("Enter")
    expect(page).not_to_have_url(re.compile("seed=1(&|$)"))
    page.locator("body").press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_between_four_images_by_keys_and_by_pointer(opened, studio_runs):
    page = opened("run=00000-dcgan-blobs&kind=pad&seeds=1,2,3,4&x=0&y=0")
    corner = pixels(page)
    page.get_by_role("slider", name="To the right").focus()
    page.keyboard.press("End")
    expect(page).to_have_url(re.compile("x=1&y=0"))
    right = pixels(page)
    assert not np.array_equal(corner, right)
    box = page.locator("#pad").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    expect(page).to_have_url(re.compile("x=0.5&y=0.25"))
    generator = Generator.load(studio_runs / "00000-dcgan-blobs", device="cpu")
    z = blend(generator.keys(seeds=[1, 2, 3, 4]), 0.5, 0.25)
    np.testing.assert_array_equal(pixels(page), generator.from_latents(z)[0])
    expect(page.locator("#pad img")).to_have_count(4)


def test_a_walk_plays_and_stops_where_it_is(opened):
    page = opened("run=00000-dcgan-blobs&kind=walk&seeds=1,2&frames=30&fps=60")
    first = pixels(page)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#status")).to_contain_text(re.compile("Frame [1-9]"))
    page.get_by_role("button", name="Pause").click()
    expect(page).to_have_url(re.compile(r"frame=[1-9]"))
    assert not np.array_equal(pixels(page), first)


def test_a_mixture_shows_what_is_mixed_at_its_edges(opened):
    page = opened("run=00002-stylegan2-celeba-blobs&kind=mix&seeds=1,2&others=3,4,5&low=2&high=6")
    expect(page.locator("#down img")).to_have_count(2)
    expect(page.locator("#across img")).to_have_count(3)
    assert pixels(page).shape == (2 * 18 + 2, 3 * 18 + 2, 3)
    picture, head = (page.locator(place).bounding_box() for place in ("#picture", "#across img >> nth=0"))
    factor = picture["width"] / (3 * 18 + 2)
    assert head["x"] == pytest.approx(picture["x"] + 2 * factor, abs=1)
    assert head["width"] == pytest.approx(16 * factor, abs=1)


def test_a_click_on_a_grid_opens_that_image(opened, studio_runs):
    page = opened("run=00001-cdcgan-fashion-told&kind=grid&n=9&seed=2")  # a row a class: 0, 3, 6; 1, 4, 7; 2, 5, 8
    box = page.locator("#picture").bounding_box()
    page.mouse.click(box["x"] + 0.83 * box["width"], box["y"] + 0.5 * box["height"])
    expect(page).to_have_url(re.compile("kind=one&seed=2&index=7"))
    generator = Generator.load(studio_runs / "00001-cdcgan-fashion-told", device="cpu")
    np.testing.assert_array_equal(pixels(page), generator.numbered(7, 1, seed=2)[0])


def test_a_saved_picture_that_is_dropped_comes_back_with_its_state(opened):
    page = opened("run=00002-stylegan2-celeba-blobs&kind=grid&seed=8&n=3&c.truncation=0.5")
    kept = pixels(page)
    with page.expect_download() as saved:
        page.get_by_role("link", name="with its state").click()
    file = base64.b64encode(saved.value.path().read_bytes()).decode()
    opened("run=00000-dcgan-blobs")
    page.evaluate(
        """(text) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], 'a.png', {type: 'image/png'}));
            dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
        }""",
        file,
    )
    expect(page).to_have_url(re.compile("seed=8&n=3&c.truncation=0.5"))
    np.testing.assert_array_equal(pixels(page), kept)


def test_what_is_refused_is_said_and_the_page_lives_on(opened, faults):
    page = opened("run=00000-dcgan-blobs&kind=seeds&seeds=1,2")
    page.get_by_label("Seeds", exact=True).last.fill("1,x")
    page.keyboard.press("Enter")
    expect(page.locator("#status.wrong")).to_contain_text("'x'")
    page.get_by_label("Seeds", exact=True).last.fill("3 4")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("seeds=3,4"))
    settled(page)
    assert any("400" in fault for fault in faults)  # the browser's own line about a refused picture
    faults.clear()


def test_two_tabs_do_not_disturb_each_other(opened, studio):
    page = opened("run=00000-dcgan-blobs&seed=1&n=4")
    other = page.context.new_page()
    other.goto(f"{studio.base}/sample?run=00002-stylegan2-celeba-blobs&seed=1&n=4")
    settled(other)
    before = pixels(page)
    page.reload()
    np.testing.assert_array_equal(pixels(page), before)


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_everybody_can_use_it(opened, axe, look):
    page = opened()
    page.set_viewport_size({"width": 360 if look == "narrow" else 1280, "height": 800})
    page.emulate_media(color_scheme="dark" if look == "dark" else "light")
    for query in ("run=00002-stylegan2-celeba-blobs&kind=mix", "run=00001-cdcgan-fashion-told&kind=walk"):
        opened(query)
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened("run=00000-dcgan-blobs&kind=pad")
    assert axe(page) == []
