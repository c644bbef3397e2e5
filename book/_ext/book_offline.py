"""Make the book readable without a network: MathJax is served from the book itself, and no script is loaded twice.

Source: ours; MathJax is that of the package ``sphinx-mathjax-offline``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset

MATHJAX = "mathjax/tex-svg-full.js"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("config-inited", lambda app, config: setattr(config, "mathjax_path", MATHJAX))
    app.connect("build-finished", _copy_mathjax)
    app.connect("html-page-context", _drop_repeated_scripts, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        spec = find_spec("sphinx-mathjax-offline")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("sphinx-mathjax-offline is missing; install requirements.txt")
        copy_asset(str(Path(spec.origin).parent / "static" / MATHJAX), str(Path(app.outdir) / "_static" / "mathjax"))


def _drop_repeated_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    scripts = {}
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body")
        scripts.setdefault((getattr(script, "filename", script) or "", body), script)
    context["script_files"] = list(scripts.values())
