"""Rows of pictures under their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cpd.figures.look import GREY, WIDTH, style


def pictures(grid: Mapping[str, np.ndarray], credit: str, captions: Sequence[str] = (), columns: int = 12) -> Figure:
    """Show rows of pictures under their labels, as large as the page allows.

    Args:
        grid: label -> (n, h, w, 3) uint8; more than ``columns`` go on in further rows.
        credit: whose pictures these are, written below them.
        captions: (n,) under each picture of the first label, where they are given.
        columns: pictures in a row.

    Returns:
        The figure.
    """
    first = next(iter(grid))
    rows = [
        (label if i == 0 else "", part, captions[i : i + columns] if label == first else ())
        for label, each in grid.items()
        for i, part in _rows(each, columns)
    ]
    height = WIDTH / columns * (1.3 if captions else 1.02)
    with style():
        figure, axes = plt.subplots(
            len(rows), columns, figsize=(WIDTH, height * len(rows)), squeeze=False, layout="compressed"
        )
        for (label, part, titles), line in zip(rows, axes, strict=True):
            for axis in line:
                axis.set_axis_off()
            for axis, picture in zip(line, part, strict=False):
                axis.imshow(picture, interpolation="nearest")
            for axis, title in zip(line, titles, strict=False):
                axis.set_title("\n".join(wrap(title, 13)[:2]), fontsize=5, pad=2)
            if label:
                line[0].text(-0.15, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
        figure.supxlabel(credit, fontsize=6, color=GREY)
    return figure


def _rows(pictures: np.ndarray, columns: int) -> list[tuple[int, np.ndarray]]:
    return [(start, pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
