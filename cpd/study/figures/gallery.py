"""Strips of pictures that a page shows a few at a time: in tabs, or under a slider.

Each strip is a figure with a caption and a text for those who do not see it. Tabs are those of sphinx-design and need
no script; a slider needs the book's ``slider.js``. Without script all strips of a slider stand below each other, in
print those of tabs as well.

Source: ours; the markup of the tabs is sphinx-design's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from cpd.study.figures.canvas import Drawing, described


class Strip(NamedTuple):
    """One drawing with its texts.

    Attributes:
        title: a word or two, on the tab and before the caption.
        drawing: what is shown.
        caption: below it, in sentences.
        alt: what there is to be seen.
    """

    title: str
    drawing: Drawing
    caption: str
    alt: str


@dataclass(frozen=True, repr=False)
class Gallery:
    """Strips, the first of them shown and the others in tabs.

    Attributes:
        name: letters and hyphens; no other gallery of the page has it.
        strips: in order.
        shown: how many are always seen.
        label: what the tabs choose, for those who hear the page.
    """

    name: str
    strips: Sequence[Strip]
    shown: int = 3
    label: str = "Styles"

    def _repr_html_(self) -> str:
        figures = [_figure(f"{self.name}-{i}", strip) for i, strip in enumerate(self.strips)]
        tabs = "".join(
            f'<input{" checked" if i == self.shown else ""} type="radio" name="{self.name}" id="{self.name}-tab-{i}">'
            f'<label class="sd-tab-label" for="{self.name}-tab-{i}">{escape(strip.title)}</label>'
            f'<div class="sd-tab-content">{figures[i]}</div>'
            for i, strip in enumerate(self.strips)
            if i >= self.shown
        )
        if tabs:
            tabs = f'<div class="sd-tab-set" role="radiogroup" aria-label="{escape(self.label)}">{tabs}</div>'
        return f'<div class="gallery">{"".join(figures[: self.shown])}{tabs}</div>'

    def __repr__(self) -> str:
        return f"<Gallery of {len(self.strips)}>"


@dataclass(frozen=True, repr=False)
class Slider:
    """Strips along a line, one of them at a time.

    Attributes:
        name: letters and hyphens; no other slider of the page has it.
        strips: from one end of the line to the other.
        label: what the slider moves along.
        ends: what is at both of its ends.
    """

    name: str
    strips: Sequence[Strip]
    label: str
    ends: tuple[str, str]

    def _repr_html_(self) -> str:
        figures = "".join(_figure(f"{self.name}-{i}", strip) for i, strip in enumerate(self.strips))
        last, (first_end, last_end) = len(self.strips) - 1, map(escape, self.ends)
        return (
            '<div class="slider"><div class="slider-control" hidden>'
            f'<label for="{self.name}">{escape(self.label)}</label><span>{first_end}</span>'
            f'<input type="range" id="{self.name}" min="0" max="{last}" value="{last // 2}">'
            f"<span>{last_end}</span></div>{figures}</div>"
        )

    def __repr__(self) -> str:
        return f"<Slider over {len(self.strips)}>"


def _figure(name: str, strip: Strip) -> str:
    """Return a strip as a figure whose ids no other figure of the page has."""
    svg = described(re.sub(r'( id="|href="#|url\(#)', rf"\1{name}-", strip.drawing.svg()), strip.alt)
    title, caption = escape(strip.title), escape(strip.caption, quote=False)
    below = f"<figcaption><p><strong>{title}.</strong> {caption}</p></figcaption>"
    return f'<figure data-title="{title}">{svg}{below}</figure>'
