"""Quote the committed results: the role ``result`` writes a number out of ``results/`` and links to its page.

``{result}`02_diffusion.right_task:.0%` `` is the value of that key in ``results/02_diffusion.json``, in that format;
keys of nested values follow after further dots. Unlike glue it does not depend on which run the book shows: a page of
claims is about the committed run. ``laptop/02_diffusion.right_task`` is of a run at another preset, kept in
``results/laptop/``. Two roles mark numbers that no result of ours stands behind: ``logged`` one of the
authors' logs, ``once`` one that was measured once, outside the study.

Source: ours.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxRole

RESULTS = Path(__file__).resolve().parents[2] / "results"


def quote(reference: str, results: Path = RESULTS) -> str:
    """Return a number of the committed run as text.

    Args:
        reference: ``NOTEBOOK.KEY`` or ``PRESET/NOTEBOOK.KEY``, further dots lead into nested values, then ``:`` and a
            format of Python's (needed where a key holds a colon).
        results: folder with one JSON file per notebook.

    Raises:
        ValueError: if there is no such notebook or key, or the format does not fit; names the reference.
    """
    path, form = reference.rsplit(":", 1) if ":" in reference else (reference, "")
    notebook, *keys = path.split(".")
    try:
        value = _read(results / f"{notebook}.json")
        for key in keys:
            value = value[int(key)] if isinstance(value, list) else value[key]
        if isinstance(value, dict | list):
            raise TypeError(f"{path} is a table, not a number")
        return typeset(format(value, form)) if form else str(value)
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{reference!r} quotes nothing: {error!r}; see {results.name}/{notebook}.json") from None


def typeset(number: str) -> str:
    """Return a formatted number as a book has it: with a true minus, and a space before a per cent sign."""
    return re.sub(r"-(?=\d)", "\N{MINUS SIGN}", re.sub(r"(?<=\d)%", "\N{NO-BREAK SPACE}%", number))


@cache
def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


class Glued(SphinxPostTransform):
    """Typeset what notebooks glue in the same way."""

    default_priority = 400  # after myst-nb has found the values
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change the numbers of the page."""
        for node in list(self.document.findall(nodes.inline)):
            if "pasted-text" in node["classes"] and re.fullmatch(r"[+-]?[\d.,e+-]+%?", node.astext()):
                node.children = []
                node += nodes.Text(typeset(node.rawsource))


class Result(SphinxRole):
    """The role; a number links to the notebook that made it, or of another preset to how that is run."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number, as a link."""
        notebook = self.text.partition(".")[0]
        page = "reproduce" if "/" in notebook else f"notebooks/{notebook}"
        try:
            text = nodes.inline(self.rawtext, quote(self.text), classes=["result"])
        except ValueError as error:
            complaint = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, complaint)], [complaint]
        if page not in self.env.found_docs:
            return [text], []
        link = pending_xref(
            "", text, refdomain="std", reftype="doc", reftarget=f"/{page}", refdoc=self.env.docname,
            refexplicit=True, refwarn=True,
        )  # fmt: skip
        return [link], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_role("result", Result())
    app.add_post_transform(Glued)
    for name in ("logged", "once"):
        app.add_generic_role(name, nodes.inline)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
