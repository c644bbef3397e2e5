"""What a reader must be able to count on: numbers on a phone, contrast, weight, an answer on the first screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import HTML, ROOT
from playwright.sync_api import Browser, Page, Response

from cpd.study.arms import ARMS
from cpd.study.claims import CLAIMS, OURS, reader

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
RULES = {  # in the dark only colours are others
    "light": {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]},
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"], "resultTypes": ["violations"]},
}
OPEN = "document.querySelectorAll('details').forEach(fold => { fold.open = true; })"
SEEN = "node => node.checkVisibility({contentVisibilityAuto: true, opacityProperty: true, visibilityProperty: true})"

Opening = Callable[..., Page]


@pytest.fixture(scope="module")
def opening(browser: Browser, site: str) -> Iterator[Opening]:
    """Return what opens a page of the book."""
    contexts: dict[str, Any] = {}

    def opened(name: str, size: dict[str, int], scheme: str = "light") -> Page:
        key = f"{size} {scheme}"
        if key not in contexts:
            contexts[key] = browser.new_context(viewport=size, color_scheme=scheme).new_page()  # type: ignore[arg-type]
            contexts[key].set_default_timeout(300_000)  # milliseconds
        contexts[key].goto(site + name)
        return contexts[key]

    return opened


def pages() -> list[str]:
    """Return the pages that are written, without those that Sphinx makes."""
    found = {str(path.relative_to(HTML)) for path in HTML.rglob("*.html") if "_static" not in path.parts}
    return sorted(found - {"index.html", "genindex.html", "search.html"})


def shortened(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is wrong by page, without the pages where nothing is."""
    return {name: faults for name, faults in found.items() if faults}


def test_every_number_of_a_table_is_on_a_phone_s_screen(opening: Opening) -> None:
    def hidden(name: str) -> list[str]:
        page = opening(name, PHONE)
        page.evaluate(OPEN)
        return page.evaluate(
            """() => [...document.querySelectorAll("main td")].filter(cell => {
                 const box = cell.getBoundingClientRect();
                 return /\\d/.test(cell.innerText) && box.width && (box.left < 0 || box.right > innerWidth + 1);
               }).map(cell => cell.innerText.slice(0, 30))"""
        )

    assert shortened({name: hidden(name) for name in pages()}) == {}


@pytest.mark.parametrize("scheme", RULES)
def test_no_page_fails_wcag(opening: Opening, scheme: str) -> None:
    def violations(name: str) -> list[str]:
        page = opening(name, DESK, scheme)
        page.evaluate(OPEN)
        found = Axe().run(page, options=RULES[scheme]).response["violations"]
        return [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"][:3]]

    assert shortened({name: violations(name) for name in pages()}) == {}


def test_pages_without_pictures_are_light(opening: Opening, site: str) -> None:
    def weight(name: str) -> float:
        loaded: set[str] = set()

        def note(answer: Response) -> None:
            loaded.add(answer.url)

        page = opening("references.html", PHONE)
        page.on("response", note)
        opening(name, PHONE)
        page.remove_listener("response", note)
        files = [HTML / url.removeprefix(site).partition("?")[0] for url in loaded if url.startswith(site)]
        assert HTML / name in files and len(files) > 5
        pictures = page.locator("main img, main image").count()
        return 0 if pictures else sum(file.stat().st_size for file in files) / 1e6

    assert shortened({name: mb for name in pages() if (mb := weight(name)) > 1.5}) == {}


def test_every_figure_has_a_caption_and_words_of_its_own_for_those_who_do_not_see_it(opening: Opening) -> None:
    def faults(name: str) -> list[str]:
        page = opening(name, DESK)
        page.evaluate(OPEN)
        figures = page.evaluate(
            f"""() => [...document.querySelectorAll("main figure")].map(figure => [
                  figure.querySelector("figcaption")?.innerText.trim() ?? "",
                  [...figure.querySelectorAll("svg.drawing, img")].filter({SEEN})
                    .map(shown => shown.getAttribute("aria-label") ?? shown.getAttribute("alt") ?? ""),
                ])"""
        )
        said = [alt for _, alts in figures for alt in alts]
        return [
            *(f"no caption: {alts}" for caption, alts in figures if not caption),
            *(f"no text: {caption[:60]}" for caption, alts in figures if "" in alts),
            *(f"twice: {alt}" for alt in set(said) if said.count(alt) > 1),
        ]

    assert shortened({name: faults(name) for name in pages()}) == {}


def test_every_text_of_a_drawing_has_nine_pixels_on_a_phone(opening: Opening) -> None:
    def small(name: str) -> list[str]:
        page = opening(name, PHONE)
        page.evaluate(OPEN)
        return page.evaluate(
            f"""() => [...document.querySelectorAll("main svg.drawing text")].filter({SEEN})
                  .map(text => [text.textContent, getComputedStyle(text).fontSize, text.getScreenCTM()])
                  .map(([text, size, to]) => [text, parseFloat(size) * Math.hypot(to.a, to.b)])
                  .filter(([, size]) => size < 9)
                  .map(([text, size]) => `${{text}} ${{size.toFixed(1)}}`).slice(0, 5)"""
        )

    assert shortened({name: small(name) for name in pages()}) == {}


def test_the_first_figure_is_on_the_first_screen(opening: Opening) -> None:
    def top(name: str) -> float:
        return opening(name, DESK).evaluate(
            f"""() => [...document.querySelectorAll("main svg.drawing, main figure img")]
                  .filter({SEEN}).map(shown => shown.getBoundingClientRect().top + scrollY)[0] ?? 0"""
        )

    assert shortened({name: px for name in pages() if (px := top(name)) > 900}) == {}


def test_two_folds_never_follow_each_other_on_a_notebook_s_page(opening: Opening) -> None:
    def neighbours(name: str) -> int:
        return opening(name, DESK).evaluate(
            """() => [...document.querySelectorAll("main details.fold")]
                  .filter(fold => fold.nextElementSibling?.matches("details")).length"""
        )

    assert shortened({name: neighbours(name) for name in pages()}) == {}


def test_no_key_of_an_arm_is_shown(opening: Opening) -> None:
    keys = [key for key in ARMS if "_" in key]

    def shown(name: str) -> list[str]:
        page = opening(name, DESK)
        texts = page.evaluate(
            """() => [...document.querySelectorAll("main p, main td, main th, main figcaption, main text, main li")]
                  .filter(node => !node.closest("code, pre")).map(node => {
                    const copy = node.cloneNode(true);
                    copy.querySelectorAll("code, pre").forEach(each => each.remove());
                    return copy.textContent;
                  }).join(" ")"""
        )
        return [key for key in keys if key in texts]

    assert shortened({name: shown(name) for name in pages()}) == {}


@pytest.mark.parametrize(("name", "most"), [("intro.html", 350), ("claims.html", 900)])
def test_answer_and_claims_are_short(opening: Opening, name: str, most: int) -> None:
    page = opening(name, DESK)
    page.evaluate("document.querySelectorAll('main svg, .headerlink').forEach(node => node.remove())")
    words = page.locator("article.bd-article").inner_text().split()
    assert len(words) <= most


def test_claims_fit_a_phone_s_patience(opening: Opening) -> None:
    assert opening("claims.html", PHONE).evaluate("document.documentElement.scrollHeight") <= 6000


@pytest.mark.parametrize("key", list(CLAIMS | OURS))
def test_each_claim_has_a_figure_and_the_verdict_of_its_rule(opening: Opening, key: str) -> None:
    claim = (CLAIMS | OURS)[key](reader(ROOT / "results"))
    section = (
        opening("ours.html" if claim.ours else "claims.html", DESK)
        .locator(f"section:has(> #claim-{key}), section#claim-{key}")
        .first
    )
    assert claim.verdict in section.locator(".verdict").first.inner_text()
    assert section.locator("figure svg.drawing").first.is_visible()
    labels = section.locator("figure svg.drawing text").all_text_contents()
    assert {ARMS[row].name if row in ARMS else row for row in claim.rows} <= set(labels)


@pytest.mark.parametrize("name", ["claims.html", "notebooks/07_ablations.html", "deviations.html"])
def test_print_opens_every_fold_and_cuts_nothing(opening: Opening, name: str) -> None:
    page = opening(name, {"width": 720, "height": 1000})  # an A4 page between its margins
    page.emulate_media(media="print")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it is drawn
    lost = page.evaluate(
        f"""() => [...document.querySelectorAll("main details p, main td, main svg.drawing")]
              .filter(node => !({SEEN})(node) || node.getBoundingClientRect().right > innerWidth + 1)
              .map(node => node.textContent.slice(0, 30))"""
    )
    page.emulate_media(media="screen")
    assert lost == []
