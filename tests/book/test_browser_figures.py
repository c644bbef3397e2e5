"""Drawings in a reader's browser: points that say what they are, enlarging, and folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

MAP, PLAIN = "notebooks/04_weight_space.html", "notebooks/08_cost.html"
WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

Opening = Callable[..., Page]


@pytest.fixture
def opening(browser: Browser, site: str) -> Iterator[Opening]:
    """Return what opens a page of the book in a window of its own."""
    contexts = []

    def opened(name: str, **window: Any) -> Page:
        contexts.append(browser.new_context(**(window or WIDE)))
        contexts[-1].set_default_timeout(60_000)  # milliseconds
        page = contexts[-1].new_page()
        page.goto(site + name, wait_until="networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()


def drawing(page: Page) -> Locator:
    return page.locator(".bd-article svg.drawing").first


def tip(page: Page) -> Locator:
    return page.locator(".point-tip")


def middle(point: Locator) -> tuple[float, float]:
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def corner(page: Page) -> dict[str, float]:
    """Return a place of the first drawing that is far from its points."""
    box = drawing(page).bounding_box()
    assert box
    return {"x": box["width"] - 3, "y": box["height"] - 3}


def test_a_point_says_what_it_is_at_once_and_escape_silences_it(opening: Opening) -> None:
    page = opening(MAP)
    point = drawing(page).locator("[data-title]").last
    expect(tip(page)).to_be_hidden()
    page.mouse.move(*middle(point))
    expect(tip(page)).to_be_visible(timeout=500)
    assert "generated for" in str(tip(page).text_content())
    assert drawing(page).locator("title").count() == 0, "the browser says it a second time"
    page.keyboard.press("Escape")
    expect(tip(page)).to_be_hidden()
    page.mouse.move(*middle(point))
    page.mouse.move(5, 5)
    expect(tip(page)).to_be_hidden()


def test_the_keyboard_goes_from_point_to_point_with_one_stop_for_the_map(opening: Opening) -> None:
    page = opening(MAP)
    names = drawing(page).locator("[data-title]").evaluate_all("all => all.map(one => one.dataset.title)")
    drawing(page).press("ArrowRight")
    expect(tip(page)).to_have_text(names[1])
    drawing(page).press("End")
    expect(tip(page)).to_have_text(names[-1])
    page.keyboard.press("Tab")
    expect(tip(page)).to_be_hidden()
    assert page.evaluate("document.activeElement.className") == "enlarge"
    page.keyboard.press("Shift+Tab")
    expect(tip(page)).to_have_text(names[-1])


def test_a_tap_on_a_point_says_what_it_is_and_enlarges_nothing(opening: Opening) -> None:
    page = opening(MAP, **PHONE)
    page.touchscreen.tap(*middle(drawing(page).locator("[data-title]").first))
    expect(tip(page)).to_be_visible()
    expect(page.locator("dialog.enlarged")).to_be_hidden()
    box = tip(page).bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_without_script_the_browser_says_what_a_point_is(opening: Opening) -> None:
    page = opening(MAP, **WIDE, java_script_enabled=False)
    assert drawing(page).locator("g > title").count() > 100


@pytest.mark.parametrize("window", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_click_enlarges_a_drawing_until_it_is_closed(opening: Opening, window: dict[str, Any]) -> None:
    page = opening(PLAIN, **window)
    dialog = page.locator("dialog.enlarged")
    closings: list[Callable[[], None]] = [
        lambda: page.keyboard.press("Escape"),
        lambda: dialog.get_by_role("button", name="Close").click(),
        lambda: dialog.click(position={"x": 20, "y": 200}),
    ]
    for close in closings:
        drawing(page).click(position=corner(page))
        expect(dialog).to_be_visible()
        box = dialog.locator("svg.drawing").bounding_box()
        assert box and box["width"] >= 1000
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page goes sideways"
        close()
        expect(dialog).to_be_hidden()


def test_the_keyboard_enlarges_and_comes_back(opening: Opening) -> None:
    page = opening(PLAIN)
    button = page.locator("button.enlarge").first
    button.press("Enter")
    dialog = page.locator("dialog.enlarged")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.querySelector('dialog.enlarged').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_points_of_an_enlarged_map_speak_as_well(opening: Opening) -> None:
    page = opening(MAP)
    drawing(page).click(position=corner(page))
    dialog = page.locator("dialog.enlarged")
    page.mouse.click(*middle(dialog.locator("[data-title]").last))
    expect(dialog).to_be_visible()
    expect(tip(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(tip(page)).to_be_hidden()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize("name", [MAP, PLAIN, "method.html", "intro.html"])
def test_every_drawing_has_one_button_with_a_name_of_its_own(opening: Opening, name: str) -> None:
    page = opening(name)
    labels = page.locator("button.enlarge:visible").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert len(labels) == page.locator(".bd-article svg.drawing:visible, .bd-article img.enlargeable:visible").count()
    assert len(set(labels)) == len(labels) and all(label.startswith("Enlarge: ") for label in labels)


def test_print_opens_every_fold_and_leaves_them_as_they_were(opening: Opening) -> None:
    page = opening(MAP)
    page.locator("details.fold > summary").first.click()
    closed = "document.querySelectorAll('main details:not([open])').length"
    before = page.evaluate(closed)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (before > 0, page.evaluate(closed)) == (True, 0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(closed) == before


def test_a_link_into_a_fold_opens_it(opening: Opening) -> None:
    page = opening(f"{MAP}#fig-04-runs")
    expect(page.locator("#fig-04-runs")).to_be_in_viewport()
    assert page.locator("details.fold", has=page.locator("#fig-04-runs")).get_attribute("open") is not None
