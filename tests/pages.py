"""Small books for the tests of the book's extensions."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXTENSIONS = ROOT / "book" / "_ext"
SVG = '<svg viewBox="0 0 9 9"><circle r="1"/></svg>'
CONFIG = """
extensions = ["myst_nb", "book_claims", "book_figure", "book_light", "book_page", "book_results", "book_preset"]
extensions += ["book_share"]
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
html_theme, html_theme_options = "sphinx_book_theme", {}
exclude_patterns = ["out"]
"""


def extension(name: str) -> ModuleType:
    """Return an extension of the book as a module."""
    if str(EXTENSIONS) not in sys.path:
        sys.path.insert(0, str(EXTENSIONS))
    return importlib.import_module(name)


def code(source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = (), **about: Any) -> dict[str, Any]:
    """Return an executed cell."""
    shown = [{"output_type": "display_data", "data": data, "metadata": {}} for data in outputs]
    return {
        "cell_type": "code", "id": f"c{abs(hash(source))}"[:12], "execution_count": 1, "source": source,
        "outputs": shown, "metadata": ({"tags": list(tags)} if tags else {}) | ({"mystnb": about} if about else {}),
    }  # fmt: skip


def figure(name: str = "fig-one") -> dict[str, Any]:
    """Return a cell that shows a drawing."""
    about = {"figure": {"name": name, "caption": "One dot."}, "image": {"alt": "A dot"}}
    return code("draw()", {"image/svg+xml": SVG}, **about)


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    """Return an executed notebook."""
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "(a)=\n# A notebook"}
    return {
        "cells": [title, *cells],
        "metadata": {
            "language_info": {"name": "python", "pygments_lexer": "python"},
            "papermill": {"parameters": {"preset": "full", "seed": 3}},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def built(
    folder: Path, sentence: str, made: dict[str, Any] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Build a book of one page and one notebook with warnings as errors."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "conf.py").write_text(f'import sys; sys.path.insert(0, "{EXTENSIONS}"){CONFIG}')
    listed = "```{toctree}\nnotebooks/02_diffusion\nreproduce\n```\n"
    (folder / "index.md").write_text(f"# Page\n\n{sentence}\n\n{listed}")
    (folder / "reproduce.md").write_text("# How\n")
    (folder / "notebooks" / "02_diffusion.ipynb").write_text(json.dumps(made or notebook(figure())))
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html", folder, folder / "out"]
    kept = {key: value for key, value in os.environ.items() if key != "GITHUB_REPOSITORY"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=kept | environment)
