"""Numbers beside each other: lines, dots, intervals, points, matrices and barcodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from cpd.study.arms import name
from cpd.study.figures.canvas import GREY, INK, SMALL, WIDTH, Drawing, canvas, look, panel_grid, style

Bounds = tuple[float, float, float]  # mean, lower and upper end; infinite ends are drawn as none
TITLE = 42  # letters of a line above a barcode


def curves(
    x: Sequence[float] | np.ndarray,
    lines: Mapping[str, Sequence[float] | np.ndarray],
    xlabel: str,
    ylabel: str,
    log: bool = False,
    log_x: bool = False,
) -> Drawing:
    """Draw lines over a common axis.

    Args:
        x: (n,) positions.
        lines: arm or label -> (n,) values; NaN leaves a point out, and the line goes on to the next.
        xlabel: what x is, with its unit.
        ylabel: what the values are, with their unit; written above the axis.
        log: logarithmic values.
        log_x: logarithmic positions; up to 20 of them are named on the axis.

    Returns:
        The figure.
    """
    with style():
        drawing, axis = canvas(WIDTH, WIDTH * 0.6)
        few = len(x) <= 20
        for i, (label, values) in enumerate(lines.items()):
            drawn = look(label, i)
            marks: dict[str, Any] = {"marker": drawn.marker, "fillstyle": drawn.fill, "markersize": 5} if few else {}
            there = np.isfinite(values)
            axis.plot(np.asarray(x)[there], np.asarray(values)[there], color=drawn.colour, label=drawn.name, **marks)
        axis.set(xlabel=xlabel, yscale="log" if log else "linear", xscale="log" if log_x else "linear")
        axis.set_title(ylabel, loc="left")
        for scale in [axis.xaxis] * log_x + [axis.yaxis] * log:
            scale.set_major_formatter("{x:,.9g}")
        if log:
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_minor_locator(NullLocator())
        if few and log_x:
            axis.set_xticks(x, [f"{each:,.9g}" for each in x])
            axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        _legend(drawing, len(lines))
    return drawing


def dots(
    rows: Sequence[str], series: Mapping[str, Sequence[float] | np.ndarray], xlabel: str, log: bool = False
) -> Drawing:
    """Draw one row per label and one dot per series, each a little below the last so that equal ones are all seen.

    Args:
        rows: n labels, from top to bottom.
        series: arm or label -> (n,) values; NaN leaves a dot out.
        xlabel: what the values are, with their unit.
        log: logarithmic values.

    Returns:
        The figure.
    """
    with style():
        height = 0.15 + 0.065 * len(series)  # inches, of a row
        drawing, axis = canvas(WIDTH, 1.0 + 0.11 * len(series) + height * len(rows))
        at, below = np.arange(len(rows)), np.linspace(-0.35, 0.35, len(series)) if len(series) > 1 else np.zeros(1)
        for i, (label, values) in enumerate(series.items()):
            _marks(axis, np.asarray(values), at + below[i], label, i)
        for row in at[::2]:
            axis.axhspan(row - 0.5, row + 0.5, color=INK, alpha=0.05, linewidth=0, zorder=0)
        axis.set_yticks(at, rows)
        axis.grid(axis="y", visible=False)
        axis.set(xlabel=xlabel, xscale="log" if log else "linear", ylim=(len(rows) - 0.5, -0.5))
        if log:
            low, high = axis.get_xlim()
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_locator(NullLocator())
        _legend(drawing, len(series))
    return drawing


def _marks(axis: Axes, x: np.ndarray, y: np.ndarray, label: str, place: int, size: float = 6) -> None:
    drawn = look(label, place)
    axis.plot(
        x, y, linestyle="none", marker=drawn.marker, color=drawn.colour, fillstyle=drawn.fill, markersize=size,
        label=drawn.name,
    )  # fmt: skip


def _legend(drawing: Figure, count: int) -> None:
    if count > 1:
        drawing.legend(loc="outside lower center", ncols=2)


def intervals(rows: Mapping[str, Bounds], xlabel: str, needed: float = 0.0, linear: float = 0.0) -> Drawing:
    """Draw one row per arm or label: a mean as a dot, its interval as a bar, and the line that it is compared with.

    Args:
        rows: arm or label -> mean, lower and upper end.
        xlabel: what the values are, with their unit.
        needed: where the line is.
        linear: the axis is logarithmic further than this from zero, in the unit of the values; 0: it is linear.

    Returns:
        The figure.
    """
    with style():
        drawing, axis = canvas(WIDTH, 0.7 + 0.27 * len(rows))
        _bars(axis, rows, needed)
        _scale(axis, linear)
        axis.set(xlabel=xlabel)
    return drawing


def small_multiples(
    panels: Mapping[str, Mapping[str, Bounds]], xlabel: str, linear: float = 0.0, shared: bool = True
) -> Drawing:
    """Draw a small panel of intervals per group.

    Args:
        panels: panel label -> arm or label -> mean, lower and upper end.
        xlabel: what the values are, with their unit.
        linear: the axis is logarithmic further than this from zero, in the unit of the values; 0: it is linear.
        shared: all panels over one axis; False gives each a scale of its own.

    Returns:
        The figure.
    """
    with style():
        heights = [0.35 + 0.24 * len(rows) + (0 if shared else 0.25) for rows in panels.values()]
        drawing, axes = panel_grid(list(panels), 1, 0.5, share_x=shared, heights=heights)
        for axis, rows in zip(axes, panels.values(), strict=True):
            _bars(axis, rows, 0)
            _scale(axis, linear)
        drawing.supxlabel(xlabel, fontsize=10)
    return drawing


def _scale(axis: Axes, linear: float) -> None:
    if linear:
        axis.set_xscale("symlog", linthresh=linear)
        axis.xaxis.set_major_locator(FixedLocator([-5 * linear, -linear, 0, linear, 5 * linear]))
    axis.xaxis.set_major_formatter("{x:g}")


def _bars(axis: Axes, rows: Mapping[str, Bounds], needed: float) -> None:
    axis.axvline(needed, color=GREY, linewidth=0.8)
    for i, (label, (mean, low, high)) in enumerate(rows.items()):
        drawn = look(label, 0)
        if np.isfinite([low, high]).all():
            axis.hlines(i, low, high, color=drawn.colour, linewidth=1.8)
        _marks(axis, np.array([mean]), np.array([i]), label, 0)
    axis.set_yticks(range(len(rows)), [name(label) for label in rows])
    axis.grid(axis="y", visible=False)
    axis.set_ylim(len(rows) - 0.5, -0.5)


def scatter(
    x: Mapping[str, Sequence[float] | np.ndarray],
    y: Mapping[str, Sequence[float] | np.ndarray],
    xlabel: str,
    ylabel: str,
) -> Drawing:
    """Draw points of several series over two quantities.

    Args:
        x: arm or label -> (n,) values; its keys are the series.
        y: arm or label -> (n,) values.
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.

    Returns:
        The figure.
    """
    with style():
        drawing, axis = canvas(WIDTH, WIDTH * 0.7)
        for i, (label, values) in enumerate(x.items()):
            _marks(axis, np.asarray(values), np.asarray(y[label]), label, i)
        axis.set(xlabel=xlabel)
        axis.set_title(ylabel, loc="left")
        _legend(drawing, len(x))
    return drawing


def heatmap(matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str) -> Drawing:
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
        drawing, axis = canvas(WIDTH, 1.0 + 0.5 * len(rows))
        mesh = axis.pcolormesh(matrix, cmap="cividis")
        axis.grid(False)
        middle = (np.nanmax(matrix) + np.nanmin(matrix)) / 2
        for (i, j), value in np.ndenumerate(matrix):
            ink = "white" if value < middle else "black"
            axis.text(j + 0.5, i + 0.5, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=SMALL)
        axis.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=30, ha="right")
        axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
        axis.set(ylim=(len(rows), 0))
        drawing.colorbar(mesh, label=label, location="top", aspect=40)
    return drawing


def barcode(
    ticks: Mapping[str, Mapping[str, Sequence[int]]],
    rows: Mapping[str, int],
    notes: Mapping[str, str],
    xlabel: str = "rows of the report split, a tick where the answer is wrong",
) -> Drawing:
    """Draw some rows of a task as barcodes, such as those that are wrong: a panel per task, a line per adapter.

    Args:
        ticks: task -> arm or label -> numbers of the rows that have a tick.
        rows: task -> how many rows there are.
        notes: task -> a few words at the end of its title.
        xlabel: what the rows and the ticks are.

    Returns:
        The figure.
    """
    with style():
        titles = [fill(task, TITLE) for task in ticks]
        heights = [
            0.2 + 0.2 * (len(title.splitlines()) + len(ticks[task])) for title, task in zip(titles, ticks, strict=True)
        ]
        drawing, axes = panel_grid(titles, 1, 0.4, heights=heights)
        for axis, (task, each) in zip(axes, ticks.items(), strict=True):
            for i, (label, places) in enumerate(each.items()):
                x, y = np.repeat(np.asarray(places, float), 3), np.tile([i - 0.4, i + 0.4, np.nan], len(places))
                axis.plot(x, y, color=look(label, i).colour, linewidth=0.9)  # one path: a path a tick is heavy
            axis.set_yticks(range(len(each)), [name(label) for label in each])
            axis.set_title(notes[task], loc="right", fontsize=SMALL)
            axis.set(xlim=(-1, rows[task]), ylim=(len(each) - 0.5, -0.5), xticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)
            axis.tick_params(left=False)
        drawing.supxlabel(xlabel, fontsize=10)
    return drawing
