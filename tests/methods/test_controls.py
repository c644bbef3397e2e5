"""Controls: closed forms, shapes, independent noise, a zoo that is never changed and never read as a whole."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from synthetic import Watched, Zoo, zoo

from cpd.measures.distances import distances
from cpd.methods import controls
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.controls import CONTROLS

QUICK = Learning(latent=8, ae_steps=5, ae_batch=8, width=32, depth=1, steps=5, batch=16, condition="one_hot")


def rows(made, task: str, run: str | None = None) -> torch.Tensor:
    index = [i for i in made.training() if made.rows[i].task == task and run in (None, made.rows[i].run)]
    return torch.from_numpy(made.vectors[index])


def write(control: str, made: Zoo, task: str, n: int, seed: int = 0) -> torch.Tensor:
    return CONTROLS[control].write(made, task, n, seed)


def uneven() -> Zoo:
    """One task whose first run kept one checkpoint, and its second six; the last coordinate never moves."""
    made = zoo(tasks=1)
    kept = [0, *range(6, len(made.rows))]
    return replace(made, vectors=made.vectors[kept], rows=[made.rows[i] for i in kept])


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
    samples, own = write("gaussian", made, "task0", 3000), rows(made, "task0")
    std = own.std(0, correction=0)
    assert ((samples.mean(0) - own.mean(0)).abs() <= 5 * std / 3000**0.5 + 1e-6).all()
    torch.testing.assert_close(samples.std(0)[:-1], std[:-1], rtol=0.08, atol=0)
    assert torch.equal(samples[:, -1], torch.full((3000,), 0.25)), "a coordinate that never moves stays"


def test_noise_is_as_long_as_the_runs_are_far_from_the_soup(made) -> None:
    centre, runs = controls.soup(made, "task0"), controls.run_soups(made, "task0")
    lengths = (write("noisy_soup", made, "task0", 5) - centre).norm(dim=1)
    torch.testing.assert_close(lengths, (runs - centre).norm(dim=1).mean().expand(5), rtol=1e-3, atol=0)


def test_noise_of_a_single_run_is_as_long_as_its_checkpoints_are_far() -> None:
    single = zoo(runs=1)
    centre = controls.soup(single, "task0")
    expected = (rows(single, "task0") - centre).norm(dim=1).mean()
    lengths = (write("noisy_soup", single, "task0", 3) - centre).norm(dim=1)
    torch.testing.assert_close(lengths, expected.expand(3), rtol=1e-3, atol=0)


def test_coordinates_that_never_move_stay_exactly_where_they_are() -> None:
    made = zoo(runs=3)
    made.vectors[:, :7] = 0.1  # three of these do not add up to 0.3 in float32
    for control in CONTROLS:
        assert (write(control, made, "task0", 4)[:, :7] == np.float32(0.1)).all(), control
    moved = write("noisy_soup", made, "task0", 4) != controls.soup(made, "task0")
    assert moved[:, 7:-1].all()


def test_a_single_checkpoint_has_no_noise_around_it() -> None:
    single = zoo(runs=1, keep=1)
    for control in CONTROLS:
        assert torch.equal(write(control, single, "task0", 1), rows(single, "task0")), control


def test_gaussian_counts_every_run_the_same() -> None:
    made = uneven()
    centre = controls.soup(made, "task0")[0]
    square = torch.stack([(rows(made, "task0", run) - centre).square().mean(0) for run in ("run0", "run1")]).mean(0)
    samples = write("gaussian", made, "task0", 3000)
    torch.testing.assert_close(samples.std(0)[:-1], square.sqrt()[:-1], rtol=0.08, atol=0)
    assert ((samples.mean(0) - centre).abs() <= 5 * square.sqrt() / 3000**0.5 + 1e-6).all()


@pytest.mark.parametrize("control", ["gaussian", "noisy_soup"])
def test_draws_follow_the_seed_and_not_their_number(made, control: str) -> None:
    assert torch.equal(write(control, made, "task0", 5, 1)[:2], write(control, made, "task0", 2, 1))
    assert not torch.allclose(write(control, made, "task0", 1, 1), write(control, made, "task0", 1, 2), atol=1e-4)


def test_noise_of_tasks_and_of_arms_is_uncorrelated() -> None:
    made, n = zoo(), 40
    noise = {}
    for control in ("gaussian", "noisy_soup"):
        for task in made.tasks:
            centred = (write(control, made, task, n) - controls.soup(made, task))[:, :-1]
            scale = CONTROLS[control].keep(made, task)[1, :-1]
            noise[control, task] = (centred / scale).flatten()
    for one, other in combinations(noise, 2):
        correlation = float(torch.corrcoef(torch.stack([noise[one], noise[other]]))[0, 1])
        assert abs(correlation) < 5 / len(noise[one]) ** 0.5, (one, other)
    for draws in noise.values():  # nor are the draws of one arm alike
        between = torch.corrcoef(draws.reshape(n, -1)) - torch.eye(n)
        assert between.abs().max() < 6 / (len(draws) / n) ** 0.5


def test_a_zoo_is_read_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = zoo()
    monkeypatch.setattr(controls, "BLOCK_VALUES", 3 * made.layout.size)
    watched = replace(made, vectors=Watched(made.vectors))
    vectors = torch.from_numpy(made.vectors[::5])
    for control in CONTROLS:
        assert torch.equal(write(control, watched, "task1", 2), write(control, made, "task1", 2))
    assert torch.equal(controls.nearest(watched, vectors), controls.nearest(made, vectors))
    assert watched.vectors.most == 3


@pytest.mark.parametrize("updates", [False, True])
@pytest.mark.parametrize("block", [1, 5, 10**6])
def test_nearest_rows_are_those_of_the_whole_table(updates: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = zoo()
    monkeypatch.setattr(controls, "BLOCK_VALUES", block * made.layout.size)
    vectors = torch.from_numpy(made.vectors) + 0.01 * torch.randn(
        made.vectors.shape, generator=torch.Generator().manual_seed(0)
    )
    table = distances(vectors, made.vectors[made.training()], made.layout if updates else None)
    found, away = controls.nearest_rows(made, vectors, updates)
    assert found == [made.training()[i] for i in table.argmin(axis=1)]
    np.testing.assert_allclose(away, table.min(axis=1), rtol=1e-6)


def test_the_nearest_are_paired_with_what_they_are_nearest_to(made) -> None:
    index = [made.training()[i] for i in (9, 0, 9, 9, 3)]
    vectors = torch.from_numpy(made.vectors[index])
    assert torch.equal(controls.nearest(made, vectors + 1e-6), vectors), "same order, and as often"


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
