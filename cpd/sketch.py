"""The method as one drawing: what is learned, and how an adapter is written from it.

Source: ours; the method is that of arXiv 2408.01415, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from cpd.figures import GREY, PALETTE, WIDTH, style


def pipeline(learning: Sequence[str], writing: Sequence[str], told: str) -> Figure:
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
    spots = [(left, y, text, PALETTE[5]) for y, text in enumerate(learning)]
    spots += [(right, last - i, text, PALETTE[4]) for i, text in enumerate(writing)]
    spots += [(between, last, told, PALETTE[2])]
    flows = [((left, y), (left, y + 1)) for y in range(last - 1)]
    flows += [((right, last - i), (right, last - i - 1)) for i in range(len(writing) - 1)]
    flows += [((between, last), (side, last - 1)) for side in (left, right)]
    reused = [((left, y), (right, y)) for y in range(last - len(writing) + 2, last)]
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH * 0.6, WIDTH * 0.75), layout="constrained")
        axis.set_axis_off()
        axis.set(xlim=(-0.3, 1.3), ylim=(last + 0.4, -0.4))
        for begin, end in flows:
            arrow = {"arrowstyle": "-|>", "color": "black", "shrinkA": 20, "shrinkB": 26}
            axis.annotate("", end, begin, arrowprops=arrow)
        for begin, end in reused:
            arrow = {"arrowstyle": "-|>", "color": GREY, "linestyle": "--", "shrinkA": 48, "shrinkB": 48}
            axis.annotate("", end, begin, arrowprops=arrow)
        for x, y, text, colour in spots:
            box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": "none", "alpha": 0.45}
            axis.text(x, y, text, ha="center", va="center", bbox=box)
    return figure
