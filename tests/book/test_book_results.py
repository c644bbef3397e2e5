"""Quoting the committed results: the number, its format, and refusals that name what is missing."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import built, extension, figure, notebook

ROOT = Path(__file__).resolve().parents[2]


quote = extension("book_results").quote


@pytest.fixture
def results(tmp_path: Path) -> Path:
    numbers = {"points": -1.234, "share": 0.94, "each": {"cola": [0.5, 0.25], "latent: 16": 3}, "name": "soup"}
    (tmp_path / "03_a.json").write_text(json.dumps(numbers))
    return tmp_path


def test_a_number_is_quoted_in_its_format_with_a_true_minus(results: Path) -> None:
    assert quote("03_a.points:+.2f", results) == "\N{MINUS SIGN}1.23"
    assert quote("03_a.share:.0%", results) == "94\N{NO-BREAK SPACE}%"
    assert quote("03_a.each.cola.1:.2f", results) == "0.25"
    assert quote("03_a.name", results) == "soup"
    assert quote("03_a.each.latent: 16:d", results) == "3"
    (results / "laptop").mkdir()
    (results / "laptop" / "03_a.json").write_text('{"share": 0.5}')
    assert quote("laptop/03_a.share:+.1f", results) == "+0.5"


@pytest.mark.parametrize("reference", ["03_a.other:.2f", "04_b.points:.2f", "03_a.each:.2f", "03_a.name:.2f", "03_a"])
def test_what_is_not_there_is_refused_by_name(reference: str, results: Path) -> None:
    with pytest.raises(ValueError, match=f"'{reference}' quotes nothing"):
        quote(reference, results)


def test_a_quoted_number_links_to_its_notebook_which_says_what_made_it(tmp_path: Path) -> None:
    done = built(tmp_path, "All: {result}`02_diffusion.right_task:.0%`.")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'href="notebooks/02_diffusion.html"' in page.split("All:")[1].split("</p>")[0]
    made = re.sub("<[^>]*>", "", (tmp_path / "out" / "notebooks" / "02_diffusion.html").read_text())
    assert "papermill notebooks/02_diffusion.ipynb -p preset full -p seed 3" in made


def test_a_missing_number_fails_the_build_and_is_named(tmp_path: Path) -> None:
    done = built(tmp_path, "All: {result}`02_diffusion.wrong_key:.0%`.")
    assert done.returncode != 0 and "02_diffusion.wrong_key" in done.stderr


def glue(value: float | str, name: str = "half") -> dict[str, Any]:
    """Return the output of a cell that glued a value."""
    return {
        "output_type": "display_data",
        "data": {"application/papermill.record/text/plain": repr(value)},
        "metadata": {"scrapbook": {"mime_prefix": "application/papermill.record/", "name": name}},
    }


def book(folder: Path, key: str) -> None:
    """Lay out a book of one chapter that glues a number of one executed notebook."""
    (folder / "notebooks").mkdir()
    (folder / "_config.yml").write_text("title: T\nexecute: {execute_notebooks: 'off'}\n")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters: [{file: notebooks/02_diffusion}]\n")
    sentence = f"It is {{glue:text}}`notebooks/02_diffusion.ipynb::{key}:.2f`."
    (folder / "intro.md").write_text(f"# Page\n\n{sentence}\n")


def rebuilt(folder: Path, value: float) -> subprocess.CompletedProcess[str]:
    """Build that book, with the flags of ``make book``, after its notebook was run and found a value."""
    executed = notebook(figure())
    executed["cells"][1]["outputs"].append(glue(value))
    (folder / "notebooks" / "02_diffusion.ipynb").write_text(json.dumps(executed))
    flags = re.findall(r"jupyter-book build book/(.*)", (ROOT / "Makefile").read_text())[0].split()
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(folder), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_chapter_follows_a_notebook_that_was_run_again(tmp_path: Path) -> None:
    book(tmp_path, "half")
    for value in (0.25, 0.75):
        assert rebuilt(tmp_path, value).returncode == 0
        assert f"{value}" in (tmp_path / "_build" / "html" / "intro.html").read_text()


def test_a_missing_glued_number_fails_the_build_and_is_named(tmp_path: Path) -> None:
    book(tmp_path, "whole")
    done = rebuilt(tmp_path, 0.25)
    assert done.returncode != 0 and "whole" in done.stderr


def test_a_figure_is_shown_on_another_page_with_its_words_and_links_to_its_own(tmp_path: Path) -> None:
    done = built(tmp_path, "```{shown} 02_diffusion fig-one\n```")
    assert done.returncode == 0, done.stderr
    shown = (tmp_path / "out" / "index.html").read_text().partition("<figure")[2].partition("</figure>")[0]
    assert '<circle r="1"' in shown and 'role="img" aria-label="A dot"' in shown
    assert "One dot." in shown and 'href="notebooks/02_diffusion.html#fig-one"' in shown


def test_a_caption_says_the_values_that_its_notebook_glued(tmp_path: Path) -> None:
    made = notebook(figure())
    made["cells"][1]["outputs"] += [glue(-0.5), glue("this run", "made_by")]
    caption = "Half is {glue:text}`half:+.1f`, of {glue:text}`made_by`."
    made["cells"][1]["metadata"]["mystnb"]["figure"]["caption"] = caption
    done = built(tmp_path, "```{shown} 02_diffusion fig-one\n```", made)
    assert done.returncode == 0, done.stderr
    for page in ("index.html", "notebooks/02_diffusion.html"):
        shown = re.sub("<[^>]*>", "", (tmp_path / "out" / page).read_text().partition("<figcaption")[2])
        assert "Half is \N{MINUS SIGN}0.5, of this run." in shown


def test_a_missing_figure_fails_the_build_and_a_missing_notebook_shows_none(tmp_path: Path) -> None:
    done = built(tmp_path / "a", "```{shown} 02_diffusion fig-two\n```")
    assert done.returncode != 0 and "no figure 'fig-two' is drawn" in done.stderr
    assert built(tmp_path / "b", "```{shown} 03_evaluation fig-one\n```").returncode == 0
