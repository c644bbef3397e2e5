"""Say on every page whose run it shows: the preset of the executed notebooks, or that there are none yet.

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
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _announce(app: Sphinx, config: Config) -> None:
    notebooks = sorted((Path(app.srcdir) / "notebooks").glob("*.ipynb"))
    found = {json.loads(path.read_text())["metadata"]["papermill"]["parameters"]["preset"] for path in notebooks}
    shown = f"This book shows a run of the preset {', '.join(sorted(found))}." if found else "No run is shown here yet."
    config.html_theme_options = config.html_theme_options | {"announcement": shown}
