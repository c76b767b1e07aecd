"""The fixtures of this folder: a page that asks elsewhere, complains or cannot be read by all is noticed."""

from __future__ import annotations

import time

import pytest

from tests.browser import conftest

GOOD = "<!doctype html><html lang=en><title>a</title><main><h1>a</h1><p>words</p></main>"
FOREIGN = "http://evil.example/x"


@pytest.fixture
def opened(page, tmp_path):
    """opened(html) -> the page that shows it."""

    def open_(html):
        (tmp_path / "other.png").write_bytes(b"")
        (tmp_path / "a.html").write_text(html)
        page.goto((tmp_path / "a.html").as_uri())
        return page

    return open_


def test_a_good_page_is_quiet(opened, axe, faults):
    assert axe(opened(GOOD)) == [] and faults == []


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (f"<img alt='' src='{FOREIGN}.png'>", "asked for http://evil.example/x.png"),
        (f"<link rel=stylesheet href='{FOREIGN}.css'>", "asked for"),
        (f"<script>fetch('{FOREIGN}').catch(()=>0)</script>", "asked for"),
        (f"<iframe title=a src='{FOREIGN}'></iframe>", "asked for"),
        (f"<script>location='{FOREIGN}'</script>", "asked for"),
        ("<img alt='' src='other.png'>", "other.png"),  # a report has no other files either
        ("<script>console.warn('hm')</script>", "console: warning: hm"),
        ("<script>console.error('oh')</script>", "console: error: oh"),
        ("<script>setTimeout(()=>{throw Error('late')},1)</script>", "error: "),
        ("<script>Promise.reject(Error('lost'))</script>", "error: "),
    ],
)
def test_what_a_page_must_not_do_is_a_fault(opened, faults, more, word):
    page = opened(GOOD + more)
    end = time.monotonic() + 20
    while not faults and time.monotonic() < end:
        page.wait_for_timeout(20)
    assert any(word in fault for fault in faults), faults
    page.close()  # it says no more from here on
    faults.clear()


def test_a_second_tab_is_watched(opened, faults):
    tab = opened(GOOD).context.new_page()
    tab.goto(opened(GOOD).url)
    tab.evaluate("console.error('second')")
    tab.title()
    assert any("second" in fault for fault in faults)
    faults.clear()


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        (GOOD + "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "image-alt"),
        (GOOD.replace("<p>", "<p style='color:#ccc'>"), "color-contrast"),
        (GOOD + "<input>", "label"),
    ],
    ids=["picture", "contrast", "label"],
)
def test_axe_finds_what_it_should(opened, axe, html, rule):
    assert any(found.startswith(rule) for found in axe(opened(html)))


def test_a_missing_browser_is_a_skip_unless_one_is_wanted(monkeypatch):
    monkeypatch.setattr(conftest, "PROGRAMS", ("gantools-no-such-browser",))
    monkeypatch.delenv(conftest.NEED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="chromium-headless-shell"):
        conftest.program()
    monkeypatch.setenv(conftest.NEED, "1")
    with pytest.raises(pytest.fail.Exception, match=conftest.NEED):
        conftest.program()
