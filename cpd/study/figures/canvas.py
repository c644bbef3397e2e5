"""What all figures have in common: sizes, colours of what is no arm, and drawings that a page can show in its own ink.

Source: ours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpd.study.arms import ARMS, Arm

PALETTE = ("#7B6BB0", "#B35C44", "#3F8F8C", "#A8628F", "#6F8440", "#4C7FB8", "#94742C", "#777777")
INK = "#0A0B0C"  # of texts and axes: whatever ink the page has
GREY = "#767676"  # of lines
FAINT = 0.75  # opacity of texts that stand back; in either ink they keep a contrast of more than 4.5
WIDTH = 5.0  # inches, of a full-width figure; its 360 points are about the pixels that a phone has for it
SMALL = 9.5  # points, the smallest text
LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handletextpad": 0.3,
    "legend.columnspacing": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "figure.dpi": 220,
    "svg.fonttype": "none",
    "svg.hashsalt": "cpd",
}


def look(label: str, place: int) -> Arm:
    """Return how a series is drawn: as the table of arms says, or by its place among series that are no arms."""
    return ARMS.get(label) or Arm(label, PALETTE[place % len(PALETTE)], "osD^v<>P"[place % 8], "")


class Drawing(Figure):
    """A figure that notebooks show as SVG, in the ink of the page that it stands on."""

    titles: tuple[str, ...] = ()

    def titled(self, text: str) -> str:
        """Return an id for one artist, under which a page says this text when the pointer is on it."""
        self.titles = (*self.titles, text)
        return f"titled-{len(self.titles) - 1}"

    def svg(self) -> str:
        """Return the drawing as one SVG element that can stand inside a page; equal drawings give equal texts."""
        with style():
            file = io.StringIO()
            self.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        svg = file.getvalue()
        for i, text in enumerate(self.titles):
            svg = svg.replace(f'<g id="titled-{i}">', f"<g><title>{escape(text)}</title>", 1)
        return _for_pages(svg)

    def file(self) -> bytes:
        """Return the drawing as an SVG file on a white ground."""
        with style():
            file = io.BytesIO()
            self.savefig(file, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
        return file.getvalue()

    def png(self, dpi: float = 220) -> bytes:
        """Return the drawing as a PNG file on a white ground."""
        with style():
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
        return file.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"image/svg+xml": self.svg(), "text/plain": "<Drawing>"}, raw=True)


def _for_pages(svg: str) -> str:
    """Drop from a file what an element has no use for, and leave ink, fonts and width to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*(?:<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->)", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg style="stroke-linejoin: round" ', 1)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"(?<=[\s;\"])font(?:-family)?: (?:([\d.]+px) )?'DejaVu Sans'[^;\"]*;?", _font, svg)
    svg = re.sub(INK, "currentColor", svg, flags=re.IGNORECASE)
    used = set(re.findall(r"#([\w-]+)", svg))
    return re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)


def _font(found: re.Match[str]) -> str:
    return f"font-size: {found[1]};" if found[1] else ""


def style() -> AbstractContextManager[None]:
    """Draw in the one look of the study, within a block."""
    return rc_context(LOOK)


def described(svg: str, alt: str) -> str:
    """Return a drawing's element as one that says what it shows to those who do not see it."""
    return svg.replace("<svg ", f'<svg class="drawing" role="img" aria-label="{escape(alt)}" ', 1)


def canvas(width: float, height: float) -> tuple[Drawing, Axes]:
    """Return an empty drawing with one pair of axes, inches."""
    drawing = Drawing(figsize=(width, height), layout="constrained")
    return drawing, drawing.subplots()


def panel_grid(
    names: Sequence[str],
    most: int,
    margin: float,
    share_x: bool = False,
    share_y: bool = False,
    heights: Sequence[float] = (),
) -> tuple[Drawing, list[Axes]]:
    """Return a drawing with a panel per name, in rows of at most ``most``, and a margin below, inches.

    Panels are square where no heights (one per name, inches) are given; a row is as high as its highest.
    """
    columns = min(most, len(names))
    each = heights or [WIDTH / columns] * len(names)
    rows = [max(each[i : i + columns]) for i in range(0, len(names), columns)]
    drawing = Drawing(figsize=(WIDTH, sum(rows) + margin), layout="constrained")
    axes = drawing.subplots(len(rows), columns, sharex=share_x, sharey=share_y, squeeze=False, height_ratios=rows)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        axis.set_title(name, loc="left", fontweight="bold")
    return drawing, list(axes.flat[: len(names)])


def swatch(arm: Arm) -> str:
    """Return an arm's marker as one small SVG element, for lists of names."""
    with style():
        drawing = Drawing(figsize=(0.2, 0.2))
        axis = drawing.add_axes((0, 0, 1, 1))
        axis.set_axis_off()
        axis.plot(0, 0, marker=arm.marker, color=arm.colour, fillstyle=arm.fill, markersize=8)
    return drawing.svg().replace("<svg ", '<svg class="swatch" aria-hidden="true" ', 1)
