"""The built book as a reader's browser sees it: wide and narrow, without a network, every picture and formula there."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
HTML, PICTURES = ROOT / "_build" / "html", ROOT / "_build" / "screenshots"
SIZES = {"wide": (1280, 900, "light"), "narrow": (390, 844, "light"), "dark": (390, 844, "dark")}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Build the committed book with warnings as errors, and serve it."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT / "book")]
    flags = ["--warningiserror", "--nitpick", "--keep-going", "--all", "--quiet"]
    built = subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HTML)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    assert program, f"no browser: none of {', '.join(names)} is installed (Debian: apt-get install chromium)"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


def errors(message: ConsoleMessage) -> list[str]:
    """Return what a console message complains of; jupyter-book's redirect from index.html names no icon."""
    where = message.location.get("url", "")
    return [f"{message.text} {where}"] if message.type == "error" and not where.endswith("/favicon.ico") else []


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
    opened.on("requestfailed", lambda asked: complaints.append(f"{asked.url} {asked.failure}"))
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
              unset: document.querySelectorAll(".math").length - document.querySelectorAll("mjx-container").length,
            })"""
        )
        assert faults == {"broken": [], "nameless": [], "overflow": 0, "unset": 0}, f"{name}, {look}"
        assert complaints == [], f"{name}, {look}"
        page.screenshot(path=PICTURES / f"{look}-{name.replace('/', '-')}.png", full_page=True)


def test_formulas_are_rendered(page: Page, site: str) -> None:
    page.goto(site + "method.html", wait_until="networkidle")
    assert page.locator("mjx-container").count() > 10


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
