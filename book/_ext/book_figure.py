"""Show a figure of an executed notebook on another page, and the book's lead picture.

```{shown} 03_evaluation fig-answer
```

has the caption and the alternative text of the figure, and a link to its own page. ``{lead}`` is drawn from
the committed results when the book is built, wide and narrow; its content is the caption, its argument the text for
those who do not see it.

Source: ours.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from book_page import inline
from book_results import RESULTS
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cpd.study.lead import lead


def find(notebook: dict[str, Any], name: str) -> tuple[str, str, str]:
    """Return the drawing of a named figure as SVG, its caption and its alternative text.

    Args:
        notebook: executed.
        name: of the figure, in the metadata of its cell.

    Raises:
        ValueError: if no cell has a figure of that name, or it was not drawn.
    """
    for cell in notebook["cells"]:
        about = cell["metadata"].get("mystnb", {})
        if about.get("figure", {}).get("name") != name:
            continue
        for output in cell["outputs"]:
            if picture := output.get("data", {}).get("image/svg+xml"):
                return "".join(picture), about["figure"]["caption"], about["image"]["alt"]
    raise ValueError(f"no figure {name!r} is drawn in this notebook")


class Shown(SphinxDirective):
    """The directive."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the figure, or nothing where the book has not got its notebook."""
        notebook, name = self.arguments
        path = Path(self.env.srcdir, "notebooks", f"{notebook}.ipynb")
        if not path.exists():
            return []
        self.env.note_dependency(str(path))
        try:
            picture, caption, alt = find(json.loads(path.read_text(encoding="utf-8")), name)
        except ValueError as error:
            raise self.error(f"{notebook}: {error}") from None
        link = pending_xref(
            "", nodes.inline("", "Its page"), refdomain="std", reftype="ref", reftarget=name, refdoc=self.env.docname,
            refexplicit=True, refwarn=True,
        )  # fmt: skip
        source = f"notebooks/{notebook}.ipynb"  # a form has to be said there; "s" is the one of texts
        caption = re.sub(
            r"\{glue:text\}`(\w+)(:[^`]*)?`", lambda key: f"{{glue:text}}`{source}::{key[1]}{key[2] or ':s'}`", caption
        )
        words, messages = self.state.inline_text(caption, self.lineno)
        return [nodes.figure("", inline(picture, alt), nodes.caption("", "", *words, nodes.Text(" "), link)), *messages]


class Lead(SphinxDirective):
    """The lead picture."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the figure: one drawing for wide pages, one for narrow ones."""
        alt = self.arguments[0]
        both = {kind: inline(lead(RESULTS, kind == "wide").svg(), alt) for kind in ("wide", "narrow")}
        drawings = [nodes.container("", drawing, classes=[f"on-{kind}"]) for kind, drawing in both.items()]
        caption = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, caption)
        return [nodes.figure("", *drawings, nodes.caption("", "", *caption[0].children), classes=["lead-picture"])]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("shown", Shown)
    app.add_directive("lead", Lead)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
