"""Evaluation: every arm is there and is what its name says, scores land where they belong, shares in closed form."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import torch
from synthetic import Zoo as Synthetic

from cpd import evaluation
from cpd.evaluation import Evaluating
from cpd.methods import controls
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.zoo.zoo import AdapterZoo, Row

HOW = Evaluating(generated=3, controls=4, wrong=2, sampler_steps=4)
LEARNING = Learning(latent=4, ae_steps=4, ae_batch=8, width=16, depth=1, steps=4, batch=8, condition="one_hot")


class Counting:
    """A domain in which an adapter's score on a task is its first coordinate plus the number of the task."""

    def __init__(self, tasks: list[str]) -> None:
        self.tasks = tasks

    def score(self, task: str, vectors: torch.Tensor, split: str) -> np.ndarray:
        assert split == "report"
        return vectors[:, 0].double().numpy() + self.tasks.index(task)


def zoo(held_out: int = 1) -> AdapterZoo:
    made: Synthetic = synthetic.zoo(held_out=held_out)
    scores = {2: 0.9, 4: 0.7}
    rows = [Row(r.task, f"{r.task}-{r.run}", r.step, scores.get(r.step), r.held_out) for r in made.rows]
    return AdapterZoo(made.layout, made.vectors, rows, made.conditions)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> CondPDiff:
    return CondPDiff.fit(zoo(), LEARNING, 0, tmp_path_factory.mktemp("fit"))


def vectors_of(made: AdapterZoo, **of: Any) -> torch.Tensor:
    chosen = [i for i, row in enumerate(made.rows) if all(getattr(row, k) == v for k, v in of.items())]
    return torch.from_numpy(np.array(made.vectors[chosen]))


def test_every_arm_is_what_it_says(fitted: CondPDiff) -> None:
    made = zoo()
    start = torch.zeros(made.layout.size)
    arms = evaluation.arms("task1", made, fitted, start, HOW, seed=0)
    assert list(arms) == list(evaluation.ARMS)
    assert torch.equal(arms["original"], vectors_of(made, task="task1", held_out=True, step=5))
    assert torch.equal(arms["original_best"], vectors_of(made, task="task1", held_out=True, step=2))
    assert torch.equal(arms["training"], vectors_of(made, task="task1", held_out=False, step=5))
    assert torch.equal(arms["untrained_adapter"], start[None])
    torch.testing.assert_close(arms["soup"][0], vectors_of(made, task="task1", held_out=False).mean(0))
    assert [len(arms[name]) for name in ("generated", "gaussian", "noisy_soup", "run_soup")] == [3, 4, 4, 2]


def test_the_untrained_generator_is_sampled_as_the_generated_arm_is(fitted: CondPDiff) -> None:
    made = zoo()
    start = torch.zeros(made.layout.size)
    few, many = (
        evaluation.arms("task1", made, fitted, start, replace(HOW, sampler_steps=steps), 0)["untrained_generator"]
        for steps in (2, 7)
    )
    assert len(few) == HOW.wrong and not torch.equal(few, many)


def test_nothing_held_out_leaves_the_original_arms_away(fitted: CondPDiff) -> None:
    made = zoo(held_out=0)
    arms = evaluation.arms("task0", made, fitted, torch.zeros(made.layout.size), HOW, seed=0)
    missing = {"original", "original_best", "reconstruction_held_out"}
    assert set(arms) == set(evaluation.ARMS) - missing


def test_scores_land_under_their_task_and_arm() -> None:
    made = {"a": {"x": torch.tensor([[1.0], [2.0]])}, "b": {"x": torch.tensor([[5.0]])}}
    domain: Any = Counting(["a", "b"])
    assert evaluation.score_arms(domain, made) == {"a": {"x": [1.0, 2.0]}, "b": {"x": [6.0]}}


def test_across_tasks_rows_are_whose_adapters_and_columns_where_they_are_scored() -> None:
    domain: Any = Counting(["a", "b"])
    matrix = evaluation.cross(domain, {"a": torch.tensor([[1.0], [3.0]]), "b": torch.tensor([[10.0]])})
    assert matrix.tolist() == [[2.0, 3.0], [10.0, 11.0]]


def test_lost_share_is_1_at_the_untrained_score_and_0_at_the_original() -> None:
    original, untrained = np.array([0.9, 0.8]), np.array([0.5, 0.0])
    own = np.array([[7.0, 0.0], [0.0, 7.0]])
    assert evaluation.lost_share(own + [[0, 0.0], [0.5, 0]], original, untrained) == pytest.approx(1.0)
    assert evaluation.lost_share(own + [[0, 0.8], [0.9, 0]], original, untrained) == pytest.approx(0.0)
    assert evaluation.lost_share(own + [[0, 0.4], [0.7, 0]], original, untrained) == pytest.approx(0.5)


def test_lost_share_is_not_decided_by_a_task_that_was_not_learned() -> None:
    original, untrained = np.array([0.9, 0.5001]), np.array([0.5, 0.5])
    half_lost = np.array([[0.0, 0.51], [0.7, 0.0]])
    assert evaluation.lost_share(half_lost, original, untrained) == pytest.approx(0.5, abs=0.03)


def test_nearest_task_sees_training_adapters_only() -> None:
    made = zoo()
    assert evaluation.nearest_task(made, vectors_of(made, task="task1")) == ["task1"] * 18
    swapped = [replace(row, task="task0") if row.held_out else row for row in made.rows]
    assert (
        evaluation.nearest_task(
            AdapterZoo(made.layout, made.vectors, swapped, made.conditions),
            vectors_of(made, task="task1", held_out=True),
        )
        == ["task1"] * 6
    )


def test_a_wrong_condition_scaled_back_as_the_true_task_lands_at_the_true_task(tmp_path: Path) -> None:
    """Under per_task normalization the statistics say which task it is: the defect of the authors' protocol."""
    made = zoo()
    own = CondPDiff.fit(made, replace(LEARNING, normalization="per_task"), 0, tmp_path)
    told_wrong = evaluation.generate("task0", "task1", own, 5, HOW, seed=0)
    assert evaluation.nearest_task(made, told_wrong) == ["task1"] * 5


def test_the_nearest_by_condition_are_the_last_checkpoints_of_that_task_and_no_others(
    fitted: CondPDiff, tmp_path: Path
) -> None:
    made = zoo()
    last = vectors_of(made, task="task1", held_out=False, step=5)
    assert torch.equal(controls.nearest_by_condition(made, fitted, "task1"), last)
    almost = fitted.conditions["task1"][0] + 0.1 * fitted.conditions["task0"][0]
    assert torch.equal(controls.nearest_by_condition(made, fitted, almost), last)
    none = CondPDiff.fit(made, replace(LEARNING, condition="none"), 0, tmp_path)
    with pytest.raises(ValueError, match="without a condition no task is nearest"):
        controls.nearest_by_condition(made, none, "task1")
