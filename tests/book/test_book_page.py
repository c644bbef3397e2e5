"""Pages: outputs before code, one fold a step, drawings in the page, light scripts, what a page says to the world."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from docutils.utils.math import MathError
from pages import SVG, built, code, extension, figure, notebook

ROOT = Path(__file__).resolve().parents[2]
TABLE = {"text/html": "<table><tr><td>7</td></tr></table>"}
CHAPTER = """{tally}`all`

```{claim} fid
A sentence.
```

```{arms}
```

```{lead} Rows of pictures
Caption.
```

```{cite-this}
```
"""


def heading(name: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": f"## {name}\n\nA formula $x^2$."}


def cells() -> list[dict[str, Any]]:
    """Return a notebook's cells, a section for each way in which they can stand together."""
    return [
        *(heading("together"), code("work = 1"), figure(), code("table()", TABLE, tags=("fold",))),
        *(heading("apart"), code("a = 1"), {**heading("x"), "source": "Between."}, code("b = 2"), figure("fig-two")),
        *(heading("read"), code("shown = 1", tags=("keep-input",))),
    ]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a book as it is built on a reader's machine."""
    folder = tmp_path_factory.mktemp("local")
    done = built(folder, CHAPTER, notebook(*cells()))
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a book as GitHub publishes it."""
    folder = tmp_path_factory.mktemp("public")
    done = built(folder, CHAPTER, notebook(*cells()), GITHUB_REPOSITORY="Some/where")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def page(site: Path) -> str:
    return (site / "notebooks" / "02_diffusion.html").read_text()


def section(site: Path, name: str) -> str:
    return page(site).partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_neighbouring_cells_show_outputs_first_and_share_one_fold_of_tables_and_code(local: Path) -> None:
    html = section(local, "together")
    assert html.count('<details class="fold">') == 1
    before, _, after = html.partition('<details class="fold">')
    fold = after.partition("</details>")[0]
    assert "<circle" in before and "<table>" not in before
    assert "<summary>Numbers and code</summary>" in fold and fold.index("<table>") < fold.index("highlight")
    assert [name in fold for name in ("work", "draw", "table")] == [True] * 3


def test_a_text_between_cells_begins_another_fold_and_two_folds_never_meet(local: Path) -> None:
    html = section(local, "apart")
    assert html.count('<details class="fold">') == 2 and html.count("<summary>Code</summary>") == 2
    assert not re.search(r"</details>\s*(?:</?div[^>]*>\s*)*<details", page(local))


def test_a_cell_to_be_read_stays_open(local: Path) -> None:
    html = section(local, "read")
    assert "shown" in html and '<details class="fold">' not in html


def test_a_drawing_stands_in_the_page_and_says_what_it_shows(local: Path) -> None:
    html = section(local, "together")
    assert SVG.replace("<svg ", '<svg class="drawing" role="img" aria-label="A dot" ') in html
    assert "One dot." in html


@pytest.mark.parametrize("formula", [r"\frac{\alpha}{r} B A", r"x \in \mathbb{R}^K", r"\bar\alpha_t"])
def test_formulas_are_mathml(formula: str) -> None:
    made = extension("book_light").mathml(formula)
    assert made.startswith("<math") and r"\frac" not in made


def test_a_formula_that_cannot_be_shown_fails() -> None:
    with pytest.raises(MathError, match="nonsense"):
        extension("book_light").mathml(r"\nonsense{1}")


def test_icons_are_drawn_in_place_and_unknown_ones_refused() -> None:
    script = 'x={bars:[448,512,["navicon"],"f0c9","M0 96z"],"angle-left":[320,512,[8249],"f104","M41 2z"]}'
    icon = extension("book_light").icon
    bars = icon("fas fa-bars", ' data-mode="auto"', script)
    assert 'viewBox="0 0 448 512"' in bars and "M0 96z" in bars and 'data-mode="auto"' in bars
    assert "M41 2z" in icon("fa-solid fa-angle-left fa-lg", "", script)
    with pytest.raises(ValueError, match="no icon 'fas fa-none'"):
        icon("fas fa-none", "", script)


def test_no_page_loads_mathjax_or_the_font_of_icons(local: Path) -> None:
    html = page(local)
    assert "<math" in html and "mathjax" not in html.lower().replace("mathjax_ignore", "")
    assert "fontawesome" not in html and '<i class="fa' not in html and 'class="icon fa' in html


def test_a_local_build_has_no_address_and_a_published_one_has_all(local: Path, public: Path) -> None:
    mine, shown = page(local), page(public)
    assert "og:" not in mine and "canonical" not in mine and "colab" not in mine
    address = "https://some.github.io/where/"
    assert f'<link rel="canonical" href="{address}notebooks/02_diffusion.html"' in shown
    assert f'<meta property="og:image" content="{address}_static/lead.png"' in shown
    assert 'name="description"' in shown and 'name="twitter:card" content="summary_large_image"' in shown
    launched = "Some/where/blob/launch/notebooks/02_diffusion.ipynb"
    assert f"https://colab.research.google.com/github/{launched}" in shown
    assert "https://mybinder.org/v2/gh/Some/where/launch?urlpath=tree/notebooks/02_diffusion.ipynb" in shown
    chapter = (public / "index.html").read_text()
    assert "https://github.com/Some/where" in chapter and "colab" not in chapter


def test_addresses_follow_the_repository() -> None:
    addresses = extension("book_share").addresses
    assert addresses("A/b") == ("https://github.com/A/b", "https://a.github.io/b/")
    assert addresses("A/a.github.io") == ("https://github.com/A/a.github.io", "https://a.github.io/")
    with pytest.raises(ValueError, match="'nonsense'; it has to be OWNER/NAME"):
        addresses("nonsense")


def test_the_box_to_cite_is_that_of_the_citation_file(local: Path, public: Path) -> None:
    title = re.findall(r"^title: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[0]
    mine, shown = (re.sub("<[^>]*>", "", (site / "index.html").read_text()) for site in (local, public))
    assert "@software{cpd," in mine and f"title = {{{title}}}" in mine and "url = " not in mine
    assert "url = {https://github.com/Some/where}" in shown


def test_launched_notebooks_install_the_repository_first() -> None:
    launchable = runpy.run_path(str(ROOT / ".github" / "launch.py"))["launchable"]
    made = launchable(notebook(figure()), "git+https://github.com/Some/where")
    assert "%pip install --quiet git+https://github.com/Some/where" in "".join(made["cells"][0]["source"])
    assert made["cells"][1:] == notebook(figure())["cells"]


def test_claims_verdicts_arms_and_the_lead_picture_are_shown(local: Path) -> None:
    html = (local / "index.html").read_text()
    claim = html.partition('class="claim')[2].partition("</figure>")[0]
    assert 'class="verdict ' in claim and "A sentence." in claim and "generated" in claim
    assert len(re.findall('class="swatch"', html)) > 15
    assert html.count('aria-label="Rows of pictures"') == 2 and "on-wide" in html and "on-narrow" in html
