"""Arrays in, Matplotlib figures out, in one look. Models, files and numbers in prose are not known here.

The colours are told apart with every common colour blindness: Okabe and Ito 2008 (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

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
        figure, axes = _panels(list(clouds), 4, 0.4, share_x=True, share_y=True)
        for axis, (name, points) in zip(axes, clouds.items(), strict=True):
            for i, label in enumerate(labels):
                own = points[groups[name] == i]
                axis.plot(own[:, 0], own[:, 1], ".", markersize=1.5, color=PALETTE[i], label=label, rasterized=True)
            axis.set_aspect("equal")
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels), markerscale=6
        )
    return figure


def layouts(
    panels: Mapping[str, np.ndarray], groups: np.ndarray, labels: Sequence[str], open_marks: np.ndarray, marked: str
) -> Figure:
    """Draw one panel per plane that the same points were laid out in; the planes have no common axes and no units.

    Args:
        panels: panel label -> (n, 2) points, the same n points in each.
        groups: (n,) index into ``labels`` that colours each point.
        labels: what the colours mean.
        open_marks: (n,) True for the points that are drawn as open black rings around their colour.
        marked: what the rings mean.

    Returns:
        The figure.
    """
    with style():
        figure, axes = _panels(list(panels), 3, 0.5)
        for axis, points in zip(axes, panels.values(), strict=True):
            axis.set(xticks=[], yticks=[])
            for i, label in enumerate(labels):
                own = points[(groups == i) & ~open_marks]
                axis.plot(own[:, 0], own[:, 1], ".", markersize=2.5, color=PALETTE[i], label=label, rasterized=True)
            ringed = points[open_marks]
            axis.scatter(
                ringed[:, 0], ringed[:, 1], s=16, c=[PALETTE[i] for i in groups[open_marks]], edgecolors="black",
                linewidths=0.6,
            )  # fmt: skip
        axes[0].scatter([], [], s=16, c="white", edgecolors="black", linewidths=0.6, label=marked)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), markerscale=2)
    return figure


def _panels(
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


def curves(
    x: Sequence[float] | np.ndarray,
    lines: Mapping[str, np.ndarray],
    xlabel: str,
    ylabel: str,
    log: bool = False,
    log_x: bool = False,
) -> Figure:
    """Draw lines over a common axis.

    Args:
        x: (n,) positions.
        lines: label -> (n,) values.
        xlabel: what x is, with its unit.
        ylabel: what the values are, with their unit.
        log: logarithmic values.
        log_x: logarithmic positions; up to 20 of them are named on the axis.

    Returns:
        The figure.
    """
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH * 0.7, WIDTH * 0.4), layout="constrained")
        few = len(x) <= 20
        for i, (label, values) in enumerate(lines.items()):
            axis.plot(x, values, color=PALETTE[i], marker="o" if few else None, markersize=3, label=label)
        axis.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear", xscale="log" if log_x else "linear")
        if few and log_x:
            axis.set_xticks(x, [f"{each:g}" for each in x])
            axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axis.legend()
    return figure


def dots(rows: Sequence[str], series: Mapping[str, np.ndarray], xlabel: str, log: bool = False) -> Figure:
    """Draw one row per label and one dot per series, each a little below the last so that equal ones are all seen.

    Args:
        rows: n labels, from top to bottom.
        series: label -> (n,) values; NaN leaves a dot out.
        xlabel: what the values are, with their unit.
        log: logarithmic values.

    Returns:
        The figure.
    """
    with style():
        height = 0.15 + 0.055 * len(series)  # inches, of a row
        figure, axis = plt.subplots(figsize=(WIDTH * 0.8, 1.0 + height * len(rows)), layout="constrained")
        at, below = np.arange(len(rows)), np.linspace(-0.35, 0.35, len(series)) if len(series) > 1 else np.zeros(1)
        for i, (label, values) in enumerate(series.items()):
            axis.plot(values, at + below[i], "osD^v<>P"[i % 8], color=PALETTE[i], markersize=5, label=label)
        for row in at[::2]:
            axis.axhspan(row - 0.5, row + 0.5, color="#F3F3F3", zorder=0)
        axis.set_yticks(at, rows)
        axis.grid(axis="y", visible=False)
        axis.set(xlabel=xlabel, xscale="log" if log else "linear", ylim=(len(rows) - 0.5, -0.5))
        if log:
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_locator(NullLocator())
        figure.legend(loc="outside lower center", ncols=min(4, len(series)))
    return figure


def intervals(rows: Sequence[str], mean: np.ndarray, low: np.ndarray, high: np.ndarray, xlabel: str) -> Figure:
    """Draw one row per label: a mean as a dot, its interval as a bar, and the line where nothing differs.

    Args:
        rows: n labels, from top to bottom.
        mean: (n,) values.
        low: (n,) lower ends.
        high: (n,) upper ends; infinite ends are drawn as none.
        xlabel: what the values are, with their unit.

    Returns:
        The figure.
    """
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH * 0.9, 0.8 + 0.24 * len(rows)), layout="constrained")
        _bars(axis, rows, mean, low, high)
        axis.set(xlabel=xlabel)
    return figure


def small_multiples(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]], xlabel: str, linear: float = 0.0
) -> Figure:
    """Draw a small panel of intervals per group, all over one axis.

    Args:
        panels: panel label -> row label -> mean, lower and upper end; infinite ends are drawn as none.
        xlabel: what the values are, with their unit.
        linear: the axis is logarithmic further than this from zero, in the unit of the values; 0: it is linear.

    Returns:
        The figure.
    """
    with style():
        heights = [0.55 + 0.2 * len(rows) for rows in panels.values()]
        figure, axes = _panels(list(panels), 3, 0.3, share_x=True, heights=heights)
        for i, (axis, rows) in enumerate(zip(axes, panels.values(), strict=True)):
            _bars(axis, list(rows), *np.array(list(rows.values())).T)
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.tick_params(labelsize=7, labelbottom=i >= len(panels) - 3)
        if linear:
            axes[0].set_xscale("symlog", linthresh=linear)
            axes[0].xaxis.set_major_locator(FixedLocator([-5 * linear, -linear, 0, linear, 5 * linear]))
        axes[0].xaxis.set_major_formatter("{x:g}")
        figure.supxlabel(xlabel, fontsize=9)
    return figure


def _bars(axis: Axes, rows: Sequence[str], mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    at = np.arange(len(rows))
    axis.axvline(0, color=GREY, linewidth=0.8)
    finite = np.isfinite(low) & np.isfinite(high)
    axis.hlines(at[finite], low[finite], high[finite], color=PALETTE[0], linewidth=1.5)
    axis.plot(mean, at, "o", color=PALETTE[0], markersize=4)
    axis.set_yticks(at, rows)
    axis.invert_yaxis()


def scatter(x: Mapping[str, np.ndarray], y: Mapping[str, np.ndarray], xlabel: str, ylabel: str) -> Figure:
    """Draw points of several series over two quantities.

    Args:
        x: label -> (n,) values; its labels are the series.
        y: label -> (n,) values.
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.

    Returns:
        The figure.
    """
    with style():
        figure, axis = plt.subplots(figsize=(WIDTH * 0.7, WIDTH * 0.45), layout="constrained")
        for i, (label, values) in enumerate(x.items()):
            axis.plot(values, y[label], "osD^v<>P"[i % 8], color=PALETTE[i], markersize=5, label=label)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        figure.legend(loc="outside lower center", ncols=min(4, len(x)))
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
