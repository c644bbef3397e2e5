"""Distances, the gauge of LoRA, novelty with its control, intervals that cover."""

import numpy as np
import pytest
import torch
from synthetic import HEAD, A, B, layout

from cpd.adapters.layout import AdapterLayout, delta
from cpd.measures.distances import (
    cosines,
    delta_products,
    distances,
    novelty,
    overlap,
    relative_error,
    sliced_wasserstein,
    spectra,
)

SHAPE = layout()


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, SHAPE.size, generator=torch.Generator().manual_seed(seed))


def regauged(vector: torch.Tensor, shape: AdapterLayout) -> torch.Tensor:
    """Replace (B, A) by (B M^-1, M A)."""
    state = shape.unflatten(vector)
    m = torch.randn(2, 2, generator=torch.Generator().manual_seed(1)) + 2 * torch.eye(2)
    state[A], state[B] = m @ state[A], state[B] @ torch.linalg.inv(m)
    return shape.flatten(state)


def test_vector_distances_are_euclidean() -> None:
    a, b = vectors(4), vectors(3, seed=1)
    np.testing.assert_allclose(distances(a, b), torch.cdist(a.double(), b.double()), rtol=1e-10)


def test_tiny_distances_between_large_vectors_survive_rounding() -> None:
    a = 1e3 + vectors(2).double()
    b = a + 1e-4
    np.testing.assert_allclose(np.diag(distances(a, b)), 1e-4 * SHAPE.size**0.5, rtol=1e-3)


def test_delta_products_need_no_delta() -> None:
    a, b = vectors(4), vectors(3, seed=1)
    full = [torch.cat([d.flatten(1) for d in delta(SHAPE, x).values()], dim=1).double() for x in (a, b)]
    np.testing.assert_allclose(delta_products(SHAPE, a, b), full[0] @ full[1].T, rtol=1e-4)
    np.testing.assert_allclose(distances(a, b, SHAPE), torch.cdist(*full), rtol=1e-4)


def test_a_change_of_gauge_moves_the_vector_and_not_the_delta() -> None:
    x = vectors(1)
    other = regauged(x[0], SHAPE)[None]
    assert distances(x, other)[0, 0] > 1
    assert distances(x, other, SHAPE)[0, 0] < 1e-3 * distances(x, 0 * x, SHAPE)[0, 0]


def test_cosines_are_those_of_the_deltas_and_know_no_length() -> None:
    a, b = vectors(3), vectors(2, seed=1)
    full = [torch.cat([d.flatten(1) for d in delta(SHAPE, x).values()], dim=1).double() for x in (a, b)]
    expected = torch.nn.functional.cosine_similarity(full[0][:, None], full[1][None], dim=2)
    np.testing.assert_allclose(cosines(a, b, SHAPE), expected, atol=1e-6)
    np.testing.assert_allclose(cosines(a, 3 * a, SHAPE).diagonal(), 1.0)
    assert np.isnan(cosines(a, 0 * a, SHAPE)).all()


def test_spectra_are_the_singular_values_of_the_deltas() -> None:
    x = vectors(3)
    found = spectra(SHAPE, x)
    for i, deltas in enumerate(delta(SHAPE, x).values()):
        np.testing.assert_allclose(found[:, i], torch.linalg.svdvals(deltas)[:, :2], rtol=1e-4)
    np.testing.assert_allclose(spectra(SHAPE, regauged(x[0], SHAPE)[None])[0], found[0], rtol=1e-3)


def test_overlap_of_mistakes_in_closed_form() -> None:
    wrong = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    np.testing.assert_allclose(overlap(wrong, wrong), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])


def test_the_head_counts_in_vectors_and_not_in_deltas() -> None:
    x = vectors(1)
    other = x.clone()
    other[:, SHAPE.spans[HEAD]] += 1
    np.testing.assert_allclose(distances(x, other), 10**0.5, rtol=1e-6)
    assert distances(x, other, SHAPE)[0, 0] < 1e-5


@pytest.mark.parametrize("space", [None, SHAPE])
def test_a_copy_is_not_new_and_the_control_leaves_itself_out(space) -> None:
    training = vectors(6)
    tasks, runs = ["a", "a", "a", "a", "b", "b"], ["0", "0", "1", "1", "0", "0"]
    found = novelty(training[[3]], training, tasks, runs, space)
    assert found.nearest.tolist() == [3]
    assert found.generated[0] < 1e-3
    among = distances(training, training, space)
    np.testing.assert_allclose(found.leave_one_out[0], among[0, 1:].min())
    np.testing.assert_allclose(found.leave_run_out[0], among[0, 2:4].min())
    assert np.isinf(found.leave_run_out[4:]).all(), "task b has one run"


def test_relative_error_is_0_for_a_copy_and_1_for_the_centre() -> None:
    x = vectors(3)
    centre = x.mean(0)
    assert relative_error(x, x, centre) == 0
    assert relative_error(x, centre.expand_as(x), centre) == pytest.approx(1)


def test_sliced_wasserstein_knows_a_shift() -> None:
    a = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    assert sliced_wasserstein(a, a) == 0
    shift = torch.tensor([3.0, 4.0])  # a shift s moves each direction u by s.u: root mean square |s| / sqrt(2)
    assert sliced_wasserstein(a, a + shift, directions=2000) == pytest.approx(5 / 2**0.5, rel=0.03)
