"""Figures of arrays and mappings: only matplotlib, only data in, a ``Drawing`` out, one look.

Nothing here measures or knows a zoo. Arms have the names, colours and markers of ``cpd.study.arms``.

Source: ours.
"""

from cpd.study.figures.canvas import FAINT, GREY, INK, PALETTE, SMALL, WIDTH, Drawing, canvas, described, style, swatch
from cpd.study.figures.charts import barcode, curves, dots, heatmap, intervals, scatter, small_multiples
from cpd.study.figures.gallery import Gallery, Slider, Strip
from cpd.study.figures.planes import plane, point_clouds
from cpd.study.figures.sheets import pictures

__all__ = [
    "FAINT",
    "GREY",
    "INK",
    "PALETTE",
    "SMALL",
    "WIDTH",
    "Drawing",
    "Gallery",
    "Slider",
    "Strip",
    "barcode",
    "canvas",
    "curves",
    "described",
    "dots",
    "heatmap",
    "intervals",
    "pictures",
    "plane",
    "point_clouds",
    "scatter",
    "small_multiples",
    "style",
    "swatch",
]
