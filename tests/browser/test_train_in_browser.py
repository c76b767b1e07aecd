"""The page Train as a user has it, while runs go on, begin again, grow long and disappear."""

from __future__ import annotations

import json
import re
import shutil
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from gantools import _native
from gantools.runs.stats import STATS, append_line, cut_after
from tests.studios import Studio

DCGAN, TOLD, STYLES, CYCLE = (
    "00000-dcgan-blobs",
    "00001-cdcgan-fashion-told",
    "00002-stylegan2-celeba-blobs",
    "00003-cyclegan-64-blobs",
)
LONG = "00010-long-blobs"
LIVE = 3000  # milliseconds in which a new line is to be seen


@pytest.fixture(scope="module")
def place(studio_runs, tmp_path_factory):
    """A copy of the runs that may be changed, and a long one."""
    root = tmp_path_factory.mktemp("live") / "runs"
    shutil.copytree(studio_runs, root)
    long = root / LONG
    (long / "grids").mkdir(parents=True)
    shutil.copy(root / DCGAN / "config.yaml", long)
    last = json.loads((root / DCGAN / STATS).read_text().splitlines()[-1])
    lines = ({**last, "nimg": i * 1000, "kimg": i, "loss_d": np.sin(i / 500) + 0.1 * (i % 7)} for i in range(1, 10_001))
    (long / STATS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    for i in range(500):
        grid = np.full((10, 10, 3), (i % 256, 255 - i % 256, 40), np.uint8)
        (long / "grids" / f"kimg-{i * 20:06d}.000.png").write_bytes(_native.encode_png(grid))
    return root


@pytest.fixture(scope="module")
def live(place):
    started = Studio([place])
    yield started
    status, said = started.end()
    assert status == 0 and "Traceback" not in said, said


@pytest.fixture
def opened(page, live):
    """opened(query) -> the page with that address, all of it read."""
    page.goto(live.link)

    def open_(query=""):
        page.goto(f"{live.base}/train" + (f"?{query}" if query else ""))
        expect(page.locator("#stage")).to_have_attribute("data-state", "shown")
        return page

    return open_


def query_of(page):
    return parse_qs(urlsplit(page.url).query)


def grid_of(page, run):
    return page.locator(f'#grids [data-run="{run}"] img')


def colour(image):
    """The first pixel of an image that is shown."""
    return image.evaluate(
        """(image) => {
            const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }"""
    )


def add(run, **more):
    """Append a line to a run as its training does."""
    last = json.loads((run / STATS).read_text().splitlines()[-1])
    append_line(run / STATS, {**last, "nimg": last["nimg"] + 16, "kimg": (last["nimg"] + 16) / 1000, **more})


def test_the_newest_run_is_shown_at_first(opened):
    page = opened()
    expect(page.locator("#runs .run")).to_have_count(5)
    expect(page.get_by_role("checkbox", name=LONG)).to_be_checked()
    expect(page.get_by_text("Losses of a GAN do not measure the quality of its images")).to_be_visible()
    expect(page.locator("#again")).to_have_text(re.compile("^gantools train dcgan --data "))


def test_a_new_line_and_a_new_grid_show_at_once(opened, place):
    page = opened(f"run={DCGAN}")
    before = int(page.locator("#live").get_attribute("data-lines"))
    add(place / DCGAN, loss_d=77.25)
    expect(page.locator("#live")).to_have_attribute("data-lines", str(before + 1), timeout=LIVE)
    losses = page.locator(".plot", has=page.get_by_text("Losses", exact=True))
    expect(losses.locator(".legend")).to_contain_text("77.25")
    shutil.copy(place / DCGAN / "grids" / "kimg-000000.048.png", place / DCGAN / "grids" / "kimg-000000.064.png")
    expect(grid_of(page, DCGAN)).to_have_attribute("data-kimg", "0.064", timeout=LIVE)


def test_a_training_that_begins_again_is_read_anew(opened, place):
    page = opened(f"run={TOLD}")
    expect(page.locator("#live")).to_have_attribute("data-lines", "3")
    cut_after(place / TOLD / STATS, 16)
    expect(page.locator("#live")).to_have_attribute("data-lines", "1", timeout=LIVE)
    add(place / TOLD)
    expect(page.locator("#live")).to_have_attribute("data-lines", "2", timeout=LIVE)


def test_nothing_is_asked_while_the_page_is_not_seen(opened, page, place):
    page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => Boolean(window.away)})")
    opened(f"run={STYLES}")
    page.evaluate("window.away = true")
    page.wait_for_timeout(1000)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(4000)
    assert asked == []
    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    add(place / STYLES)
    expect(page.locator("#live")).to_have_attribute("data-lines", "4", timeout=LIVE)


def test_one_slider_for_the_grids_of_all_runs_and_a_reload_restores_it(opened):
    page = opened(f"run={LONG}&run={STYLES}")
    expect(grid_of(page, LONG)).to_have_attribute("data-kimg", "9980")
    slider = page.get_by_role("slider", name="Shown at")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "0.032 kimg")
    expect(grid_of(page, STYLES)).to_have_attribute("data-kimg", "0.032")
    expect(grid_of(page, LONG)).to_have_attribute("data-kimg", "0")  # its newest that is not newer
    assert colour(grid_of(page, LONG)) == [0, 255, 40]
    expect(page).to_have_url(re.compile(r"kimg=0\.032(&|$)"))
    page.reload()
    expect(grid_of(page, STYLES)).to_have_attribute("data-kimg", "0.032")
    expect(grid_of(page, LONG)).to_have_attribute("data-kimg", "0")
    assert colour(grid_of(page, LONG)) == [0, 255, 40]
    page.locator("body").press("]")
    page.locator("body").press("]")
    expect(grid_of(page, LONG)).to_have_attribute("data-kimg", "20")
    expect(grid_of(page, STYLES)).to_have_attribute("data-kimg", "0.048")
    slider.focus()
    page.keyboard.press("End")
    expect(page).not_to_have_url(re.compile("kimg="))


def test_grids_play_to_the_newest(opened):
    page = opened(f"run={LONG}&kimg=9900")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(grid_of(page, LONG)).to_have_attribute("data-kimg", "9980")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_the_crosshair_goes_over_all_plots_by_pointer_and_by_keys(opened):
    page = opened(f"run={LONG}")
    losses, says = page.locator(".canvas").nth(0), page.locator(".canvas").nth(1)
    losses.hover(position={"x": 150, "y": 100})
    at = float(losses.get_attribute("aria-valuenow"))
    assert 0 < at < 10_000 and says.get_attribute("aria-valuenow") == losses.get_attribute("aria-valuenow")
    expect(says.locator(".hair circle")).to_have_count(3)
    page.mouse.move(5, 5)
    losses.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(says).to_have_attribute("aria-valuenow", "9999")
    expect(losses).to_have_attribute("aria-valuetext", re.compile(r"^9,999 kimg: loss_d \d"))
    for _ in range(30):
        page.keyboard.press("PageDown")
    page.keyboard.press("Enter")  # shows the grids of that moment
    expect(page).to_have_url(re.compile("kimg=9680"))
    page.keyboard.press("Escape")
    expect(says.locator(".hair circle")).to_have_count(0)


def test_what_is_turned_stands_in_the_address(opened):
    page = opened(f"run={LONG}")
    line = page.locator(".canvas .line >> nth=0")
    before = line.get_attribute("d")
    page.get_by_role("slider", name="Smoothing").focus()
    page.keyboard.press("Home")
    expect(page).to_have_url(re.compile("smooth=0"))
    expect(line).not_to_have_attribute("d", before)
    page.locator("body").press("l")
    expect(page).to_have_url(re.compile("log=1"))
    page.get_by_text("Speed and memory").click()
    expect(page).to_have_url(re.compile("open=speed"))
    page.get_by_role("checkbox", name=DCGAN).check()
    expect(page.locator("#grids figure[data-run]")).to_have_count(2)
    expect(page).to_have_url(re.compile(f"run={DCGAN}"))
    page.reload()
    expect(page.get_by_role("checkbox", name="Logarithmic")).to_be_checked()
    expect(page.locator(".plot strong", has_text="img_per_s")).to_be_visible()
    assert query_of(page)["run"] == [LONG, DCGAN] and query_of(page)["smooth"] == ["0"]
    expect(page.locator(".plot .legend >> nth=0").locator("span")).to_have_count(2)
    page.get_by_role("checkbox", name=LONG).uncheck()
    expect(page.locator("#grids figure[data-run]")).to_have_count(1)


def test_long_runs_are_drawn_with_few_points_and_no_lost_spike(opened, place):
    page = opened(f"run={LONG}&smooth=0")
    expect(page.locator("#live")).to_have_attribute("data-lines", "10000")
    d = page.locator(".canvas .line >> nth=0").get_attribute("d")
    assert len(re.findall("[ML]", d)) < 4 * 1280
    add(place / LONG, nimg=10_001_000, kimg=10_001, loss_d=-50.0)
    expect(page.locator(".canvas >> nth=0")).to_contain_text("-40")


def test_two_checkpoints_side_by_side_wiped_and_in_turn(opened):
    page = opened(f"run={STYLES}")
    page.locator("body").press("c")
    versus = page.locator("#versus")
    expect(versus).to_have_attribute("data-state", "settled")
    expect(page.locator("#name-a")).to_have_text(f"{STYLES}, 0.016 kimg")
    expect(page.locator("#name-b")).to_have_text(f"{STYLES}, 0.048 kimg")
    page.locator("body").press("w")
    wipe = page.get_by_role("slider", name="Left of here the first")
    wipe.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#image-b")).to_have_css("clip-path", "inset(0px 0px 0px 51%)")
    box = page.locator("#image-a").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 9)
    expect(page.locator("#image-b")).to_have_css("clip-path", "inset(0px 0px 0px 25%)")
    expect(page).to_have_url(re.compile("compare=wipe.*wipe=25"))
    second = page.get_by_role("slider", name="Checkpoint").nth(1)
    second.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#image-b")).to_have_attribute("data-shown", f"{STYLES}/0.032/0")
    page.get_by_label("Seed", exact=True).fill("9")
    page.keyboard.press("Enter")
    expect(page.locator("#image-a")).to_have_attribute("data-shown", f"{STYLES}/0.016/9")
    expect(versus).to_have_attribute("data-state", "settled")
    expect(page).to_have_url(re.compile("seed=9"))
    page.reload()
    expect(versus).to_have_attribute("data-state", "settled")
    expect(page.locator("#image-b")).to_have_attribute("data-shown", f"{STYLES}/0.032/9")
    expect(page.locator("#image-b")).to_have_css("clip-path", "inset(0px 0px 0px 25%)")
    page.locator("body").press("x")  # in turn, by hand
    expect(page.locator("#image-b")).to_have_css("opacity", "1")
    page.locator("body").press("x")
    expect(page.locator("#image-b")).to_have_css("opacity", "0")


def test_a_run_that_makes_images_from_images_has_no_seeds_to_compare(opened):
    page = opened(f"run={CYCLE}")
    expect(page.locator("#compare-part")).to_be_hidden()
    expect(grid_of(page, CYCLE)).to_have_attribute("data-state", "shown")


def test_a_run_that_is_removed_is_a_word(opened, place):
    run = place / "00011-gone-blobs"
    shutil.copytree(place / DCGAN, run)
    page = opened(f"run={run.name}")
    shutil.rmtree(run)
    expect(page.locator("#status")).to_contain_text(f"{run.name} was removed meanwhile", timeout=LIVE)
    expect(page.locator("#health")).to_contain_text("what was read of it is still shown")
    expect(page.locator(".plot")).not_to_have_count(0)
    page.reload()
    expect(page.locator("#status")).to_contain_text(f"Not there (any more): {run.name}")
    page.get_by_role("checkbox", name=DCGAN).check()
    expect(page.locator(".plot")).not_to_have_count(0)


def test_a_run_that_begins_appears(opened, place):
    page = opened(f"run={DCGAN}")
    run = place / "00012-new-blobs"
    (run / "grids").mkdir(parents=True)
    expect(page.locator("#status")).to_contain_text(f"A new run: {run.name}", timeout=LIVE)
    page.get_by_role("checkbox", name=run.name).check()
    expect(page.locator("#runs .run", has_text=run.name)).to_contain_text("no tick yet")
    (run / STATS).write_bytes(b"{\n\xff\n" + json.dumps({"nimg": 1000, "loss_d": 3.5}).encode() + b"\n{")
    expect(page.locator(".plot", has_text="loss_d").locator(".legend").first).to_contain_text("3.5")
    expect(page.locator("#health")).to_contain_text("2 damaged lines")
    shutil.rmtree(run)


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_everybody_can_use_it(opened, page, axe, look):
    page.set_viewport_size({"width": 360 if look == "narrow" else 1280, "height": 800})
    page.emulate_media(color_scheme="dark" if look == "dark" else "light")
    opened(f"run={LONG}&run={STYLES}&open=rates,speed,further&compare=wipe")
    expect(page.locator("#versus")).to_have_attribute("data-state", "settled")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened(f"run={LONG}")
    assert axe(page) == []
