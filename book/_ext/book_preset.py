"""Say on every page whose run it shows, and on every executed notebook which command made it.

Source: ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

RUNS = {
    "full": "the full run: six GLUE tasks and sixteen picture styles on two CPU cores",
    "laptop": "a laptop run: six small tasks and eight picture styles",
}
SIGNATURE = """```{{container}} made-by
Made by `{command}`; every number of this page is in `results/{name}.json`.
```"""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", _announce)
    app.connect("source-read", _sign)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _announce(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    notebooks = sorted((Path(app.srcdir) / "notebooks").glob("*.ipynb"))
    found = {json.loads(path.read_text())["metadata"]["papermill"]["parameters"]["preset"] for path in notebooks}
    runs = " and ".join(RUNS.get(preset, f"a run of the preset {preset}") for preset in sorted(found))
    how = f'<a href="{context["pathto"]("reproduce")}">How it was made</a>'
    context["theme_announcement"] = f"Numbers from {runs}. {how}" if found else f"No run is shown yet. {how}"


def _sign(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the command that made an executed notebook, and where its numbers are, below its title."""
    if not page.startswith("notebooks/"):
        return
    notebook, name = json.loads(source[0]), page.partition("/")[2]
    given = notebook["metadata"]["papermill"]["parameters"]
    command = " ".join([f"papermill notebooks/{name}.ipynb", *(f"-p {key} {value}" for key, value in given.items())])
    text = SIGNATURE.format(command=command, name=name)
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "injected-parameters"]
    signature = {"cell_type": "markdown", "id": "made-by", "metadata": {}, "source": text}
    notebook["cells"].insert(1, signature)
    source[0] = json.dumps(notebook)
