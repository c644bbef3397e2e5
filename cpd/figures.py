"""Arrays in, Matplotlib figures out, in one look. Models, files and numbers in prose are not known here.

The colours are told apart with every common colour blindness: Okabe and Ito 2008 (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
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


def point_clouds(clouds: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], labels: Sequence[str]) -> Figure:
    """Draw one panel of points per cloud, on common axes.

    Args:
        clouds: panel label -> (n, 2) points.
        groups: panel label -> (n,) index into ``labels`` that colours each point.
        labels: what the colours mean.

    Returns:
        The figure.
    """
    with style():
        columns = min(4, len(clouds))
        rows = -(-len(clouds) // columns)
        figure, axes = plt.subplots(
            rows, columns, figsize=(WIDTH, WIDTH / columns * rows + 0.4), sharex=True, sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for axis in axes.flat[len(clouds) :]:
            axis.set_visible(False)
        for axis, (name, points) in zip(axes.flat, clouds.items(), strict=False):
            for i, label in enumerate(labels):
                own = points[groups[name] == i]
                axis.plot(own[:, 0], own[:, 1], ".", markersize=1.5, color=PALETTE[i], label=label, rasterized=True)
            axis.set_title(name)
            axis.set_aspect("equal")
        figure.legend(
            *axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels), markerscale=6
        )
    return figure


def curves(
    x: Sequence[float] | np.ndarray,
    lines: Mapping[str, np.ndarray],
    xlabel: str,
    ylabel: str,
    log: bool = False,
) -> Figure:
    """Draw lines over a common axis.

    Args:
        x: (n,) positions.
        lines: label -> (n,) values.
        xlabel: what x is, with its unit.
        ylabel: what the values are, with their unit.
        log: logarithmic values.

    Returns:
        The figure.
    """
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH * 0.7, WIDTH * 0.4), layout="constrained")
        for i, (label, values) in enumerate(lines.items()):
            axis.plot(x, values, color=PALETTE[i], marker="o" if len(values) <= 20 else None, markersize=3, label=label)
        axis.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
        axis.legend()
    return figure


def dots(rows: Sequence[str], series: Mapping[str, np.ndarray], xlabel: str, log: bool = False) -> Figure:
    """Draw one row per label and one dot per series, for numbers that are compared along a common axis.

    Args:
        rows: n labels, from top to bottom.
        series: label -> (n,) values; NaN leaves a dot out.
        xlabel: what the values are, with their unit.
        log: logarithmic values.

    Returns:
        The figure.
    """
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH * 0.8, 1.0 + 0.36 * len(rows)), layout="constrained")
        for i, (label, values) in enumerate(series.items()):
            axis.plot(values, np.arange(len(rows)), "osD^v<>P"[i % 8], color=PALETTE[i], markersize=5, label=label)
        axis.set_yticks(np.arange(len(rows)), rows)
        axis.set(xlabel=xlabel, xscale="log" if log else "linear")
        axis.invert_yaxis()
        figure.legend(loc="outside lower center", ncols=min(4, len(series)))
    return figure


def heatmap(matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str) -> Figure:
    """Draw a matrix with its numbers in the cells.

    Args:
        matrix: (rows, columns) values.
        rows: their names, from top to bottom.
        columns: their names.
        label: what the values are, with their unit.

    Returns:
        The figure.
    """
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH * 0.8, WIDTH * 0.65), layout="constrained")
        image = axis.imshow(matrix, cmap="cividis")
        axis.grid(False)
        middle = (np.nanmax(matrix) + np.nanmin(matrix)) / 2
        for (i, j), value in np.ndenumerate(matrix):
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value < middle else "black")
        axis.set_xticks(np.arange(len(columns)), columns, rotation=30, ha="right")
        axis.set_yticks(np.arange(len(rows)), rows)
        figure.colorbar(image, label=label)
    return figure
