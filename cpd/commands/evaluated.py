"""What two kinds of evaluation have in common: how a picture of differences is written, and intervals in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FAR = 8  # times the middle one: from there on an arm is far away
Bounds = tuple[float, float, float]


def draw(out: Path, rows: Mapping[str, list[float | None]], what: str) -> None:
    """Write a picture of differences, PNG and SVG, where there is any.

    Args:
        out: folder.
        rows: arm, or its name -> mean, lower and upper end.
        what: they are, for the axis.
    """
    from cpd.runtime import artifacts
    from cpd.study import figures

    if bounds := {arm: _bounds(value) for arm, value in rows.items()}:
        drawing = figures.intervals(bounds, what, linear=_linear(bounds))
        artifacts.write_bytes(out / "evaluation.png", drawing.png())
        artifacts.write_bytes(out / "evaluation.svg", drawing.file())


def away(above: list[float | None] | None) -> str:
    """Write a difference and its interval."""
    return f"{above[0]:+.3g} ({_ends(above[1:])})" if above else ""


def _bounds(value: list[float | None]) -> Bounds:
    mean, low, high = (float("nan") if each is None else each for each in value)
    return mean, low, high


def _linear(rows: Mapping[str, Bounds]) -> float:
    """Return how far from zero an axis is linear, so that one arm far away does not press the others together."""
    ends = sorted(max(abs(mean), abs(low), abs(high)) for mean, low, high in rows.values() if low == low)
    middle = ends[len(ends) // 2] if ends else 0.0
    return float(f"{middle:.1g}") if middle and ends[-1] > FAR * middle else 0.0


def _ends(ends: list[float | None]) -> str:
    low, high = ends
    return "one value" if low is None or high is None else f"{low:.3g} to {high:.3g}"
