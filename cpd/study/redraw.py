"""Draw the committed pages again from ``results/``, without their runs: ``make figures``.

Cells tagged ``run`` compute; they are not executed, and keep their outputs where they stayed the same. All others make
figures, tables and sentences of what the run published (``cpd.study.report``), and are executed anew. Parameters stay.

Source: ours; cells are executed by nbclient.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from tqdm import tqdm

from cpd.runtime import artifacts
from cpd.study.book import CARD, CARD_DPI, COMMITTED, REPOSITORY
from cpd.study.lead import lead
from cpd.study.papermill_engine import clean

INJECTED = "injected-parameters"


def drawn(source: NotebookNode, executed: NotebookNode, results: Path) -> NotebookNode:
    """Return an executed copy of a notebook whose pages are drawn from some results.

    Args:
        source: the notebook as it is now.
        executed: an earlier executed copy, for its parameters and for the outputs of its runs.
        results: folder with one JSON file per notebook.

    Raises:
        CellExecutionError: if a cell raised.
    """
    earlier = {
        cell["source"]: [each for each in cell.get("outputs", []) if "scrapbook" not in each.get("metadata", {})]
        for cell in executed.cells
    }
    made = copy.deepcopy(source)
    made.metadata.papermill = executed.metadata.papermill
    after = 1 + next(i for i, cell in enumerate(made.cells) if "parameters" in cell.metadata.get("tags", []))
    made.cells[after:after] = [cell for cell in executed.cells if cell["id"] == INJECTED]
    computed = [cell for cell in made.cells if "run" in cell.metadata.get("tags", [])]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(results, Path(folder, COMMITTED, "results"))
        runnable = copy.copy(made)
        runnable.cells = [cell for cell in made.cells if cell not in computed]
        environment = os.environ | {"CPD_ARTIFACTS": folder}
        NotebookClient(runnable, kernel_name="python3", timeout=600).execute(env=environment)
    for cell in computed:
        cell.outputs = earlier.get(cell["source"], [])
    clean(made, made.metadata.papermill.parameters)
    return made


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cpd.study.redraw", description="Draw committed pages from results/."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks, as in 05_novelty (default: all)")
    pages = {path.stem: path for path in sorted((REPOSITORY / "book" / "notebooks").glob("*.ipynb"))}
    asked = parser.parse_args().names or list(pages)
    if unknown := sorted(set(asked) - set(pages)):
        parser.error(f"no page {', '.join(unknown)}; there are {', '.join(pages)}")
    for path in tqdm([pages[name] for name in asked], desc="pages", unit="page"):
        source = nbformat.read(REPOSITORY / "notebooks" / path.name, as_version=4)
        try:
            page = drawn(source, nbformat.read(path, as_version=4), REPOSITORY / "results")
        except CellExecutionError as error:
            raise SystemExit(f"cpd.study.redraw: {path.stem} stays as it was; a cell failed.\n{error}") from None
        artifacts.write_bytes(path, nbformat.writes(page).encode())
    artifacts.write_bytes(REPOSITORY / CARD, lead(REPOSITORY / "results", wide=True).png(CARD_DPI))


if __name__ == "__main__":
    main()
