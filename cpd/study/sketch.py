"""The method as a drawing: what is learned, and how an adapter is written from it; and the same in three boxes.

Source: ours; the method is that of arXiv 2408.01415, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.text import Text

from cpd.study.figures import GREY, INK, PALETTE, SMALL, WIDTH, Drawing, canvas, style

LEARNED, WRITTEN, TOLD = PALETTE[5], PALETTE[4], PALETTE[2]


def pipeline(learning: Sequence[str], writing: Sequence[str], told: str) -> Drawing:
    """Draw how adapters are learned, down the left side, and written, up the right side; narrow enough for a phone.

    Args:
        learning: boxes of the left side from above; ``\n`` starts a new line.
        writing: boxes of the right side from below, the first one a row below the left side; where one stands beside
            a box of the left side, it uses what was learned there.
        told: a box that tells the last of the left side, and the one beside that, what to write.

    Returns:
        The figure.
    """
    last = len(learning)
    left, between, right = 0.0, 0.5, 1.0
    spots = [(left, y, text, LEARNED) for y, text in enumerate(learning)]
    spots += [(right, last - i, text, WRITTEN) for i, text in enumerate(writing)]
    spots += [(between, last, told, TOLD)]
    flows = [((left, y), (left, y + 1)) for y in range(last - 1)]
    flows += [((right, last - i), (right, last - i - 1)) for i in range(len(writing) - 1)]
    flows += [((between, last), (side, last - 1)) for side in (left, right)]
    reused = [((left, y), (right, y)) for y in range(last - len(writing) + 2, last)]
    with style():
        drawing, axis = _sheet(WIDTH, WIDTH, (-0.25, 1.25), (last + 0.4, -0.4))
        boxes = {(x, y): _box(axis, x, y, text, colour) for x, y, text, colour in spots}
        for begin, end in flows:
            _arrow(axis, boxes[begin], boxes[end])
        for begin, end in reused:
            _arrow(axis, boxes[begin], boxes[end], color=GREY, linestyle="--")
    return drawing


def chain(boxes: Sequence[str], words: Sequence[str]) -> Drawing:
    """Draw boxes from left to right, with an arrow from each to the next.

    Args:
        boxes: their texts; ``\n`` starts a new line.
        words: what each arrow does, one less than there are boxes.

    Returns:
        The figure.
    """
    with style():
        drawing, axis = _sheet(WIDTH, 0.9, (0, len(boxes) - 1), (0.5, -0.5))
        colours = [*[LEARNED] * (len(boxes) - 1), WRITTEN]
        drawn = [_box(axis, i, 0, text, colour) for i, (text, colour) in enumerate(zip(boxes, colours, strict=True))]
        for begin, end, word in zip(drawn[:-1], drawn[1:], words, strict=True):
            _arrow(axis, begin, end)
            box: Any = begin.get_bbox_patch()
            axis.annotate(word, (1, 0.5), (7, 4), xycoords=box, textcoords="offset points", fontsize=SMALL)
    return drawing


def _sheet(width: float, height: float, across: tuple[float, float], down: tuple[float, float]) -> tuple[Drawing, Axes]:
    drawing, axis = canvas(width, height)
    drawing.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)  # inches, for the rims of boxes
    axis.set_axis_off()
    axis.set(xlim=across, ylim=down)
    return drawing, axis


def _box(axis: Axes, x: float, y: float, text: str, colour: str) -> Text:
    box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": colour, "alpha": 0.3}
    return axis.text(x, y, text, ha="center", va="center", bbox=box)


def _arrow(axis: Axes, begin: Text, end: Text, **line: str) -> None:
    ends: dict[str, Any] = {
        "patchA": begin.get_bbox_patch(),
        "patchB": end.get_bbox_patch(),
        "shrinkA": 3,
        "shrinkB": 3,
    }
    arrow = {"arrowstyle": "-|>", "color": INK} | ends | line
    axis.annotate("", end.get_position(), begin.get_position(), arrowprops=arrow)
