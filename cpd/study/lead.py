"""The lead picture of book, README and social card: unseen styles, what was shown, fine-tuned, written, nearest.

Every held-out style is shown, with the first of the draws of noise; beside its name stand the training styles that all
draws are nearest to, since chance decides as much as the pictures do.

Source: ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from cpd.study.arms import GENERATED
from cpd.study.claims import CLAIMS, Verdict, reader
from cpd.study.figures import FAINT, SMALL, WIDTH, Drawing, style
from cpd.study.report import sheets

NOTEBOOK = "06_styles_held_out"
GROUPS = {"own": "shown", "tuned": "fine-tuned", "generated": "written", "nearest": "nearest run"}
EACH = 2  # pictures of a group
GUTTER = 0.4  # inches, between columns
CARD = (10.0, 5.25)  # inches; 1200 by 630 pixels at 120 to the inch
SAME = 0.25  # of the difference between written and fine-tuned: below it, written and nearest are called the same


def lead(results: Path, wide: bool) -> Drawing:
    """Draw the lead picture.

    Args:
        results: folder with the numbers and pictures of the committed run.
        wide: two columns of styles, in the shape of a social card; else one column, for phones.

    Returns:
        The figure.
    """
    numbers = reader(results)(NOTEBOOK)
    shown = sheets(results / f"{NOTEBOOK}.json")
    styles = [name for name in numbers["reached"] if name in shown]
    columns = 2 if wide else 1
    rows = -(-len(styles) // columns)
    width, height = CARD if wide else (WIDTH, 2.1 + 0.78 * rows)
    margin, top, bottom = (0.25, 0.8, 0.75) if wide else (0.08, 0.8, 1.2)
    column = (width - 2 * margin - GUTTER * (columns - 1)) / columns
    pitch = (height - top - bottom - 0.1) / rows
    with style():
        drawing = Drawing(figsize=(width, height))
        axis = drawing.add_axes((0, 0, 1, 1))
        axis.set_axis_off()
        axis.text(margin, 0.4, title(results, wide), fontsize=16 if wide else 12, fontweight="bold", va="center")
        for i, name in enumerate(styles):
            left = margin + i // rows * (column + GUTTER)
            _panel(axis, name, shown[name], numbers["reached"][name], left, top + 0.28 + i % rows * pitch, column)
        tall = (rows - 1) * pitch + 0.36 + _places(column)[0]
        for i in range(columns):
            _frame(axis, margin + i * (column + GUTTER), top, column, tall)
        axis.text(margin, height - 0.12, footer(numbers, wide), fontsize=SMALL, alpha=FAINT)
        axis.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
        if copies := copied(shown[name] for name in styles):
            said = f"the same pictures in {copies} of {len(styles)} rows: copies"
            axis.text(width - margin, top + tall + 0.2, said, fontweight="bold", ha="right", va="center")
    return drawing


def _places(column: float) -> tuple[float, list[float]]:
    """Return the side of a picture and where each begins, inches from the left of a column."""
    side = (column - 0.14 * (len(GROUPS) - 1) - 0.03 * len(GROUPS)) / (EACH * len(GROUPS))
    group = EACH * side + 0.03 + 0.14
    return side, [g * group + k * (side + 0.03) for g in range(len(GROUPS)) for k in range(EACH)]


def _panel(
    axis: Axes,
    name: str,
    sheet: Mapping[str, np.ndarray],
    reached: Sequence[str],
    left: float,
    top: float,
    column: float,
) -> None:
    side, places = _places(column)
    axis.text(left, top, name, fontsize=10, fontweight="bold")
    axis.text(left + column, top, "draws: " + ", ".join(counted(reached)), fontsize=SMALL, alpha=FAINT, ha="right")
    pictures = [picture for arm in GROUPS for picture in sheet[arm][:EACH]]
    for x, picture in zip(places, pictures, strict=True):
        box = (left + x, left + x + side, top + 0.06 + side, top + 0.06)
        axis.imshow(picture, extent=box, interpolation="none")


def counted(reached: Sequence[str]) -> list[str]:
    """Return the styles that draws are nearest to, each once, the first draw's first; those of several with a count."""
    return [name if times == 1 else f"{name} ×{times}" for name, times in Counter(reached).items()]


def _frame(axis: Axes, left: float, top: float, column: float, height: float) -> None:
    """Name the groups of a column, and draw a frame around what was written and what it is nearest to."""
    side, places = _places(column)
    for g, label in enumerate(GROUPS.values()):
        middle = left + places[EACH * g] + side + 0.015
        axis.text(middle, top, label, fontsize=SMALL, ha="center", fontweight="bold" if label == "written" else None)
    begin = left + places[2 * EACH] - 0.06
    box = FancyBboxPatch(
        (begin, top + 0.06), column - begin + left + 0.05, height, boxstyle="round,pad=0,rounding_size=0.08"
    )
    box.set(fill=False, edgecolor=GENERATED, linewidth=1.5)
    axis.add_patch(box)


def copied(shown: Iterable[Mapping[str, np.ndarray]]) -> int:
    """Count the styles whose written and nearest pictures are the same to the eye, beside fine-tuned ones."""
    return sum(_gap(sheet, "nearest") < SAME * _gap(sheet, "tuned") for sheet in shown)


def _gap(sheet: Mapping[str, np.ndarray], other: str) -> float:
    return float(np.abs(sheet["generated"].astype(float) - sheet[other].astype(float)).mean())


def title(results: Path, wide: bool) -> str:
    """Return what the picture says, which follows from the verdict on unseen styles."""
    verdict = CLAIMS["held-out"](reader(results)).verdict
    said = ["Asked for a style it has never seen,", "the generator hands back one it has."]
    if verdict is not Verdict.UNSUPPORTED:
        said = ["Asked for a style it has never seen,", f"the generator writes one: {verdict}."]
    return (" " if wide else "\n").join(said)


def footer(numbers: Mapping[str, Any], wide: bool) -> str:
    """Return what the picture counts, and whose drawings these are."""
    drawn = ["Written from the first draw of noise.", "In grey, the training style nearest to each draw."]
    count = f"{numbers['styles_worse_than_none']} of {numbers['styles']} styles come out worse than with no adapter."
    credit = "Drawings: OpenMoji, CC BY-SA 4.0"
    return "\n".join([" ".join(drawn), f"{count} {credit}"] if wide else [*drawn, count, credit])
