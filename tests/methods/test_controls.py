"""Controls: closed forms, shapes, and that they never change the zoo."""

import numpy as np
import pytest
import torch
from synthetic import zoo

from cpd.methods import controls
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning

QUICK = Learning(latent=8, ae_steps=5, ae_batch=8, width=32, depth=1, steps=5, batch=16, condition="one_hot")


def rows(made, task: str, run: str | None = None) -> torch.Tensor:
    index = [i for i in made.training() if made.rows[i].task == task and run in (None, made.rows[i].run)]
    return torch.from_numpy(made.vectors[index])


@pytest.fixture
def made():
    zoo_ = zoo()
    zoo_.vectors.flags.writeable = False  # the authors' relatives overwrote their checkpoints while averaging
    before = zoo_.vectors.copy()
    yield zoo_
    assert np.array_equal(zoo_.vectors, before)


def test_soups_are_means_of_runs_and_ignore_held_out_runs(made) -> None:
    soups = controls.run_soups(made, "task1")
    torch.testing.assert_close(soups, torch.stack([rows(made, "task1", run).mean(0) for run in ("run0", "run1")]))
    torch.testing.assert_close(controls.soup(made, "task1"), soups.mean(0, keepdim=True))


def test_the_soup_of_one_checkpoint_is_that_checkpoint() -> None:
    single = zoo(runs=1, keep=1)
    assert torch.equal(controls.soup(single, "task0"), rows(single, "task0"))


def test_runs_count_the_same_however_many_checkpoints_they_have(made) -> None:
    made.rows[0] = made.rows[6]  # run0 keeps 5 checkpoints, run1 has 7
    means = torch.stack([rows(made, "task0", run).mean(0) for run in ("run1", "run0")])
    torch.testing.assert_close(controls.soup(made, "task0")[0], means.mean(0))
    assert not torch.allclose(controls.soup(made, "task0")[0], rows(made, "task0").mean(0), atol=1e-5)


def test_gaussian_has_the_mean_and_deviation_of_the_rows(made) -> None:
    samples, own = controls.gaussian(made, "task0", 3000, seed=0), rows(made, "task0")
    std = own.std(0, correction=0)
    assert ((samples.mean(0) - own.mean(0)).abs() <= 5 * std / 3000**0.5 + 1e-6).all()
    torch.testing.assert_close(samples.std(0)[:-1], std[:-1], rtol=0.08, atol=0)
    assert torch.equal(samples[:, -1], torch.full((3000,), 0.25)), "a coordinate that never moves stays"


def test_noise_is_as_long_as_the_runs_are_far_from_the_soup(made) -> None:
    centre, runs = controls.soup(made, "task0"), controls.run_soups(made, "task0")
    lengths = (controls.noisy_soup(made, "task0", 5, seed=0) - centre).norm(dim=1)
    torch.testing.assert_close(lengths, (runs - centre).norm(dim=1).mean().expand(5), rtol=1e-3, atol=0)


def test_noise_of_a_single_run_is_as_long_as_its_checkpoints_are_far() -> None:
    single = zoo(runs=1)
    centre = controls.soup(single, "task0")
    expected = (rows(single, "task0") - centre).norm(dim=1).mean()
    lengths = (controls.noisy_soup(single, "task0", 3, seed=0) - centre).norm(dim=1)
    torch.testing.assert_close(lengths, expected.expand(3), rtol=1e-3, atol=0)


@pytest.mark.parametrize("control", [controls.gaussian, controls.noisy_soup])
def test_draws_follow_the_seed_and_not_their_number(made, control) -> None:
    assert torch.equal(control(made, "task0", 5, seed=1)[:2], control(made, "task0", 2, seed=1))
    assert not torch.allclose(control(made, "task0", 1, seed=1), control(made, "task0", 1, seed=2), atol=1e-4)


def test_the_nearest_adapter_of_a_training_row_is_itself_and_never_a_held_out_one(made) -> None:
    index = made.training()
    assert torch.equal(
        controls.nearest(made, torch.from_numpy(made.vectors[index])), torch.from_numpy(made.vectors[index])
    )
    held_out = torch.from_numpy(made.vectors[[i for i in range(len(made.rows)) if i not in index]])
    found = controls.nearest(made, held_out)
    training = {made.vectors[i].tobytes() for i in index}
    assert all(row.numpy().tobytes() in training for row in found)


def test_latent_zero_is_near_the_soup_under_per_task_normalization_only(tmp_path) -> None:
    made = zoo()
    distance = {}
    for normalization in ("shared", "per_task"):
        fitted = CondPDiff.fit(made, Learning(**{**vars(QUICK), "normalization": normalization}), 0, tmp_path)
        zero = controls.latent_zero(fitted, "task1")
        assert zero.shape == (1, made.layout.size)
        distance[normalization] = (zero - controls.soup(made, "task1")).norm()
    assert distance["per_task"] < 0.7 * distance["shared"]


def test_reconstruction_is_the_autoencoders(tmp_path) -> None:
    made = zoo()
    fitted = CondPDiff.fit(made, QUICK, 0, tmp_path)
    own = rows(made, "task0")
    assert torch.equal(controls.reconstruction(fitted, own, "task0"), fitted.reconstruct(own))


def test_refuses_a_task_without_training_rows(made) -> None:
    with pytest.raises(ValueError, match="no training adapter of task 'cola'; the zoo knows task0, task1"):
        controls.soup(made, "cola")
