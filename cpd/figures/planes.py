"""Points in planes: one panel per cloud or layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cpd.figures.look import PALETTE, panel_grid, style


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
        figure, axes = panel_grid(list(clouds), 4, 0.4, share_x=True, share_y=True)
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
        figure, axes = panel_grid(list(panels), 3, 0.5)
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
