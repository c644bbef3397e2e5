"""Lay out what a notebook shows: outputs first, one fold for tables and code, drawings in the ink of the page.

Code cells that follow each other without a text between them are one step: what they show stands first, and below it
one fold holds their tables (cells tagged ``fold``) and their code. A cell tagged ``keep-input`` is there to be read,
and stays as it is. Drawings are SVG elements of the page, so that they have its colours.

Source: ours; cells are rendered by myst-nb.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from cpd.study.figures import described


def is_cell(node: nodes.Node) -> bool:
    """Return whether a node is a code cell whose code may be folded away."""
    is_code = isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"
    return is_code and "tag_keep-input" not in node["classes"]


def parts(cell: nodes.Element, kind: str) -> list[nodes.Node]:
    """Return the children of a cell that are its ``source`` or its ``output``."""
    return [child for child in cell.children if child.get("nb_element") == f"cell_code_{kind}"]


def folded(cells: list[nodes.Element]) -> Iterator[nodes.Node]:
    """Yield what neighbouring cells show, then their tables and their code in one fold."""
    tables = [cell for cell in cells if "tag_fold" in cell["classes"]]
    for cell in cells:
        if cell not in tables and (shown := parts(cell, "output")):
            yield nodes.container("", *shown, classes=["cell"])
    summary = "Numbers and code" if tables else "Code"
    inside = [
        part for kind, some in (("output", tables), ("source", cells)) for cell in some for part in parts(cell, kind)
    ]
    if not inside:
        return
    yield nodes.raw("", f'<details class="fold"><summary>{summary}</summary>', format="html")
    yield nodes.container("", *inside, classes=["cell"])
    yield nodes.raw("", "</details>", format="html")


def inline(svg: str, alt: str) -> nodes.raw:
    """Return a drawing as an element of the page that says what it shows."""
    return nodes.raw("", described(svg, alt), format="html")


class Layout(SphinxPostTransform):
    """Fold code and tables, and put drawings into the page."""

    default_priority = 400  # after myst-nb has chosen what to show of an output
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change the page."""
        for parent in {cell.parent for cell in self.document.findall(is_cell)}:
            children = [
                each
                for foldable, some in groupby(parent.children, is_cell)
                for each in (folded(list(some)) if foldable else some)
            ]
            parent.children = []
            parent.extend(children)
        for image in list(self.document.findall(nodes.image)):
            if image["uri"].endswith(".svg"):
                svg = Path(self.env.srcdir, image["uri"]).read_text(encoding="utf-8")
                image.replace_self(inline(svg, image["alt"]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_post_transform(Layout)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
