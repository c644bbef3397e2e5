"""Smaller and mislabelled zoos, and what a generator is worth, on a zoo whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from synthetic import layout

from cpd.domains.settings import Finetuning
from cpd.evaluation import Evaluating
from cpd.study.ablation import assess, first_runs, last_checkpoints, mislabelled
from cpd.zoo.zoo import AdapterZoo, Row

TASKS = ("films", "spam")


@pytest.fixture
def zoo() -> AdapterZoo:
    """Two tasks of three runs, the last held out, with four checkpoints each; task and run are written in the row."""
    shape = layout()
    rows = [
        Row(task, f"{task}-{run}", step, None, run == 2) for task in TASKS for run in range(3) for step in (7, 8, 9, 10)
    ]
    vectors = np.stack([np.full(shape.size, 1 + 10 * TASKS.index(r.task) + int(r.run[-1])) for r in rows])
    return AdapterZoo(shape, vectors.astype(np.float32), rows, {name: [f"about {name}"] for name in TASKS})


def test_fewer_runs_are_the_first_ones_and_held_out_runs_stay(zoo: AdapterZoo) -> None:
    fewer = first_runs(zoo, 1)
    assert {row.run for row in fewer.rows} == {"films-0", "films-2", "spam-0", "spam-2"}
    assert [row.run for row in first_runs(zoo, 9).rows] == [row.run for row in zoo.rows]
    assert set(fewer.vectors[fewer.training()][:, 0]) == {1.0, 11.0}


def test_fewer_checkpoints_are_the_last_ones_of_every_run(zoo: AdapterZoo) -> None:
    fewer = last_checkpoints(zoo, 2)
    assert len(fewer.rows) == 12 and {row.step for row in fewer.rows} == {9, 10}


def test_mislabelled_tasks_swap_conditions_and_nothing_else(zoo: AdapterZoo) -> None:
    swapped = mislabelled(zoo)
    assert swapped.conditions == {"films": ["about spam"], "spam": ["about films"]}
    assert swapped.rows == zoo.rows and zoo.conditions["films"] == ["about films"]


class Copier:
    """A generator that repeats the first training row of the task it is told of."""

    def __init__(self, zoo: AdapterZoo) -> None:
        self.zoo = zoo

    def generate(self, condition: str, n: int, *_: object, **__: object) -> torch.Tensor:
        return torch.from_numpy(self.zoo.vectors[self.zoo.of(condition)[:1]]).repeat(n, 1)


class Reader:
    """A domain whose score of an adapter is whether it is of the task."""

    spec = Finetuning()

    def score(self, task: str, vectors: torch.Tensor, _: str) -> np.ndarray:
        return (vectors[:, 0].numpy() // 10 == TASKS.index(task)).astype(float)


def test_a_generator_that_copies_is_right_new_by_nothing_and_lost_under_another_condition(zoo: AdapterZoo) -> None:
    original = {"films": 1.0, "spam": 0.5}
    found = assess(Reader(), zoo, Copier(zoo), original, Evaluating(wrong=2), 0)
    assert found.points == {"films": 0.0, "spam": 50.0} and found.other == {"films": -100.0, "spam": -50.0}
    assert found.right == 1.0 and found.novelty == 0.0


def test_a_generator_that_ignores_the_condition_is_found_out(zoo: AdapterZoo) -> None:
    copier = Copier(zoo)
    deaf = SimpleNamespace(generate=lambda _, n, *a, **k: copier.generate("films", n))
    found = assess(Reader(), zoo, deaf, {"films": 1.0, "spam": 1.0}, Evaluating(wrong=2), 0)
    assert found.right == 0.5 and found.other["films"] == found.points["films"] == 0.0
