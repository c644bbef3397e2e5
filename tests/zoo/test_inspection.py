"""What is found in a zoo is what plain formulas say of it, in one reading of the matrix."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from synthetic import layout

from cpd.zoo import zoo as module
from cpd.zoo.inspection import NEAR, inspect
from cpd.zoo.zoo import AdapterZoo, Row


class Counted(np.ndarray):
    """An array that counts the numbers that are copied out of it."""

    read = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        Counted.read += 0 if np.may_share_memory(found, self) else found.size
        return found


@pytest.fixture
def zoo() -> AdapterZoo:
    """Three tasks, the last with one run; two adapters alike, one among those of another task, 11 weights still."""
    random, shape = np.random.default_rng(0), layout()
    rows = [Row(task, f"{task}-{run}", step) for task in "abc" for run in range(1 + (task != "c")) for step in (1, 2)]
    centres = {row.run: random.normal(5 * "abc".index(row.task), 1, shape.size) for row in rows}
    vectors = np.stack([centres[row.run] + random.normal(0, 0.1, shape.size) for row in rows]).astype(np.float32)
    vectors[1] = vectors[0] * (1 + 1e-5)
    vectors[2] = vectors[4] + 0.01
    vectors[:, 40:51] = 0.5
    return AdapterZoo(shape, vectors, rows, {task: [f"about {task}"] for task in "abc"})


def pairs(zoo: AdapterZoo) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(len(zoo.rows)) for j in range(i + 1, len(zoo.rows)))


def test_numbers_are_those_of_the_plain_formulas(zoo: AdapterZoo) -> None:
    found, rows, exact = inspect(zoo), zoo.rows, zoo.vectors.astype(np.float64)
    away = np.linalg.norm(exact[:, None] - exact[None], axis=2)
    norms, names = np.linalg.norm(exact, axis=1), [f"{row.run} step {row.step}" for row in rows]
    kinds: dict[str, list[float]] = {"one_run": [], "runs_of_one_task": [], "two_tasks": []}
    for i, j in pairs(zoo):
        same = rows[i].task == rows[j].task
        kind = "one_run" if rows[i].run == rows[j].run else "runs_of_one_task" if same else "two_tasks"
        kinds[kind].append(away[i, j])
    assert found["distances"] == pytest.approx({kind: np.mean(each) for kind, each in kinds.items()}, rel=1e-9)
    near = [(names[i], names[j]) for i, j in pairs(zoo) if away[i, j] <= NEAR * min(norms[i], norms[j])]
    assert found["near_duplicates"] == near == [("a-0 step 1", "a-0 step 2")]
    assert found["contradictions"] == [
        {"adapter": "a-1 step 1", "nearest": "b-0 step 1"}, {"adapter": "b-0 step 1", "nearest": "a-1 step 1"},
        {"adapter": "b-0 step 2", "nearest": "a-1 step 1"},
    ]  # fmt: skip
    assert found["never_move"]["count"] == 11 == sum(found["never_move"]["tensors"].values())
    assert {task: each["runs"] for task, each in found["tasks"].items()} == {
        "a": {"a-0": 2, "a-1": 2}, "b": {"b-0": 2, "b-1": 2}, "c": {"c-0": 2},
    }  # fmt: skip
    assert found["tasks"]["b"]["norm"] == pytest.approx(norms[4:8].mean(), rel=1e-9)


def test_the_matrix_is_read_once_in_blocks_that_change_nothing(
    zoo: AdapterZoo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = inspect(zoo)
    monkeypatch.setattr(module, "BLOCK_VALUES", 7 * len(zoo.rows))  # the last block is shorter than the others
    counted = AdapterZoo(zoo.layout, zoo.vectors.view(Counted), zoo.rows, zoo.conditions)
    Counted.read = 0
    parts = inspect(counted)
    assert Counted.read == zoo.vectors.size
    assert parts.pop("distances") == pytest.approx(whole.pop("distances"), rel=1e-9)
    for task, each in parts.pop("tasks").items():
        assert each == whole["tasks"][task] | {"norm": pytest.approx(whole["tasks"][task]["norm"])}
    assert parts == {name: value for name, value in whole.items() if name != "tasks"}
    assert "comparing adapters: 100%" in capsys.readouterr().err
