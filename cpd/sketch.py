"""The method as one drawing: what is learned, and how an adapter is written from it.

Source: ours; the method is that of arXiv 2408.01415, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from cpd.figures import GREY, PALETTE, WIDTH, style


def pipeline(learning: Sequence[str], writing: Sequence[str], told: str) -> Figure:
    """Draw how adapters are learned, from left to right, and written, from right to left below it.

    Args:
        learning: boxes of the first row; ``\n`` starts a new line.
        writing: boxes of the second row from right to left, the first one a column beyond the first row; where one
            stands below a box of the first row, it uses what was learned there.
        told: a box that tells the second one of them, and the box above that, what to write.

    Returns:
        The figure.
    """
    last = len(learning)
    spots = [(x, 2.0, text, PALETTE[5]) for x, text in enumerate(learning)]
    spots += [(last - i, 0.6, text, PALETTE[4]) for i, text in enumerate(writing)]
    spots += [(last, 1.3, told, PALETTE[2])]
    flows = [((x, 2.0), (x + 1, 2.0)) for x in range(last - 1)]
    flows += [((last - i, 0.6), (last - i - 1, 0.6)) for i in range(len(writing) - 1)]
    flows += [((last, 1.3), (last - 1, 2.0)), ((last, 1.3), (last - 1, 0.6))]
    reused = [((x, 2.0), (x, 0.6)) for x in range(last - len(writing) + 2, last)]
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH, WIDTH * 0.3), layout="constrained")
        axis.set_axis_off()
        axis.set(xlim=(-0.5, last + 0.5), ylim=(0.2, 2.4))
        for x, y, text, colour in spots:
            box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": "none", "alpha": 0.45}
            axis.text(x, y, text, ha="center", va="center", fontsize=6.5, bbox=box)
        for begin, end in flows:
            arrow = {"arrowstyle": "-|>", "color": "black", "shrinkA": 27, "shrinkB": 27}
            axis.annotate("", end, begin, arrowprops=arrow)
        for begin, end in reused:
            arrow = {"arrowstyle": "-|>", "color": GREY, "linestyle": "--", "shrinkA": 17, "shrinkB": 17}
            axis.annotate("", end, begin, arrowprops=arrow)
    return figure
