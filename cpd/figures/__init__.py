"""Figures of arrays and mappings: only matplotlib, only data in, a ``Drawing`` out, one look.

Nothing here measures or knows a zoo. Arms have the names, colours and markers of ``cpd.arms``.

Source: ours.
"""

from cpd.figures.charts import barcode, curves, dots, heatmap, intervals, scatter, small_multiples
from cpd.figures.gallery import Gallery, Slider, Strip
from cpd.figures.look import FAINT, GREY, INK, PALETTE, SMALL, WIDTH, Drawing, canvas, described, style, swatch
from cpd.figures.planes import plane, point_clouds
from cpd.figures.sheets import pictures

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
