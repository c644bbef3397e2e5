"""The built book as a reader's browser sees it: wide and narrow, without a network, every picture and formula there."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from browser import HTML, ROOT
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

PICTURES = ROOT / "_build" / "screenshots"
SIZES = {"wide": (1280, 900, "light"), "narrow": (390, 844, "light"), "dark": (390, 844, "dark")}


def errors(message: ConsoleMessage) -> list[str]:
    """Return what a console message complains of; jupyter-book's redirect from index.html names no icon."""
    where = message.location.get("url", "")
    return [f"{message.text} {where}"] if message.type == "error" and not where.endswith("/favicon.ico") else []


def unanswered(asked: Request) -> list[str]:
    """Return a request that failed, unless it was only given up when the next page was opened."""
    return [] if asked.failure == "net::ERR_ABORTED" else [f"{asked.url} {asked.failure}"]


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(params=SIZES)
def page(browser: Browser, site: str, complaints: list[str], request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page that notes every error, failed answer and request to elsewhere."""
    width, height, scheme = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(300_000)  # milliseconds
    opened = context.new_page()
    opened.on("console", lambda message: complaints.extend(errors(message)))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("requestfailed", lambda asked: complaints.extend(unanswered(asked)))
    opened.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith((site, "data:", "blob:")) else complaints.append(asked.url),
    )
    yield opened
    context.close()


def pages() -> list[str]:
    found = (path.relative_to(HTML) for path in HTML.rglob("*.html") if "_static" not in path.parts)
    return sorted(map(str, found))


def test_every_page_is_whole(page: Page, site: str, complaints: list[str], request: pytest.FixtureRequest) -> None:
    look = request.node.callspec.params["page"]
    PICTURES.mkdir(exist_ok=True)
    assert {"intro.html", "method.html", "references.html"} <= set(pages())
    for name in pages():
        page.goto(site + name, wait_until="networkidle")
        faults = page.evaluate(
            """() => ({
              broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src),
              nameless: [...document.querySelectorAll("main img")]
                .map(i => i.alt).filter(alt => /^$|_images/.test(alt)),
              overflow: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
            })"""
        )
        if any(faults.values()) or complaints:
            page.screenshot(path=PICTURES / f"{look}-{name.replace('/', '-')}.png", full_page=True)
        assert faults == {"broken": [], "nameless": [], "overflow": 0}, f"{name}, {look}"
        assert complaints == [], f"{name}, {look}"


def test_formulas_have_the_size_of_the_text(page: Page, site: str) -> None:
    page.goto(site + "method.html", wait_until="networkidle")
    heights = page.evaluate("[...document.querySelectorAll('math')].map(math => math.getBoundingClientRect().height)")
    assert len(heights) > 10 and min(heights) > 5


def test_search_finds_a_word_of_the_method(page: Page, site: str) -> None:
    page.goto(site + "search.html?q=denoiser", wait_until="networkidle")
    results = page.locator("#search-results li a", has_text="Method")
    results.first.wait_for()
    assert "method.html" in str(results.first.get_attribute("href"))


def test_an_executed_notebook_can_be_downloaded(page: Page, site: str) -> None:
    page.goto(site + "notebooks/03_evaluation.html", wait_until="networkidle")
    link = page.locator("a.btn-download-source-button").first.evaluate("link => link.href")
    with urllib.request.urlopen(link) as answer:
        assert json.load(answer)["metadata"]["papermill"]["succeeded"] is True
