"""Notebook sources are clean; executed copies are complete, succeeded, and those of the sources."""

import copy
import json
import pkgutil
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from cpd.study import book
from cpd.study.figures import canvas
from cpd.study.parameters import declared

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTED = sorted((ROOT / "book" / "notebooks").glob("*.ipynb"))
RECORD = "application/papermill.record/text/plain"
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:root|home|Users|work|tmp|opt|private|mnt)/\w|[A-Z]:\\\\Users")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tagged(notebook: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


def images(cell: dict[str, Any]) -> int:
    return sum("image/svg+xml" in output.get("data", {}) for output in cell["outputs"])


def glued(notebook: dict[str, Any]) -> dict[str, str]:
    """Return what the sentences of a book may quote of an executed notebook, as it is written there."""
    outputs = [output for cell in code(notebook) for output in cell["outputs"]]
    return {
        output["metadata"]["scrapbook"]["name"]: "".join(output["data"][RECORD])
        for output in outputs
        if "scrapbook" in output.get("metadata", {})
    }


def typed(text: str) -> list[str]:
    """Return the lines of a page that hold a number which no result, formula or source stands behind.

    Roles, code, formulas, addresses and headings are left out, and so is what the authors logged.
    """
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\(https?://[^)]*\)", "]", text)
    text = re.sub(r"\*Made in\*.*?(?=\n\n)", "", text, flags=re.DOTALL)
    text = re.sub(r"\{[\w:]+\}`[^`]*`|`[^`]*`|\$[^$]*\$|^\#.*$|95 %", "", text, flags=re.MULTILINE)
    return [line for line in text.splitlines() if re.search(r"\d\.\d|\d ?%", line)]


def complaints(executed: dict[str, Any], source: dict[str, Any], preset: str, numbers: dict[str, Any]) -> list[str]:
    """Return what is wrong with an executed notebook beside its published numbers; empty if it may be shown."""
    marks = executed["metadata"].get("papermill", {})
    stated = {parameter.name: parameter.default for parameter in declared(source["cells"])} | {"preset": preset}
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
            "other parameters than the preset's": marks.get("parameters") != stated,
            "a shell command without output": any(
                re.search("^!", "".join(cell["source"]), re.MULTILINE) and not cell["outputs"]
                for cell in code(executed)
            ),
            "cells differ from the source's": mine != ["".join(cell["source"]) for cell in source["cells"]],
            "a named figure not shown once": any(
                "figure" in cell["metadata"].get("mystnb", {}) and images(cell) != 1 for cell in code(executed)
            ),
            "a glued number is not the published one": any(
                text != repr(numbers.get(key)) for key, text in glued(executed).items()
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
    numbers = read(ROOT / "results" / f"{path.stem}.json")
    assert complaints(read(path), read(ROOT / "notebooks" / path.name), "full", numbers) == []
    assert {key for key, value in numbers.items() if isinstance(value, int | float | str)} == set(glued(read(path)))


@pytest.mark.parametrize("name", ["intro", "claims", "ours", "deviations", "glossary", "method", "reproduce"])
def test_no_number_of_a_chapter_is_typed_by_hand(name: str) -> None:
    assert typed((ROOT / "book" / f"{name}.md").read_text()) == []


def test_a_typed_number_is_seen_and_a_quoted_one_is_not() -> None:
    page = (
        "# 1.5\n\nIt is {result}`a.b:.2f` of `0.5`, $0.1$.\n\n*Made in* a log: 32.9.\nAnd 12 %.\n\nIt is 0.25, or 3%.\n"
    )
    assert typed(page) == ["It is 0.25, or 3%."]


def terms() -> list[str]:
    """Return the words of the glossary."""
    listed = (ROOT / "book" / "glossary.md").read_text().partition("```{glossary}")[2].partition("```\n")[0]
    return [line for line in listed.splitlines() if line and not line.startswith(" ")]


def unlinked(text: str) -> list[str]:
    """Return the words of the glossary that a page uses before it links them, or without."""
    text = re.sub(r"```\{claim\} [\w-]+\n(.*?)```", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", text, flags=re.DOTALL)
    text = re.sub(r"^\#.*$|^\(.*\)=$", "", text, flags=re.MULTILINE)
    other = r"(?:\{[\w:-]+\})?`[^`]*`|\$[^$]*\$|\]\([^)]*\)"
    text = re.sub(rf"(\{{term\}}`[^`]*`)|{other}", lambda found: found[1] or " ", text)

    def before_its_link(term: str) -> str:
        return re.split(rf"\{{term\}}`(?:[^`<]*<)?{re.escape(term)}>?`", text, maxsplit=1, flags=re.IGNORECASE)[0]

    def used(term: str) -> bool:
        words = re.sub(r"\{term\}`[^`]*`", " ", before_its_link(term))
        return re.search(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", words, re.IGNORECASE) is not None

    return [term for term in terms() if term != "points" and used(term)]  # a point is also a dot


@pytest.mark.parametrize("name", ["intro", "claims", "ours", "deviations", "method", "reproduce"])
def test_a_chapter_links_each_word_of_the_glossary_where_it_first_uses_it(name: str) -> None:
    assert unlinked((ROOT / "book" / f"{name}.md").read_text()) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_links_each_word_of_the_glossary_where_it_first_uses_it(path: Path) -> None:
    texts = ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    assert unlinked("\n\n".join(texts)) == []


def test_a_word_before_its_link_is_seen_and_one_after_it_is_not() -> None:
    assert unlinked("A zoo. A {term}`zoo`.\n\n{term}`Runs <run>` and runs, `vector`.") == ["zoo"]
    assert unlinked("A latent.") == ["latent"]


PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md")), *SOURCES]


def not_there(text: str) -> list[str]:
    """Return the paths and the dotted names of code that a text quotes and nobody finds."""
    paths = re.findall(r"`((?:cpd|tests|notebooks|book|results)/[\w./]+)`", text)
    names = re.findall(r"`(cpd(?:\.\w+)+)`", text)
    return [path for path in paths if not (ROOT / path).exists()] + [name for name in names if not resolves(name)]


def resolves(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_quotes_of_the_code_is_there(page: Path) -> None:
    assert not_there(page.read_text()) == []


def test_a_name_that_moved_is_seen() -> None:
    assert not_there("`cpd/study/claims.py`, `cpd.study.claims.CLAIMS`, `book/claims.md`, `cpd generate`") == []
    moved = ["cpd/tasks/emoji.py", "cpd.tasks", "cpd.study.claims.Claims"]
    assert not_there(" ".join(f"`{name}`" for name in moved)) == moved


def test_every_notebook_has_an_executed_copy_and_its_numbers() -> None:
    names = [path.stem for path in SOURCES]
    assert [path.stem for path in EXECUTED] == names
    assert sorted(path.stem for path in (ROOT / "results").glob("*.json")) == names


def test_the_table_of_contents_lists_exactly_the_executed_copies() -> None:
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    listed = [each["file"] for part in contents["parts"] for each in part["chapters"]]
    assert sorted(file for file in listed if file.startswith("notebooks/")) == [
        f"notebooks/{path.stem}" for path in EXECUTED
    ]


def sample() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a small executed notebook without fault, and its source."""
    parameters = ['preset: str = "x"\n', "n: int = 2"]
    cells = [
        {"cell_type": "code", "source": parameters, "outputs": [], "metadata": {"tags": ["parameters"]}},
        {"cell_type": "code", "source": ["1 / 1"], "outputs": [], "metadata": {}},
        {"cell_type": "code", "source": ["!echo 1"], "outputs": [], "metadata": {}},
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
    record = {"data": {RECORD: "0.5"}, "metadata": {"scrapbook": {"name": "half"}}, "output_type": "display_data"}
    executed["cells"][2]["outputs"].append(record)
    executed["cells"][3]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1"]}]
    executed["metadata"]["papermill"] = {"succeeded": True, "parameters": {"preset": "full", "n": 2}}
    return executed, source


def test_the_gate_lets_a_good_notebook_pass() -> None:
    assert complaints(*sample(), "full", {"half": 0.5}) == []


@pytest.mark.parametrize("numbers", [{"half": 0.25}, {}])
def test_the_gate_refuses_numbers_of_another_run(numbers: dict[str, Any]) -> None:
    assert complaints(*sample(), "full", numbers) == ["a glued number is not the published one"]


@pytest.mark.parametrize(
    ("doctoring", "complaint"),
    [
        (lambda nb: [cell.update(outputs=[]) for cell in nb["cells"]], "no outputs"),
        (lambda nb: nb["cells"][2]["outputs"].append({"output_type": "error"}), "an error"),
        (lambda nb: nb["metadata"]["papermill"].pop("succeeded"), "not marked as succeeded"),
        (
            lambda nb: nb["metadata"]["papermill"]["parameters"].update(preset="laptop"),
            "other parameters than the preset's",
        ),
        (lambda nb: nb["metadata"]["papermill"]["parameters"].update(n=3), "other parameters than the preset's"),
        (lambda nb: nb["cells"][3].update(outputs=[]), "a shell command without output"),
        (lambda nb: nb["cells"][2].update(source=["2 / 1"]), "cells differ from the source's"),
        (lambda nb: nb["cells"].pop(0), "cells differ from the source's"),
        (lambda nb: nb["cells"][2]["metadata"].update(mystnb={"figure": {}}), "a named figure not shown once"),
        (lambda nb: nb["cells"][2]["outputs"][0].update(text="/home/me/x.py:1: W"), "a path of some machine"),
    ],
)
def test_the_gate_refuses_a_doctored_notebook(doctoring: Any, complaint: str) -> None:
    executed, source = sample()
    doctoring(executed)
    assert complaint in complaints(executed, source, "full", {"half": 0.5})


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


def test_publishing_keeps_what_other_presets_found_and_drops_what_the_last_run_did(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for folder in ("book/_static", "results/smoke"):
        (home / folder).mkdir(parents=True)
    (home / "README.md").write_text("a\n" + "\n".join(book.MARKS) + "\nb\n")
    (home / "results" / "09_old.json").write_text("{}")
    monkeypatch.setattr(book, "REPOSITORY", home)
    book.publish("smoke")
    names = ["00_a.json", "01_b.json"]
    assert sorted(path.name for path in (home / "results" / "smoke").iterdir()) == names
    assert (home / "results" / "09_old.json").exists() and not (home / "book" / "notebooks").exists()
    monkeypatch.setattr(book, "COMMITTED", "smoke")
    monkeypatch.setattr(book, "lead", lambda results, wide: canvas(1, 1)[0])  # this run has no pictures
    book.publish("smoke")
    assert (home / book.CARD).read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (home / "results").glob("*.json")) == names
    assert sorted(path.name for path in (home / "results" / "smoke").iterdir()) == names
    assert "all is well" in (home / "README.md").read_text()
    with pytest.raises(FileNotFoundError, match="no results of preset laptop"):
        book.publish("laptop")
    shutil.rmtree(run / "results")
    with pytest.raises(FileNotFoundError, match="no results of preset smoke"):
        book.publish("smoke")
    assert sorted(path.name for path in (home / "results").glob("*.json")) == names


def test_staging_keeps_finished_notebooks_and_lists_what_is_there(run: Path, tmp_path: Path) -> None:
    pages = tmp_path / "book"
    pages.mkdir()
    (pages / "claims.md").touch()
    contents = {
        "root": "intro",
        "parts": [
            {"caption": "A", "chapters": [{"file": "claims"}, {"file": "notebooks/01_b", "title": "B"}]},
            {"caption": "B", "chapters": [{"file": "notebooks/02_c"}]},
        ],
    }
    for _ in range(2):
        book.fill(pages, book.executed("smoke"))
    assert sorted(path.name for path in (pages / "notebooks").iterdir()) == ["00_a.ipynb", "01_b.ipynb"]
    assert book.without_missing(contents, pages) == contents | {"parts": contents["parts"][:1]}


def test_a_book_of_some_notebooks_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    home, folder = tmp_path / "home", tmp_path / "artifacts" / "laptop" / "notebooks"
    folder.mkdir(parents=True)
    for path in EXECUTED[1:5]:  # those of `make study`
        shutil.copy(path, folder)
    for part in ("book", "results"):
        shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    for file in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / file, home)
    monkeypatch.setattr(book, "REPOSITORY", home)
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    html = book.build("laptop")
    assert capfd.readouterr().err == ""
    assert [path.name for path in html.rglob("*.html") if "problematic" in path.read_text()] == []
    assert sorted(path.stem for path in (html / "notebooks").glob("*.html")) == [path.stem for path in EXECUTED[1:5]]


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
