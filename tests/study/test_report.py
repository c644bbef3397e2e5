"""What a notebook publishes: finite plain values and pictures, in files that are whole or not there."""

import json
from pathlib import Path
from typing import Any

import myst_nb
import numpy as np
import pytest
import torch

from cpd.measures.statistics import interval
from cpd.study import report


@pytest.fixture
def glued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Send artifacts to a temporary folder, and collect what is glued instead of displaying it."""
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))
    seen: dict[str, Any] = {}
    monkeypatch.setattr(myst_nb, "glue", lambda key, value, display: seen.update({key: (value, display)}))
    return seen


def published(notebook: str, numbers: dict[str, Any], preset: str, pictures: Any = None) -> Path:
    report.publish(notebook, numbers, preset, pictures)
    return report.place(notebook, preset)


def test_what_is_recalled_and_glued_is_what_was_published(glued: dict[str, Any], tmp_path: Path) -> None:
    path = published("02_diffusion", {"loss": 0.25, "n": 3, "best": "soup", "rows": [1, {"a": 2.0}]}, "smoke")
    assert path == tmp_path / "smoke" / "results" / "02_diffusion.json"
    assert glued == {}
    found = report.recall("02_diffusion", "smoke")
    assert found == json.loads(path.read_text()) == {
        "best": "soup",
        "loss": 0.25,
        "n": 3,
        "preset": "smoke",
        "rows": [1, {"a": 2.0}],
    }  # fmt: skip
    assert glued == {key: (value, False) for key, value in found.items() if key != "rows"}


def test_what_was_not_published_is_asked_for_by_name(glued: dict[str, Any]) -> None:
    with pytest.raises(FileNotFoundError, match="papermill notebooks/09_none.ipynb -p preset smoke"):
        report.recall("09_none", "smoke")


def test_pictures_come_back_as_they_were_in_their_order(glued: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    sheets = {
        name: {arm: random.integers(0, 255, (5, 8, 8, 3), np.uint8) for arm in ("soup", "generated", "own")}
        for name in ("gold", "chalk")
    }
    path = published("06_styles", {"n": 1}, "smoke", sheets)
    assert sorted(each.name for each in path.with_suffix("").iterdir()) == ["chalk.png", "gold.png"]
    found = report.pictures("06_styles", "smoke")
    assert {name: list(rows) for name, rows in found.items()} == {name: list(rows) for name, rows in sheets.items()}
    for name, rows in sheets.items():
        for arm, pictures in rows.items():
            np.testing.assert_array_equal(found[name][arm], pictures)


def test_equal_numbers_give_equal_bytes_in_any_order(glued: dict[str, Any]) -> None:
    first = published("00_toy", {"b": 1, "a": 2}, "smoke").read_bytes()
    assert published("00_toy", {"a": 2, "b": 1}, "smoke").read_bytes() == first
    assert first.index(b'"a"') < first.index(b'"b"')


def test_numbers_of_numpy_and_torch_become_plain(glued: dict[str, Any]) -> None:
    numbers = {"f": np.float32(0.5), "i": np.int64(4), "t": torch.tensor(2.0), "v": np.array([1.0, 2.0])}
    path = published("00_toy", numbers, "smoke")
    assert json.loads(path.read_text()) == {"f": 0.5, "i": 4, "preset": "smoke", "t": 2.0, "v": [1.0, 2.0]}
    assert [type(each) for each in json.loads(path.read_text()).values()] == [float, int, str, float, list]


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), np.float64("nan"), np.array([1.0, np.inf]), [1, [float("-inf")]], None, {1}, 1j],
    ids=str,
)
def test_other_values_are_refused_by_key_and_leave_the_earlier_file(glued: dict[str, Any], value: Any) -> None:
    path = published("00_toy", {"fine": 1}, "smoke")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="'broken'"):
        report.publish("00_toy", {"fine": 2, "broken": value}, "smoke")
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("key", ["", "two words", "1st", "a-b", "a:b"])
def test_a_key_that_the_book_cannot_name_is_refused(glued: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        report.publish("00_toy", {key: 1}, "smoke")


def test_an_interval_is_published_as_three_keys() -> None:
    found = interval([1.0, 3.0])
    half = 12.7062047  # Student's t for 2 values, times their standard error of 1
    assert report.with_bounds("gain", found) == pytest.approx({"gain": 2, "gain_low": 2 - half, "gain_high": 2 + half})
