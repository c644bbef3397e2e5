"""Say on every page whose run it shows, and on every executed notebook which command made it; fold its code away.

A cell tagged ``keep-input`` is there to be read, and stays open.

Source: ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("config-inited", _announce)
    app.connect("source-read", _sign)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _announce(app: Sphinx, config: Config) -> None:
    notebooks = sorted((Path(app.srcdir) / "notebooks").glob("*.ipynb"))
    found = {json.loads(path.read_text())["metadata"]["papermill"]["parameters"]["preset"] for path in notebooks}
    sizes = ", ".join(sorted(found))
    shown = (
        f"Results of a run of the preset {sizes}; “Reproduce it” says what that is."
        if found
        else "No run is shown yet."
    )
    config.html_theme_options = config.html_theme_options | {"announcement": shown}


def _sign(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the command that made an executed notebook, and where its numbers are, below its title."""
    if not page.startswith("notebooks/"):
        return
    notebook, name = json.loads(source[0]), page.partition("/")[2]
    given = notebook["metadata"]["papermill"]["parameters"]
    command = " ".join([f"papermill notebooks/{name}.ipynb", *(f"-p {key} {value}" for key, value in given.items())])
    text = f"*Made by* `{command}`; *every number of this page is in* `results/{name}.json`."
    for cell in notebook["cells"]:
        _fold(cell["metadata"].setdefault("tags", []), cell["id"] == "injected-parameters")
    signature = {"cell_type": "markdown", "id": "made-by", "metadata": {}, "source": text}
    notebook["cells"].insert(1, signature)
    source[0] = json.dumps(notebook)


def _fold(tags: list[str], injected: bool) -> None:
    if "keep-input" not in tags:
        tags.append("remove-cell" if injected else "hide-input")
