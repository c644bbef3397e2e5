"""Notebook sources are clean; executed copies are complete, succeeded, and those of the sources."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cpd import book
from cpd.parameters import declared

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTED = sorted((ROOT / "book" / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:root|home|Users|work|tmp|opt|private|mnt)/\w|[A-Z]:\\\\Users")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tagged(notebook: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


def images(cell: dict[str, Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell["outputs"])


def complaints(executed: dict[str, Any], source: dict[str, Any], preset: str) -> list[str]:
    """Return what is wrong with an executed notebook; empty if it may be shown."""
    marks = executed["metadata"].get("papermill", {})
    outputs = [output for cell in code(executed) for output in cell["outputs"]]
    mine = [
        "".join(cell["source"]) for cell in executed["cells"] if cell not in tagged(executed, "injected-parameters")
    ]
    return [
        text
        for text, wrong in {
            "no outputs": not outputs,
            "an error": any(output["output_type"] == "error" for output in outputs),
            "not marked as succeeded": marks.get("succeeded") is not True,
            "another preset": marks.get("parameters", {}).get("preset") != preset,
            "cells differ from the source's": mine != ["".join(cell["source"]) for cell in source["cells"]],
            "a named figure not shown once": any(
                "figure" in cell["metadata"].get("mystnb", {}) and images(cell) != 1 for cell in code(executed)
            ),
            "a path of some machine": MACHINE_PATH.search(json.dumps(outputs)) is not None,
        }.items()
        if wrong
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_have_no_outputs_and_one_parameters_cell(path: Path) -> None:
    notebook = read(path)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code(notebook))
    assert len(tagged(notebook, "parameters")) == 1
    assert {"preset", "seed"} <= {parameter.name for parameter in declared(notebook["cells"])}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_executed_copies_may_be_shown(path: Path) -> None:
    assert complaints(read(path), read(ROOT / "notebooks" / path.name), "full") == []


def test_every_notebook_has_an_executed_copy_and_its_numbers() -> None:
    names = [path.stem for path in SOURCES]
    assert [path.stem for path in EXECUTED] == names
    assert sorted(path.stem for path in (ROOT / "results").glob("*.json")) == names


def test_the_table_of_contents_lists_exactly_the_executed_copies() -> None:
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    listed = [each["file"] for each in contents["chapters"] if each["file"].startswith("notebooks/")]
    assert listed == [f"notebooks/{path.stem}" for path in EXECUTED]


def sample() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a small executed notebook without fault, and its source."""
    cells = [
        {"cell_type": "code", "source": ['preset: str = "x"'], "outputs": [], "metadata": {"tags": ["parameters"]}},
        {"cell_type": "code", "source": ["1 / 1"], "outputs": [], "metadata": {}},
    ]
    source = {"cells": cells, "metadata": {}}
    executed = copy.deepcopy(source)
    injected = {
        "cell_type": "code",
        "source": ["preset = 1"],
        "outputs": [],
        "metadata": {"tags": ["injected-parameters"]},
    }
    executed["cells"].insert(1, injected)
    executed["cells"][2]["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": ["1.0"]}}]
    executed["metadata"]["papermill"] = {"succeeded": True, "parameters": {"preset": "full"}}
    return executed, source


def test_the_gate_lets_a_good_notebook_pass() -> None:
    assert complaints(*sample(), "full") == []


@pytest.mark.parametrize(
    ("doctoring", "complaint"),
    [
        (lambda nb: nb["cells"][2].update(outputs=[]), "no outputs"),
        (lambda nb: nb["cells"][2]["outputs"].append({"output_type": "error"}), "an error"),
        (lambda nb: nb["metadata"]["papermill"].pop("succeeded"), "not marked as succeeded"),
        (lambda nb: nb["metadata"]["papermill"]["parameters"].update(preset="laptop"), "another preset"),
        (lambda nb: nb["cells"][2].update(source=["2 / 1"]), "cells differ from the source's"),
        (lambda nb: nb["cells"].pop(0), "cells differ from the source's"),
        (lambda nb: nb["cells"][2]["metadata"].update(mystnb={"figure": {}}), "a named figure not shown once"),
        (lambda nb: nb["cells"][2]["outputs"][0].update(text="/home/me/x.py:1: W"), "a path of some machine"),
    ],
)
def test_the_gate_refuses_a_doctored_notebook(doctoring: Any, complaint: str) -> None:
    executed, source = sample()
    doctoring(executed)
    assert complaint in complaints(executed, source, "full")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out a finished smoke run of two notebooks."""
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    folder = tmp_path / "artifacts" / "smoke"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "results").mkdir()
    for name in ("01_b", "00_a", "01_b.unfinished"):
        (folder / "notebooks" / f"{name}.ipynb").write_text("{}")
    (folder / "results" / "00_a.json").write_text(
        '{"score": 0.123456, "n": 3, "ok": true, "table": [1], "preset": "x"}'
    )
    (folder / "results" / "01_b.json").write_text('{"score": 1, "headline": "all is well"}')
    return folder


def test_staging_lists_the_finished_notebooks_once_before_the_last_chapter(run: Path, tmp_path: Path) -> None:
    pages = tmp_path / "book"
    pages.mkdir()
    (pages / "_toc.yml").write_text("root: intro\nchapters:\n- file: method\n- file: references\n")
    for _ in range(2):
        book.fill(pages, book.executed("smoke"))
        chapters = [each["file"] for each in yaml.safe_load((pages / "_toc.yml").read_text())["chapters"]]
        assert chapters == ["method", "notebooks/00_a", "notebooks/01_b", "references"]
    assert sorted(path.name for path in (pages / "notebooks").iterdir()) == ["00_a.ipynb", "01_b.ipynb"]


def test_headlines_are_the_numbers_or_what_was_published_as_such(run: Path) -> None:
    assert book.headlines(run / "results") == ["00_a: score 0.1235, n 3", "01_b: all is well"]


def test_the_readme_lists_the_headlines_between_its_marks_and_keeps_the_rest(run: Path) -> None:
    once = book.with_finding("# T\n<!-- finding -->\nold\n<!-- end of finding -->\nend\n", run / "results")
    assert once == (
        "# T\n<!-- finding -->\n- 00_a: score 0.1235, n 3\n- 01_b: all is well\n<!-- end of finding -->\nend\n"
    )
    assert book.with_finding(once, run / "results") == once


def test_the_readme_quotes_the_committed_results() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme == book.with_finding(readme, ROOT / "results")


def test_a_preset_without_a_run_is_refused(run: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no executed notebook in .*laptop"):
        book.executed("laptop")
