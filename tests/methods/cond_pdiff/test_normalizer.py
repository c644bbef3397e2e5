"""Normalizer: statistics, round trips, coordinates that never move, and what it refuses."""

import numpy as np
import pytest
import torch

from cpd.methods.cond_pdiff.normalizer import Normalizer

RANDOM = np.random.default_rng(0)
TASKS = ["a"] * 30 + ["b"] * 20
VECTORS = (RANDOM.normal(0, 1, (50, 9)) * np.logspace(-3, 3, 9) + 5 * (np.array(TASKS) == "b")[:, None]).astype("f4")


@pytest.mark.parametrize("kind", ["none", "shared", "per_task"])
def test_normalizing_and_back_returns_the_vector(kind: str) -> None:
    x = torch.from_numpy(VECTORS)
    normalizer = Normalizer.fit(kind, VECTORS, TASKS)
    there = normalizer.normalize(x, TASKS)
    torch.testing.assert_close(normalizer.denormalize(there, TASKS), x, rtol=1e-5, atol=1e-5)


def test_shared_has_one_statistic_and_per_task_one_each() -> None:
    x = torch.from_numpy(VECTORS)
    shared = Normalizer.fit("shared", VECTORS, TASKS).normalize(x)
    torch.testing.assert_close(shared.mean(0), torch.zeros(9), atol=1e-4, rtol=0)
    torch.testing.assert_close(shared.std(0, correction=0), torch.ones(9), atol=1e-3, rtol=0)
    assert shared[:30].mean() < -0.1 < 0.1 < shared[30:].mean(), "shared must keep the tasks apart"
    own = Normalizer.fit("per_task", VECTORS, TASKS).normalize(x, TASKS)
    for rows in (own[:30], own[30:]):
        torch.testing.assert_close(rows.mean(0), torch.zeros(9), atol=2e-3, rtol=0)


def test_per_task_zero_is_that_tasks_soup_and_shared_zero_is_not() -> None:
    zero, soup = torch.zeros(1, 9), torch.from_numpy(VECTORS[30:].mean(0, keepdims=True))
    torch.testing.assert_close(Normalizer.fit("per_task", VECTORS, TASKS).denormalize(zero, ["b"]), soup)
    assert not torch.allclose(Normalizer.fit("shared", VECTORS, TASKS).denormalize(zero), soup, atol=0.1)


@pytest.mark.parametrize("kind", ["none", "shared", "per_task"])
def test_b6_a_weight_that_never_moves_is_not_learned_and_comes_back_exactly(kind: str) -> None:
    still = VECTORS.copy()
    still[:, 3] = np.float32(0.1)
    still[:, 4] = 0.0
    still[:, 5] = np.float32(1e-41) * (np.arange(50) % 2)  # moves, but by less than float32 can divide by
    normalizer = Normalizer.fit(kind, still, TASKS)
    assert normalizer.moving.tolist() == [0, 1, 2, 6, 7, 8]
    there = normalizer.normalize(torch.from_numpy(still) + 1.0, TASKS)  # rows the statistics have not seen
    assert there.shape == (50, 6) and bool(there.isfinite().all())
    back = normalizer.denormalize(torch.randn(50, 6), TASKS)
    assert torch.equal(back[:, 3], torch.full((50,), np.float32(0.1)))
    assert torch.equal(back[:, 4], torch.zeros(50))


def test_what_is_constant_within_each_task_only_is_learned_unless_each_task_has_its_own_statistics() -> None:
    x = VECTORS.copy()
    x[:, 2] = np.where(np.array(TASKS) == "a", 1.0, 3.0)
    assert 2 in Normalizer.fit("shared", x, TASKS).moving
    own = Normalizer.fit("per_task", x, TASKS)
    assert 2 not in own.moving
    assert own.denormalize(torch.zeros(2, 8), ["b", "a"])[:, 2].tolist() == [3.0, 1.0]


def test_large_offsets_do_not_destroy_small_deviations() -> None:
    x = (1e3 + RANDOM.normal(0, 1e-2, (400, 3))).astype("f4")
    std = Normalizer.fit("shared", x, ["a"] * 400).std[0].numpy()
    np.testing.assert_allclose(std, x.astype("f8").std(0), rtol=1e-5)


def test_reads_a_memory_map_in_chunks_and_only_the_chosen_rows(tmp_path, monkeypatch) -> None:
    file = np.memmap(tmp_path / "x", np.float32, "w+", shape=VECTORS.shape)
    file[:] = VECTORS
    file[0] = np.nan
    chosen = list(range(1, 50))
    whole = Normalizer.fit("shared", VECTORS[1:], TASKS[1:])
    monkeypatch.setattr("cpd.methods.cond_pdiff.normalizer.CHUNK_BYTES", 8 * 9 * 4)
    chunked = Normalizer.fit("shared", file, TASKS, chosen)
    torch.testing.assert_close(chunked.mean, whole.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(chunked.std, whole.std, rtol=1e-6, atol=0)


def test_saves_as_tensors() -> None:
    fitted = Normalizer.fit("per_task", VECTORS, TASKS)
    empty = Normalizer("per_task", 9, fitted.moving, fitted.tasks)
    empty.load_state_dict(fitted.state_dict())
    x = torch.from_numpy(VECTORS)
    assert torch.equal(empty.normalize(x, TASKS), fitted.normalize(x, TASKS))


def test_refuses_what_it_cannot_scale() -> None:
    fitted = Normalizer.fit("per_task", VECTORS, TASKS)
    with pytest.raises(ValueError, match="no statistics for task 'c'; fitted on: a, b"):
        fitted.denormalize(torch.zeros(1, 9), ["c"])
    with pytest.raises(ValueError, match="needs the task of each of the 2 vectors, got none"):
        fitted.denormalize(torch.zeros(2, 9))
    with pytest.raises(ValueError, match="unknown normalization 'minmax'; known: none, shared, per_task"):
        Normalizer("minmax", 3)
    with pytest.raises(ValueError, match="one task name per row"):
        Normalizer.fit("shared", VECTORS, TASKS[:3])
    with pytest.raises(ValueError, match="no weight differs between the 50 adapters"):
        Normalizer.fit("shared", np.ones((50, 9), "f4"), TASKS)
    bad = VECTORS.copy()
    bad[40, 2] = np.inf
    with pytest.raises(ValueError, match="vectors of b hold NaN or infinite"):
        Normalizer.fit("per_task", bad, TASKS)
