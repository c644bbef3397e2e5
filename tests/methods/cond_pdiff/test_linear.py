"""Linear autoencoder: the components of a singular value decomposition, whatever the blocks; the best shrinkage."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cpd.methods.cond_pdiff import linear
from cpd.methods.cond_pdiff.linear import LinearAutoencoder
from cpd.methods.cond_pdiff.normalizer import NormalizedRows, Normalizer
from cpd.methods.cond_pdiff.rows import Rows
from cpd.zoo import zoo

COUNT, SIZE = 24, 101


def rows(x: Tensor, kind: str = "shared") -> NormalizedRows:
    names = [str(i) for i in range(len(x))]
    made = Rows(x.numpy(), np.arange(len(x)), ["a", "b"] * (len(x) // 2), names)
    return Normalizer.fit(kind, made).transform(made)


def whole(normalized: NormalizedRows) -> Tensor:
    return normalized[np.arange(normalized.shape[0])]


@pytest.fixture
def x() -> Tensor:
    """Rows with a decaying spectrum, far from zero."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.linspace(2, -1, COUNT).exp()
    return 3 + torch.randn(COUNT, COUNT, generator=generator) * scales @ torch.randn(COUNT, SIZE, generator=generator)


@pytest.mark.parametrize("kind", ["none", "shared", "per_task"])
def test_components_are_those_of_the_singular_value_decomposition(x: Tensor, kind: str) -> None:
    normalized = rows(x, kind)
    fitted, latents, losses = LinearAutoencoder.fit(normalized, 6, 0.0, 0.0)
    exact = whole(normalized).double()
    centered = exact - exact.mean(dim=0)
    _, values, directions = torch.linalg.svd(centered, full_matrices=False)
    signs = (fitted.components.double() * directions[:6]).sum(dim=1)
    torch.testing.assert_close(signs.abs(), torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(fitted.unit.double() ** 2, values[:6].square().mean() / COUNT, rtol=1e-6, atol=0)
    left = torch.stack([values[i + 1 :].square().sum() for i in range(6)]) / exact.numel()
    torch.testing.assert_close(torch.tensor(losses, dtype=torch.float64), left, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(fitted.encode(exact.float()), latents, rtol=1e-3, atol=1e-4)
    error = (fitted.decode(latents) - exact).square().mean()
    torch.testing.assert_close(error, left[-1], rtol=1e-4, atol=0)


def test_latents_are_uncorrelated_in_one_unit_and_keep_their_proportions(x: Tensor) -> None:
    normalized = rows(x)
    _, latents, _ = LinearAutoencoder.fit(normalized, 6, 0.001, 0.1)
    variances = torch.linalg.svdvals((whole(normalized) - whole(normalized).mean(dim=0)).double())[:6].square()
    torch.testing.assert_close(latents.mean(dim=0), torch.zeros(6), rtol=0, atol=1e-6)
    expected = torch.diag(variances / variances.mean()).float()
    torch.testing.assert_close(latents.T @ latents / COUNT, expected, rtol=1e-4, atol=1e-5)


def test_without_noise_and_with_a_latent_for_every_row_but_one_it_is_exact_on_its_rows_only() -> None:
    x = torch.randn(COUNT, SIZE, generator=torch.Generator().manual_seed(1))
    normalized = rows(x)
    fitted, latents, losses = LinearAutoencoder.fit(normalized, 256, 0.0, 0.0)
    assert fitted.latent == latents.shape[1] == COUNT - 1
    torch.testing.assert_close(fitted.decode(latents), whole(normalized), rtol=0, atol=1e-5)
    assert losses[-1] == pytest.approx(0, abs=1e-12)
    new = torch.randn(4, SIZE, generator=torch.Generator().manual_seed(2))
    assert (fitted.decode(fitted.encode(new)) - new).square().mean() > 0.3


@pytest.mark.parametrize("columns", [1, 7, 100])
def test_blocks_do_not_change_the_result(x: Tensor, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SIZE % 7 and SIZE % 100
    at_once = LinearAutoencoder.fit(rows(x), 6, 0.001, 0.1)
    monkeypatch.setattr(zoo, "BLOCK_VALUES", columns * COUNT)
    in_blocks = LinearAutoencoder.fit(rows(x), 6, 0.001, 0.1)
    for name, tensor in at_once[0].state_dict().items():
        torch.testing.assert_close(in_blocks[0].state_dict()[name], tensor, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(in_blocks[1], at_once[1], rtol=1e-5, atol=1e-6)


def test_it_is_linear(x: Tensor) -> None:
    fitted, _, _ = LinearAutoencoder.fit(rows(x), 6, 0.001, 0.1)
    a, b = torch.randn(2, 3, SIZE, generator=torch.Generator().manual_seed(3))
    half = fitted.encode((a + b) / 2)
    torch.testing.assert_close(half, (fitted.encode(a) + fitted.encode(b)) / 2, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        fitted.decode(half), (fitted.decode(2 * half) + fitted.decode(0 * half)) / 2, rtol=1e-4, atol=1e-5
    )


def test_under_noise_no_other_scale_of_the_decoder_is_better(x: Tensor) -> None:
    """The loss of equation 4, with noise drawn many times, is least at the shrinkage and equals what `fit` says."""
    input_noise, latent_noise = 0.5, 0.4
    normalized = rows(x)
    fitted, latents, losses = LinearAutoencoder.fit(normalized, 3, input_noise, latent_noise)
    exact = whole(normalized)
    generator = torch.Generator().manual_seed(0)

    def loss(factor: float) -> float:
        total = 0.0
        for _ in range(400):
            z = fitted.encode(exact + input_noise * torch.randn(exact.shape, generator=generator))
            spread = (latents.square().mean(dim=0) + (input_noise / fitted.unit) ** 2).sqrt()  # of the noised latents
            back = fitted.decode(factor * (z + latent_noise * spread * torch.randn(z.shape, generator=generator)))
            total += float((back - exact).square().mean()) / 400
        return total

    found = {factor: loss(factor) for factor in (0.9, 1.0, 1.1)}
    assert found[1.0] < min(found[0.9], found[1.1])
    assert found[1.0] == pytest.approx(losses[-1], rel=0.01)


def test_what_explains_nothing_is_no_latent() -> None:
    """Rows in a plane, with noise far below what may be left out: two latents, and new rows do not blow up."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(COUNT, 2, generator=generator) @ torch.randn(2, SIZE, generator=generator)
    x = plane + 1e-5 * torch.randn(COUNT, SIZE, generator=generator)
    fitted, _, losses = LinearAutoencoder.fit(rows(x), 16, 0.0, 0.0)
    assert fitted.latent == len(losses) == 2 and losses[-1] < linear.LEFT_OUT
    assert fitted.encode(torch.randn(5, SIZE, generator=generator)).abs().max() < 10


def test_saves_as_tensors(x: Tensor) -> None:
    fitted, latents, _ = LinearAutoencoder.fit(rows(x), 6, 0.001, 0.1)
    empty = LinearAutoencoder(SIZE, 6)
    empty.load_state_dict(fitted.state_dict(), assign=True)
    assert torch.equal(empty.decode(latents), fitted.decode(latents))
