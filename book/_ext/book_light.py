"""Keep pages light: formulas are MathML, icons are drawn in place, and no script is loaded twice.

The theme brings a script of 1.5 MB for some ten icons, and formulas would take one of 2.3 MB. Browsers show MathML by
themselves; docutils writes it.

Source: ours; the icons are those of the theme (Font Awesome Free, CC BY 4.0).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

ICON = re.compile(r'<i class="([^"]*\bfa-[^"]*)"([^>]*)></i>')
OLD_ROLE = 'role="doc-biblioentry"'  # docutils writes it for the items of a list; WAI-ARIA has given it up
SCRIPT = re.compile(r"<script [^>]*fontawesome\.js[^>]*></script>")


def mathml(formula: str, block: bool = False) -> str:
    """Return a formula of LaTeX as MathML.

    Raises:
        MathError: if docutils does not know it.
    """
    return latex2mathml.tex2mathml(formula, as_block=block)


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line."""
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_displaymath(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula of its own, with its number."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight", tabindex="0"))  # it may scroll
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(mathml(node.astext(), block=True) + "</div>\n")
    raise nodes.SkipNode


def icon(classes: str, others: str, script: str) -> str:
    """Return an icon of the theme's script as an SVG element, with the other attributes of its place.

    Raises:
        ValueError: if the script has none of these names.
    """
    for name in re.findall(r"fa-([\w-]+)", classes):
        if found := re.search(rf'[{{,"]{name}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"\]', script):
            width, height, path = found.groups()
            drawn = f'viewBox="0 0 {width} {height}" aria-hidden="true" fill="currentColor"><path d="{path}"/></svg>'
            return f'<svg class="icon {classes}"{others} {drawn}'
    raise ValueError(f"the theme has no icon {classes!r}")


def draw_icons(app: Sphinx, exception: Exception | None) -> None:
    """Draw the icons of every page in place, and drop the script that would, and roles that are no more."""
    if exception is not None or app.builder.format != "html":
        return
    file = Path(app.outdir, "_static", "scripts", "fontawesome.js")
    script = file.read_text(encoding="utf-8")
    for page in Path(app.outdir).rglob("*.html"):
        text = ICON.sub(lambda found: icon(found[1], found[2], script), page.read_text(encoding="utf-8"))
        page.write_text(SCRIPT.sub("", text).replace(OLD_ROLE, 'role="listitem"'), encoding="utf-8")


def once(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Drop scripts that a page loads a second time."""
    scripts = {}
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body")
        scripts.setdefault((getattr(script, "filename", script) or "", body), script)
    context["script_files"] = list(scripts.values())


def choose_mathml(app: Sphinx, config: Config) -> None:
    """Make these the formulas of the book."""
    config.html_math_renderer = "mathml"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.connect("config-inited", choose_mathml)
    app.connect("html-page-context", once, priority=900)
    app.connect("build-finished", draw_icons)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
