"""Numbers beside each other: lines, dots, intervals, points and matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from cpd.figures.look import GREY, PALETTE, WIDTH, panel_grid, style


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
        figure, axes = panel_grid(list(panels), 3, 0.3, share_x=True, heights=heights)
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
