"""Rows of pictures under their labels, pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np

from cpd.study.arms import name
from cpd.study.figures.canvas import FAINT, SMALL, WIDTH, Drawing, style

GAP = 0.06  # of a picture's width, between pictures
LINE = 0.19  # inches, of a line of text
CAPTION = 1.2 * SMALL / 72  # inches, of a line of a caption
LETTER = 0.58 * SMALL / 72  # inches, of a letter on the average


def pictures(
    grid: Mapping[str, np.ndarray],
    credit: str,
    captions: Sequence[str] = (),
    columns: int = 8,
    notes: Mapping[str, str] | None = None,
) -> Drawing:
    """Show rows of pictures, each under its label, and at the end of that line what is to be said of the row.

    Args:
        grid: arm or label -> (n, h, w, 3) uint8; more than ``columns`` go on in further rows.
        credit: whose pictures these are, written below them.
        captions: (n,) under each picture, where they are given: two lines of at least eight letters.
        columns: pictures in a row; captions have room below up to five.
        notes: arm or label -> a number, or a few words.

    Returns:
        The figure.
    """
    side = WIDTH / (columns + GAP * (columns - 1))
    pitch = side * (1 + GAP) + (2.5 * CAPTION if captions else 0.0)
    rows = {label: -(-len(each) // columns) for label, each in grid.items()}
    height = sum(LINE + count * pitch for count in rows.values()) + 1.3 * LINE
    with style():
        drawing = Drawing(figsize=(WIDTH, height))
        axis = drawing.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
        axis.set_axis_off()
        top = 0.0
        for label, each in grid.items():
            axis.text(0, top + LINE * 0.8, name(label), fontsize=SMALL, va="baseline")
            axis.text(WIDTH, top + LINE * 0.8, (notes or {}).get(label, ""), fontsize=SMALL, ha="right")
            top += LINE
            spots = [(i % columns * side * (1 + GAP), top + i // columns * pitch) for i in range(len(each))]
            for (left, upper), picture in zip(spots, each, strict=True):
                axis.imshow(picture, extent=(left, left + side, upper + side, upper), interpolation="none")
            for (left, upper), caption in zip(spots, captions, strict=False):
                text = wrap(caption, max(8, int(side / LETTER)), max_lines=2, placeholder="…")
                axis.text(left, upper + side + 0.03, "\n".join(text), fontsize=SMALL, va="top")
            top += rows[label] * pitch
        axis.set(xlim=(0, WIDTH), ylim=(height, 0), aspect="auto")
        axis.text(0, height - 0.25 * LINE, credit, fontsize=SMALL, alpha=FAINT)
    return drawing
