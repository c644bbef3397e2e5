"""A page is drawn again from what its run published: runs are left alone, everything after them follows the numbers."""

import copy
import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError

from cpd.study import book, lead, redraw, report
from cpd.study.claims import Verdict

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = 'preset: str = "full"  # size\nseed: int = 0  # first'


def cell(source: str, name: str, *tags: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, id=name, metadata={"tags": list(tags)} if tags else {})


def source() -> nbformat.NotebookNode:
    """Return a notebook of two halves."""
    cells = [
        cell(PARAMETERS, "parameters", "parameters"),
        cell("from cpd.study import report", "imports"),
        cell('raise RuntimeError("the run was run")', "work", "run"),
        cell('found = report.recall("00_a", preset)', "recall"),
        cell('found["score"] * 2', "twice"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def executed() -> nbformat.NotebookNode:
    """Return an earlier executed copy of it."""
    made = copy.deepcopy(source())
    glued = nbformat.v4.new_output("display_data", {"text/plain": "1"}, metadata={"scrapbook": {"name": "score"}})
    made.cells[2].outputs = [nbformat.v4.new_output("stream", text="worked\n"), glued]
    made.cells.insert(1, cell('preset = "full"\nseed = 3', redraw.INJECTED, redraw.INJECTED))
    made.metadata.papermill = {
        "input_path": "notebooks/00_a.ipynb", "parameters": {"preset": "full", "seed": 3}, "succeeded": True,
        "version": "2",
    }  # fmt: skip
    return made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "00_a.json").write_text('{"score": 21, "preset": "full"}')
    return tmp_path


def test_what_comes_after_the_run_follows_the_numbers_and_the_run_keeps_its_outputs(results: Path) -> None:
    page = redraw.drawn(source(), executed(), results)
    by_name = {each["id"]: each for each in page.cells}
    assert by_name["twice"].outputs[0]["data"]["text/plain"] == "42"
    assert [each["text"] for each in by_name["work"].outputs] == ["worked\n"]  # what it glued is glued anew
    assert page.metadata.papermill["parameters"] == {"preset": "full", "seed": 3}
    assert [each["id"] for each in page.cells][:2] == ["parameters", redraw.INJECTED]
    again = redraw.drawn(source(), page, results)
    assert nbformat.writes(again) == nbformat.writes(page)


def test_a_run_that_was_changed_loses_its_outputs(results: Path) -> None:
    changed = source()
    changed.cells[2].source += "  # in another way"
    page = redraw.drawn(changed, executed(), results)
    assert next(each for each in page.cells if each["id"] == "work").outputs == []


def test_a_page_whose_numbers_are_missing_is_refused(results: Path) -> None:
    (results / "00_a.json").write_text('{"other": 1, "preset": "full"}')
    with pytest.raises(CellExecutionError, match="score"):
        redraw.drawn(source(), executed(), results)


def numbers(**changes: Any) -> dict[str, Any]:
    """Return what the page on unseen styles publishes, of two styles."""
    arms = {
        "generated": [300.0],
        "untrained_adapter": [200.0],
        "tuned": [100.0],
        "by_condition": [150.0],
        "soup_of_all": [190.0],
    }
    found = {
        "reached": {"gold": ["night", "fog"], "chalk": ["night", "night"]}, "styles": 2, "styles_worse_than_none": 2,
        "frechet": {"gold": arms, "chalk": {arm: [values[0] + 5] for arm, values in arms.items()}},
    }  # fmt: skip
    return found | changes


def sheet(seed: int, copied: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = {arm: random.integers(0, 255, (3, 8, 8, 3), np.uint8) for arm in lead.GROUPS}
    return rows | ({"nearest": rows["generated"]} if copied else {})


@pytest.mark.parametrize("copied", [0, 1, 2])
def test_the_lead_picture_shows_every_style_and_counts_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))
    pictures = {name: sheet(i, i < copied) for i, name in enumerate(["gold", "chalk"])}
    report.publish(lead.NOTEBOOK, numbers(), "smoke", pictures)
    results = report.place(lead.NOTEBOOK, "smoke").parent
    for wide in (True, False):
        drawing = lead.lead(results, wide)
        texts = " ".join(text.get_text() for text in drawing.axes[0].texts)
        assert all(word in texts for word in ("gold", "chalk", "2 of 2 styles", "OpenMoji"))
        assert "draws: night, fog" in texts and "draws: night ×2" in texts
        assert "hands back" in texts and ("copies" in texts) is (copied > 0)
        assert not copied or f"{copied} of 2 rows: copies" in texts
        assert len(drawing.axes[0].images) == 2 * len(lead.GROUPS) * lead.EACH


def test_the_title_of_the_lead_picture_follows_the_verdict(tmp_path: Path) -> None:
    good = numbers()
    for each in good["frechet"].values():
        each["generated"] = [0.5 * each["untrained_adapter"][0]]
    path = tmp_path / f"{lead.NOTEBOOK}.json"
    path.write_text(json.dumps(numbers()))
    assert "hands back" in lead.title(tmp_path, wide=True)
    path.write_text(json.dumps(good))
    assert Verdict.REPRODUCED in lead.title(tmp_path, wide=True)


def test_the_committed_lead_picture_is_that_of_the_committed_results() -> None:
    from io import BytesIO

    from PIL import Image

    drawn = Image.open(BytesIO(lead.lead(ROOT / "results", wide=True).png(book.CARD_DPI)))
    kept = Image.open(ROOT / book.CARD)
    assert kept.size == drawn.size == (1200, 630)
    gap = np.abs(np.asarray(kept.convert("RGB"), float) - np.asarray(drawn.convert("RGB"), float))
    assert gap.mean() < 2  # of 255: other fonts may be rendered a little differently
