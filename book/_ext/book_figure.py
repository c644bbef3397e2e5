"""Show a figure of an executed notebook on another page, with its caption and alternative text, and a link to its own.

```{shown} 03_evaluation fig-answer
```

Source: ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def find(notebook: dict[str, Any], name: str) -> tuple[str, str, str]:
    """Return the picture of a named figure as base64, its caption and its alternative text.

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
            if picture := output.get("data", {}).get("image/png"):
                return "".join(picture).replace("\n", ""), about["figure"]["caption"], about["image"]["alt"]
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
            "", nodes.inline("", caption), refdomain="std", reftype="ref", reftarget=name, refdoc=self.env.docname,
            refexplicit=True, refwarn=True,
        )  # fmt: skip
        image = nodes.image(uri=f"data:image/png;base64,{picture}", alt=alt)
        return [nodes.figure("", image, nodes.caption("", "", link))]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("shown", Shown)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
