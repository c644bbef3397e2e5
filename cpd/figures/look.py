"""What all figures have in common: colours, sizes, and a grid of panels.

The colours are told apart with every common colour blindness: Okabe and Ito 2008 (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#777777"
WIDTH = 7.0  # inches, of a full-width figure
LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.bbox": "tight",
    "axes.prop_cycle": plt.cycler(color=PALETTE),
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the one look of the study and close what was drawn, or a notebook would show it twice."""
    others = plt.get_fignums()
    with rc_context(LOOK):
        yield
        for number in set(plt.get_fignums()).difference(others):
            plt.close(number)


def panel_grid(
    names: Sequence[str],
    most: int,
    margin: float,
    share_x: bool = False,
    share_y: bool = False,
    heights: Sequence[float] = (),
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel per name, in rows of at most ``most``, and a margin below, inches.

    Panels are square where no heights (one per name, inches) are given; a row is as high as its highest.
    """
    columns = min(most, len(names))
    each = heights or [WIDTH / columns] * len(names)
    rows = [max(each[i : i + columns]) for i in range(0, len(names), columns)]
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(WIDTH, sum(rows) + margin), sharex=share_x, sharey=share_y, squeeze=False,
        layout="constrained", height_ratios=rows,
    )  # fmt: skip
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        axis.set_title(name)
    return figure, list(axes.flat[: len(names)])
