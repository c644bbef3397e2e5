"""Write the notebooks as Colab and Binder start them: with a first cell that installs this repository.

``python3 .github/launch.py FOLDER``, with ``GITHUB_REPOSITORY`` set; ``publish.yml`` pushes the folder as the branch
``launch``, which the launch buttons of the book open.
"""

import json
import os
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
INSTALL = """# Colab has no cpd yet: this installs it, with PyTorch as it is there
import importlib.util

if importlib.util.find_spec("cpd") is None:
    %pip install --quiet {source}"""


def launchable(notebook: dict, source: str) -> dict:
    """Return a notebook with a first cell that installs a package where it is missing."""
    lines = INSTALL.format(source=source).splitlines(keepends=True)
    cell = {
        "cell_type": "code", "id": "install", "metadata": {}, "source": lines, "outputs": [], "execution_count": None,
    }  # fmt: skip
    return notebook | {"cells": [cell, *notebook["cells"]]}


def main() -> None:
    """Write every notebook, and what Binder installs."""
    folder, source = Path(sys.argv[1]), f"git+https://github.com/{os.environ['GITHUB_REPOSITORY']}"
    (folder / "notebooks").mkdir(parents=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        made = launchable(json.loads(path.read_text(encoding="utf-8")), source)
        text = json.dumps(made, indent=1, ensure_ascii=False)
        (folder / "notebooks" / path.name).write_text(f"{text}\n", encoding="utf-8")
    (folder / "requirements.txt").write_text(f"cpd @ {source}\n")
    (folder / "runtime.txt").write_text("python-3.11\n")


if __name__ == "__main__":
    main()
