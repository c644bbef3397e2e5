"""Features and distances of pictures: closed forms, what must not change them, and what must."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cpd import features


def noise(n: int, mean: float, std: float, size: int = 4) -> torch.Tensor:
    """Features with exactly the mean ``mean`` and the covariance ``std``² I."""
    x = torch.randn(n, size, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    x -= x.mean(dim=0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return (mean + std * whitened).float()


def test_the_frechet_distance_of_two_normal_laws_is_the_closed_form() -> None:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2); for multiples of the identity that is 4 (1 - 3)^2 + 4 (1 - 2)^2."""
    found = features.frechet_distance(noise(50, 1.0, 1.0), noise(80, 3.0, 2.0))
    assert found == pytest.approx(4 * 4 + 4 * 1, rel=1e-4)


def test_both_distances_are_zero_for_equal_laws_and_see_a_shift() -> None:
    a, b = noise(60, 0.0, 1.0), noise(60, 0.0, 1.0)
    assert features.frechet_distance(a, b) == pytest.approx(0, abs=1e-4)
    assert abs(features.kernel_distance(a, noise(61, 0.0, 1.0))) < 0.3 < features.kernel_distance(a, b + 1)


def test_the_kernel_distance_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    features.kernel_distance(noise(20, 0.0, 1.0), noise(20, 1.0, 1.0))
    assert torch.equal(before, torch.get_rng_state())


def test_features_tell_pictures_apart_and_not_how_they_are_batched() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    together = features.features(pictures)
    assert together.shape == (3, features.SIZE)
    alone = torch.cat([features.features(pictures[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)
    assert (together[0] - together[1]).norm() > 1


def test_the_weights_are_those_of_imagenet() -> None:
    """Trained: a flat grey picture and noise are different things to them; torchvision's own first kernel."""
    first = next(features.network().parameters())
    assert first.shape == (32, 3, 3, 3)
    assert float(first.std()) == pytest.approx(0.2, rel=0.9)
    assert not any(parameter.requires_grad for parameter in features.network().parameters())


@pytest.mark.parametrize(
    "pictures",
    [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3), np.float32), np.zeros((0, 8, 8, 3), np.uint8)],
)
def test_what_is_no_set_of_pictures_is_refused(pictures: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"pictures are \(n, h, w, 3\) of uint8, at least one; got"):
        features.features(pictures)
