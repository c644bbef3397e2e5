"""Normalizer: statistics, round trips, coordinates that never move, and what it refuses."""

import numpy as np
import pytest
import torch

from cpd.methods.cond_pdiff.normalizer import Normalizer
from cpd.methods.cond_pdiff.rows import Rows
from cpd.zoo import zoo

RANDOM = np.random.default_rng(0)
TASKS = ["a"] * 30 + ["b"] * 20
VECTORS = (RANDOM.normal(0, 1, (50, 9)) * np.logspace(-3, 3, 9) + 5 * (np.array(TASKS) == "b")[:, None]).astype("f4")


def fit(kind: str, vectors: np.ndarray, tasks: list[str], index: list[int] | None = None) -> Normalizer:
    return Normalizer.fit(kind, rows(vectors, tasks, index))


def rows(vectors: np.ndarray, tasks: list[str], index: list[int] | None = None) -> Rows:
    chosen = list(range(len(vectors))) if index is None else index
    return Rows(vectors, np.array(chosen), [tasks[i] for i in chosen], [f"row {i}" for i in chosen])


@pytest.mark.parametrize("kind", ["none", "shared", "per_task"])
def test_normalizing_and_back_returns_the_vector(kind: str) -> None:
    x = torch.from_numpy(VECTORS)
    normalizer = fit(kind, VECTORS, TASKS)
    there = normalizer.normalize(x, TASKS)
    torch.testing.assert_close(normalizer.denormalize(there, TASKS), x, rtol=1e-5, atol=1e-5)


def test_shared_has_one_statistic_and_per_task_one_each() -> None:
    x = torch.from_numpy(VECTORS)
    shared = fit("shared", VECTORS, TASKS).normalize(x)
    torch.testing.assert_close(shared.mean(0), torch.zeros(9), atol=1e-4, rtol=0)
    torch.testing.assert_close(shared.std(0, correction=0), torch.ones(9), atol=1e-3, rtol=0)
    assert shared[:30].mean() < -0.1 < 0.1 < shared[30:].mean(), "shared must keep the tasks apart"
    own = fit("per_task", VECTORS, TASKS).normalize(x, TASKS)
    for part in (own[:30], own[30:]):
        torch.testing.assert_close(part.mean(0), torch.zeros(9), atol=2e-3, rtol=0)


def test_per_task_zero_is_that_tasks_soup_and_shared_zero_is_not() -> None:
    zero, soup = torch.zeros(1, 9), torch.from_numpy(VECTORS[30:].mean(0, keepdims=True))
    torch.testing.assert_close(fit("per_task", VECTORS, TASKS).denormalize(zero, ["b"]), soup)
    assert not torch.allclose(fit("shared", VECTORS, TASKS).denormalize(zero), soup, atol=0.1)


@pytest.mark.parametrize("kind", ["none", "shared", "per_task"])
def test_b6_a_weight_that_never_moves_is_not_learned_and_comes_back_exactly(kind: str) -> None:
    still = VECTORS.copy()
    still[:, 3] = np.float32(0.1)
    still[:, 4] = 0.0
    still[:, 5] = np.float32(1e-41) * (np.arange(50) % 2)  # moves, but by less than float32 can divide by
    normalizer = fit(kind, still, TASKS)
    assert normalizer.moving.tolist() == [0, 1, 2, 6, 7, 8]
    there = normalizer.normalize(torch.from_numpy(still) + 1.0, TASKS)  # rows the statistics have not seen
    assert there.shape == (50, 6) and bool(there.isfinite().all())
    back = normalizer.denormalize(torch.randn(50, 6), TASKS)
    assert torch.equal(back[:, 3], torch.full((50,), np.float32(0.1)))
    assert torch.equal(back[:, 4], torch.zeros(50))


def test_what_is_constant_within_each_task_only_is_learned_unless_each_task_has_its_own_statistics() -> None:
    x = VECTORS.copy()
    x[:, 2] = np.where(np.array(TASKS) == "a", 1.0, 3.0)
    assert 2 in fit("shared", x, TASKS).moving
    own = fit("per_task", x, TASKS)
    assert 2 not in own.moving
    assert own.denormalize(torch.zeros(2, 8), ["b", "a"])[:, 2].tolist() == [3.0, 1.0]


def test_large_offsets_do_not_destroy_small_deviations() -> None:
    x = (1e3 + RANDOM.normal(0, 1e-2, (400, 3))).astype("f4")
    std = fit("shared", x, ["a"] * 400).std[0].numpy()
    np.testing.assert_allclose(std, x.astype("f8").std(0), rtol=1e-5)


def test_reads_a_memory_map_in_blocks_and_only_the_chosen_rows(tmp_path, monkeypatch) -> None:
    file = np.memmap(tmp_path / "x", np.float32, "w+", shape=VECTORS.shape)
    file[:] = VECTORS
    file[0] = np.nan
    chosen = list(range(1, 50))
    whole = fit("shared", VECTORS[1:], TASKS[1:])
    monkeypatch.setattr(zoo, "BLOCK_VALUES", 49 * 4)  # 4 of 9 coordinates at a time
    chunked = fit("shared", file, TASKS, chosen)
    torch.testing.assert_close(chunked.mean, whole.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(chunked.std, whole.std, rtol=1e-6, atol=0)


def test_saves_as_tensors() -> None:
    fitted = fit("per_task", VECTORS, TASKS)
    empty = Normalizer("per_task", 9, fitted.moving, fitted.tasks)
    empty.load_state_dict(fitted.state_dict())
    x = torch.from_numpy(VECTORS)
    assert torch.equal(empty.normalize(x, TASKS), fitted.normalize(x, TASKS))


def test_refuses_what_it_cannot_scale() -> None:
    fitted = fit("per_task", VECTORS, TASKS)
    with pytest.raises(ValueError, match="no statistics for task 'c'; fitted on: a, b"):
        fitted.denormalize(torch.zeros(1, 9), ["c"])
    with pytest.raises(ValueError, match="needs the task of each of the 2 vectors, got none"):
        fitted.denormalize(torch.zeros(2, 9))
    with pytest.raises(ValueError, match="unknown normalization 'minmax'; known: none, shared, per_task"):
        Normalizer("minmax", 3)
    with pytest.raises(ValueError, match="no weight differs between the 50 adapters"):
        fit("shared", np.ones((50, 9), "f4"), TASKS)
    bad = VECTORS.copy()
    bad[40, 2] = np.inf
    with pytest.raises(ValueError, match="row 40 has a NaN or infinite weight; remove that adapter"):
        fit("per_task", bad, TASKS)


@pytest.mark.parametrize("kind", ["none", "shared", "per_task"])
def test_rows_are_scaled_when_they_are_read_by_row_and_by_block(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    still = VECTORS.copy()
    still[:, [0, 4, 5, 8]] = 0.5  # some at the ends of blocks, one block without a learned coordinate
    monkeypatch.setattr(zoo, "BLOCK_VALUES", 50 * 2)
    normalizer = fit(kind, still, TASKS)
    lazy = normalizer.transform(rows(still, TASKS))
    whole = normalizer.normalize(torch.from_numpy(still), TASKS)
    assert lazy.shape == (50, 5) == whole.shape
    spans, parts = zip(*lazy.blocks(), strict=True)
    assert [i for span in spans for i in range(span.start, span.stop)] == list(range(5))
    assert torch.equal(torch.cat(parts, dim=1), whole)
    chosen = np.array([49, 0, 31])
    assert torch.equal(lazy[chosen], whole[chosen])
