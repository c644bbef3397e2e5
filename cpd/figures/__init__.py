"""Arrays in, Matplotlib figures out, in one look. Models, files and numbers in prose are not known here.

``look`` is what they have in common, ``charts`` compare numbers, ``planes`` show points, ``sheets`` show pictures.
"""

from cpd.figures.charts import curves, dots, heatmap, intervals, scatter, small_multiples
from cpd.figures.look import GREY, PALETTE, WIDTH, style
from cpd.figures.planes import layouts, point_clouds
from cpd.figures.sheets import pictures

__all__ = [
    "GREY",
    "PALETTE",
    "WIDTH",
    "curves",
    "dots",
    "heatmap",
    "intervals",
    "layouts",
    "pictures",
    "point_clouds",
    "scatter",
    "small_multiples",
    "style",
]
