"""A real browser that lets a page ask for nothing but what is its own, and a page say nothing in the console.

Debian's `chromium-headless-shell` (or `chromium`) and the extra `browser`. Tests are skipped where one of them is
missing, and fail instead where GANTOOLS_NEED_BROWSER=1 says that they must be there.

    def test_it(page, axe):
        page.goto(url)                                       # the page's own origin from here on
        page.emulate_media(color_scheme="dark")
        expect(page.locator("#grid")).to_have_attribute("data-state", "7")   # never page.wait_for_function: the CSP
        assert axe(page) == []

A second tab is `page.context.new_page()`, another visitor `new_page()`. A test that provokes messages looks at `faults`
and clears it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import pytest

from tests.studios import Studio

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route

#: Set to 1 where a missing browser is an error.
NEED = "GANTOOLS_NEED_BROWSER"
PROGRAMS = ("chromium-headless-shell", "chromium")
MODULES = ("playwright", "axe_playwright_python")
#: Milliseconds until what is waited for counts as missing; machines of tests are busy.
PATIENCE = 20_000


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where a browser must be there."""
    if os.environ.get(NEED) == "1":
        pytest.fail(f"{reason}, and {NEED}=1 wants one", pytrace=False)
    pytest.skip(reason)


def program() -> str:
    """The browser that Debian installed."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return found or missing("no browser: apt-get install chromium-headless-shell")


# Of the package, not of the session: Playwright leaves an event loop running in this thread, which asyncio.run() in a
# later test would not bear.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this folder."""
    if not all(importlib.util.find_spec(name) for name in MODULES):
        missing("no Playwright: pip install -e '.[browser]'")
    path = program()
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="package")
def studio(studio_runs: Path) -> Iterator[Studio]:
    """`gantools studio` over the runs that all tests share; `page.goto(studio.link)` first, which brings the key."""
    started = Studio([studio_runs])
    yield started
    assert started.end()[0] == 0


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """What pages asked for elsewhere, and what they said in the console; must be empty at the end of a test."""
    found: list[str] = []
    yield found
    assert found == [], "\n".join(found)


@pytest.fixture
def new_page(browser: Browser, faults: list[str]) -> Iterator[Callable[..., Page]]:
    """new_page(**options of a context) -> a page of a visitor of its own, watched with all its tabs."""
    contexts: list[BrowserContext] = []

    def new(**options: Any) -> Page:
        context = browser.new_context(service_workers="block", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        _watch(context, faults)
        return context.new_page()

    yield new
    for context in contexts:
        for tab in context.pages:
            tab.title()  # there and back, so that all that it said has arrived
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page of 1280x800, light; see `new_page`."""
    return new_page()


@pytest.fixture
def axe() -> Callable[[Page], list[str]]:
    """axe(page) -> what is against its rules of accessibility: the rule, what it wants, and where."""
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Page) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [f"{v['id']}: {v['help']}: {node['html'][:200]}" for v in found for node in v["nodes"]]

    return check


def origin(url: str) -> str:
    """Scheme, host and port of an address; of a file itself, as each file is an origin of its own."""
    parts = urlsplit(url)
    return f"file://{parts.path}" if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}"


def _watch(context: BrowserContext, faults: list[str]) -> None:
    own: set[str] = set()  # the origin of the first page that was opened

    def route(asked: Route) -> None:
        request = asked.request
        if not own and request.is_navigation_request():
            own.add(origin(request.url))
        if origin(request.url) in own or urlsplit(request.url).scheme in ("data", "blob"):
            asked.continue_()
        else:
            faults.append(f"asked for {request.url}")
            asked.abort()

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"console: {message.type}: {message.text} ({message.location['url']})")

    context.route("**/*", route)
    context.on("console", said)
    context.on("weberror", lambda error: faults.append(f"error: {error.error}"))
