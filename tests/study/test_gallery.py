"""Strips of pictures: each is a figure that says what it shows, and no two parts of a page share an id."""

import re
from collections import Counter

import numpy as np

from cpd.study import figures


def strip(title: str) -> figures.Strip:
    """Return a strip whose drawing has ids of its own: markers and a clip path."""
    drawing = figures.dots(["a", "b"], {"generated": np.array([1.0, 2.0])}, "distance")
    return figures.Strip(title, drawing, f"Caption of <{title}>.", f'Alt of "{title}".')


def test_the_first_strips_are_shown_and_the_others_are_tabs() -> None:
    page = figures.Gallery("drawn", [strip(title) for title in "abcde"], shown=2)._repr_html_()
    assert page.index("<figure") < page.index("sd-tab-set")
    assert page.count("<figure ") == page.count("<figcaption>") == page.count("<svg ") == 5
    assert page.count('type="radio"') == page.count("sd-tab-label") == page.count("sd-tab-content") == 3
    assert page.count(" checked ") == 1
    assert "sd-tab-set" not in figures.Gallery("drawn", [strip("a")])._repr_html_()


def test_texts_are_escaped() -> None:
    page = figures.Gallery("drawn", [strip("a&b")])._repr_html_()
    assert "<strong>a&amp;b.</strong> Caption of &lt;a&amp;b&gt;." in page
    assert 'role="img" aria-label="Alt of &quot;a&amp;b&quot;."' in page


def test_ids_do_not_collide_and_references_follow_them() -> None:
    strips = [strip(title) for title in "abcde"]
    slider = figures.Slider("line", strips, "Place on the line", ("night", "sunset"))
    page = figures.Gallery("drawn", strips)._repr_html_() + slider._repr_html_()
    ids = Counter(re.findall(r' id="([^"]+)"', page))
    assert ids
    assert set(ids.values()) == {1}
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)
    assert set(re.findall(r' for="([^"]+)"', page)) <= set(ids)


def test_a_slider_has_a_place_for_each_strip_and_is_hidden_without_script() -> None:
    slider = figures.Slider("line", [strip(title) for title in "abcde"], "Place <on> the line", ("night", "sunset"))
    page = slider._repr_html_()
    assert 'class="slider-control" hidden' in page
    assert '<label for="line">Place &lt;on&gt; the line</label>' in page
    assert 'type="range" id="line" min="0" max="4" value="2"' in page
    assert page.count("<figure ") == 5
    assert "<figure hidden" not in page
