"""Points in planes: one panel per cloud, or a map whose points tell what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cpd.study.figures.canvas import INK, PALETTE, WIDTH, Drawing, canvas, look, panel_grid, style


def point_clouds(clouds: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], labels: Sequence[str]) -> Drawing:
    """Draw one panel of points per cloud, on common axes.

    Args:
        clouds: panel label -> (n, 2) points.
        groups: panel label -> (n,) index into ``labels`` that colours each point.
        labels: what the colours mean.

    Returns:
        The figure.
    """
    with style():
        drawing, axes = panel_grid(list(clouds), 2, 0.4, share_x=True, share_y=True)
        for axis, (name, points) in zip(axes, clouds.items(), strict=True):
            for i, label in enumerate(labels):
                own = points[groups[name] == i]
                axis.plot(own[:, 0], own[:, 1], ".", markersize=1.5, color=PALETTE[i], label=label, rasterized=True)
            axis.set_aspect("equal")
        drawing.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels), markerscale=6
        )
    return drawing


def plane(
    points: np.ndarray,
    groups: np.ndarray,
    labels: Sequence[str],
    ringed: np.ndarray,
    ring: str,
    titles: Sequence[str],
) -> Drawing:
    """Draw a map: each point says under the pointer what it is; the axes have no unit.

    Args:
        points: (n, 2).
        groups: (n,) index into ``labels`` that colours each point and gives it its marker.
        labels: what the colours mean.
        ringed: (n,) True for the points that are drawn with a ring around them.
        ring: what the rings mean.
        titles: (n,) what each point is.

    Returns:
        The figure.
    """
    with style():
        drawing, axis = canvas(WIDTH, WIDTH)
        axis.set(xticks=[], yticks=[])
        looks = [look(label, i) for i, label in enumerate(labels)]
        for i in np.argsort(ringed, kind="stable"):
            drawn, edge = looks[groups[i]], INK if ringed[i] else "none"
            axis.plot(
                *points[i], linestyle="none", marker=drawn.marker, color=drawn.colour, markersize=7 if ringed[i] else 5,
                markeredgecolor=edge, gid=drawing.titled(titles[i]),
            )  # fmt: skip
        for drawn in looks:
            axis.plot([], [], drawn.marker, color=drawn.colour, markeredgecolor="none", label=drawn.name)
        axis.plot([], [], "o", color="none", markeredgecolor=INK, label=ring)
        drawing.legend(loc="outside lower center", ncols=min(4, len(labels) + 1))
    return drawing
