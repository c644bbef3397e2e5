"""A control as a method: it looks the task up by its condition, writes what its arm writes, and is saved whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import TEXTS, zoo

from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.control import Control
from cpd.methods.controls import CONTROLS, LOOK_UP, last_checkpoints, soup

ALL = [*CONTROLS.values(), LOOK_UP]
ONE_HOT = Learning(condition="one_hot")


@pytest.mark.parametrize("control", ALL, ids=lambda control: control.name)
def test_fitted_it_writes_what_its_arm_writes_and_is_saved_whole(control: Control, tmp_path: Path) -> None:
    made = zoo()
    fitted = control.fit(made, ONE_HOT, 5, tmp_path)
    assert list(tmp_path.iterdir()) == [] and (fitted.name, fitted.seed) == (control.name, 5)
    loaded = control.from_pretrained(fitted.save_pretrained(tmp_path / "saved"))
    assert (loaded.layout, loaded.seed, loaded.known.texts) == (fitted.layout, 5, made.conditions)
    for task in made.tasks:
        arm = control.write(made, task, 4, seed=1)
        written = fitted.generate(task, 4, seed=1)
        assert torch.equal(written[: len(arm)], arm)
        assert torch.equal(loaded.generate(task, 4, seed=1), written)


def test_what_is_kept_is_dealt_out_in_turn() -> None:
    made = zoo()
    dealt = LOOK_UP.fit(made, ONE_HOT, 0, Path()).generate("task1", 5, 0)
    assert torch.equal(dealt, last_checkpoints(made, "task1")[[0, 1, 0, 1, 0]])


def test_the_look_up_takes_last_checkpoints_of_training_runs() -> None:
    made = zoo()
    last = [i for i, row in enumerate(made.rows) if (row.task, row.step, row.held_out) == ("task1", 5, False)]
    assert torch.equal(last_checkpoints(made, "task1"), torch.from_numpy(made.vectors[last]))


def test_a_text_is_answered_for_the_task_that_it_is_most_like() -> None:
    made = zoo()
    fitted = CONTROLS["soup"].fit(made, Learning(), 0, Path())
    for text in (TEXTS[1], "Is this e-mail junk?", fitted.conditions["task1"][0]):
        assert torch.equal(fitted.generate(text, 1, 0), soup(made, "task1"))


def test_bad_requests_are_refused() -> None:
    fitted = CONTROLS["soup"].fit(zoo(), ONE_HOT, 0, Path())
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        fitted.generate("task0", 0, 0)
    with pytest.raises(ValueError, match=r"method 'soup' has nothing to guide, got guidance 3\.0"):
        fitted.generate("task0", 1, 0, guidance=3.0)
    with pytest.raises(ValueError, match="without a condition no task is nearest"):
        fitted.generate(None, 1, 0)
    with pytest.raises(ValueError, match="unknown task 'cola'"):
        fitted.generate("cola", 1, 0)


def test_zoos_that_cannot_be_kept_are_refused() -> None:
    broken = zoo()
    broken.vectors[0, 3] = np.nan
    with pytest.raises(ValueError, match="task 'task0' has a NaN or infinite weight"):
        CONTROLS["soup"].fit(broken, ONE_HOT, 0, Path())
    silent = zoo()
    with pytest.raises(ValueError, match="task 'task0' has an empty condition or none"):
        CONTROLS["soup"].fit(replace(silent, conditions={}), Learning(), 0, Path())
