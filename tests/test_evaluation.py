"""Evaluation: every arm is there and is what its name says, scores land where they belong, shares in closed form."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import torch
from synthetic import Watched
from synthetic import Zoo as Synthetic

from cpd import evaluation
from cpd.evaluation import Evaluating
from cpd.methods import controls, registry
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
    assert list(arms) == [name for name in evaluation.ARMS if name != "by_condition"]
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
    missing = {"original", "original_best", "reconstruction_held_out", "by_condition"}
    assert set(arms) == set(evaluation.ARMS) - missing


def test_only_the_arms_that_are_named_are_made_in_their_order(fitted: CondPDiff) -> None:
    made, start = zoo(), torch.zeros(fitted.layout.size)
    arms = evaluation.arms("never seen", made, fitted, start, HOW, 0, ["nearest", "untrained_adapter"], "task1")
    assert list(arms) == ["nearest", "untrained_adapter"], "an average of a task that is not there is not asked for"
    assert evaluation.nearest_task(made, arms["nearest"]) == evaluation.nearest_task(
        made, evaluation.generate("task1", "never seen", fitted, 3, HOW, 0)
    )


def test_the_nearest_arm_is_paired_with_the_generated_one(fitted: CondPDiff) -> None:
    made = zoo()
    names = ["generated", "nearest"]
    arms = evaluation.arms("task0", made, fitted, torch.zeros(fitted.layout.size), replace(HOW, generated=9), 0, names)
    assert len(arms["nearest"]) == 9 > len(arms["nearest"].unique(dim=0)), "none is dropped for being there twice"
    for generated, nearest in zip(arms["generated"], arms["nearest"], strict=True):
        away = (torch.from_numpy(made.vectors[made.training()]) - generated).norm(dim=1).min()
        torch.testing.assert_close((nearest - generated).norm(), away)


def test_what_is_told_something_new_has_a_look_up_beside_it(fitted: CondPDiff) -> None:
    made, start = zoo(), torch.zeros(fitted.layout.size)
    almost = fitted.conditions["task1"][0] + 0.1
    arms = evaluation.arms("task0", made, fitted, start, HOW, 0, condition=almost)
    assert list(arms) == list(evaluation.ARMS)
    assert torch.equal(arms["by_condition"], vectors_of(made, task="task1", held_out=False, step=5))
    assert torch.equal(arms["generated"], evaluation.generate(almost, "task0", fitted, 3, HOW, 0))


class Recorder:
    """A generator that notes the seeds it is asked with; ``untrained`` shares its notes."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def generate(self, condition: str, n: int, seed: int, *_: object, **__: object) -> torch.Tensor:
        self.seeds.append(seed)
        return torch.zeros(n, 1)

    def untrained(self) -> "Recorder":
        return self


def test_no_two_tasks_and_no_two_arms_share_their_noise() -> None:
    def asked(seed: int) -> list[int]:
        recorder: Any = Recorder()
        for task in ("task0", "task1"):
            names = ["generated", "untrained_generator"]
            evaluation.arms(task, zoo(), recorder, torch.zeros(1), HOW, seed, names)
            evaluation.generate("task0", task, recorder, 1, HOW, seed, "other_condition")
        return recorder.seeds

    assert asked(0) == asked(0) and len(asked(0)) == 6
    assert len({*asked(0), *asked(1)}) == 12


def test_generated_adapters_of_two_tasks_deviate_independently(fitted: CondPDiff) -> None:
    """The same condition for two tasks: were the noise the same, so would the adapters be."""
    few = [evaluation.generate("task0", task, fitted, 3, HOW, 0) for task in ("task0", "task1")]
    again, longer = (evaluation.generate("task0", "task0", fitted, n, HOW, 0) for n in (3, 7))
    assert torch.equal(again, few[0]) and torch.allclose(longer[:3], few[0], atol=1e-5)
    assert not torch.allclose(*few, atol=1e-4)


@pytest.mark.parametrize("name", ["gaussian", "by_condition"])
def test_any_method_stands_beside_the_controls(name: str, tmp_path: Path) -> None:
    made, how = zoo(), replace(HOW, generated=4)
    method = registry.fit(name, made, LEARNING, 0, tmp_path)
    arms = evaluation.arms("task0", made, method, torch.zeros(made.layout.size), how, 0)
    without = {"reconstruction", "reconstruction_held_out", "latent_zero", "untrained_generator", "by_condition"}
    assert set(arms) == set(evaluation.ARMS) - without
    assert evaluation.nearest_task(made, arms["generated"]) == ["task0"] * 4


def test_every_control_is_an_arm() -> None:
    assert {*controls.CONTROLS, controls.LOOK_UP.name} < set(evaluation.ARMS)


def test_arms_of_a_zoo_larger_than_memory(fitted: CondPDiff, monkeypatch: pytest.MonkeyPatch) -> None:
    made = zoo()
    monkeypatch.setattr(controls, "BLOCK_VALUES", 4 * made.layout.size)
    watched: Any = replace(made, vectors=Watched(made.vectors))
    arms = evaluation.arms("task1", watched, fitted, torch.zeros(made.layout.size), HOW, 0)
    assert evaluation.nearest_task(watched, arms["gaussian"]) == ["task1"] * 4
    assert watched.vectors.most == 4


def test_an_adapter_that_is_in_several_arms_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, float]] = []

    def measure(task: str, vector: torch.Tensor) -> float:
        seen.append((task, float(vector[0])))
        return float(vector[0])

    def here(function: Any, jobs: Any, _: str) -> list[float]:
        return [function(*job) for job in jobs]

    monkeypatch.setattr(evaluation, "side_by_side", here)
    rows = torch.tensor([[1.0, 0], [2, 0], [1, 0]])
    made = {"a": {"x": rows, "y": rows[1:]}, "b": {"x": rows[:1]}}
    assert evaluation.measure_arms(measure, made, "") == {"a": {"x": [1, 2, 1], "y": [2, 1]}, "b": {"x": [1]}}
    assert seen == [("a", 1), ("a", 2), ("b", 1)]


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
