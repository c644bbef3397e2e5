"""The toy's closed forms, checked against automatic differentiation and against simulation."""

import math
from dataclasses import replace

import pytest
import torch

from cpd.diffusion import schedule
from cpd.measures.distances import sliced_wasserstein
from cpd.study import toy

MIXTURE = toy.three_petals()


def test_the_density_integrates_to_1_and_the_score_is_its_gradient() -> None:
    axis = torch.linspace(-4, 4, 400)
    grid = torch.cartesian_prod(axis, axis)
    area = (axis[1] - axis[0]) ** 2
    assert float(MIXTURE.log_density(grid).exp().sum() * area) == pytest.approx(1, abs=1e-3)
    z = torch.randn(50, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(MIXTURE.log_density(z).sum(), z)
    torch.testing.assert_close(MIXTURE.score(z.detach()), gradient, rtol=1e-3, atol=1e-3)


def test_the_noised_law_is_the_law_of_noised_samples() -> None:
    z, _ = MIXTURE.draw(20_000, 0)
    noised = math.sqrt(0.4) * z + math.sqrt(0.6) * torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    assert sliced_wasserstein(noised, MIXTURE.noised(0.4).draw(20_000, 2)[0]) < 0.03
    assert sliced_wasserstein(noised, MIXTURE.noised(0.8).draw(20_000, 2)[0]) > 0.06


def test_conditions_split_the_mixture() -> None:
    z = torch.randn(20, 2)
    parts = torch.stack([MIXTURE.given(c).log_density(z) for c in range(3)])
    torch.testing.assert_close(parts.exp().mean(0), MIXTURE.log_density(z).exp())
    assert MIXTURE.given(None) is MIXTURE
    _, component = MIXTURE.draw(30_000, 0)
    torch.testing.assert_close(torch.bincount(component) / 30_000, MIXTURE.weights, atol=0.01, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("condition", [None, 1])
def test_the_exact_denoiser_is_the_mean_of_what_it_predicts(prediction: str, condition: int | None) -> None:
    """Least squares: the residual is uncorrelated with any function of z_t, and no other prediction has less error."""
    scheduler, step, n = schedule("ddim", prediction, 1000, "squaredcos_cap_v2"), 300, 40_000
    kept = float(scheduler.alphas_cumprod[step])
    a, s = math.sqrt(kept), math.sqrt(1 - kept)
    z, _ = MIXTURE.given(condition).draw(n, 0)
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    target = noise if prediction == "epsilon" else a * noise - s * z
    noised = a * z + s * noise
    denoise = toy.exact_denoiser(MIXTURE, scheduler)
    t, told = torch.full((n,), step), toy.one_hot(MIXTURE, condition, n)
    residual = target - denoise(noised, t, told)
    for function in (torch.ones_like(noised), noised, noised**2, noised.sin(), noised.flip(1)):
        assert float((residual * function).mean(0).abs().max()) < 5 * float(function.std() + 1) / math.sqrt(n)
    for other in (0.9, 1.1):
        assert (target - other * denoise(noised, t, told)).square().mean() > residual.square().mean()


@pytest.mark.parametrize("condition", [None, 2])
def test_the_exact_denoiser_through_our_sampler_gives_the_truth(condition: int | None) -> None:
    scheduler = schedule("ddim", "v_prediction", 1000, "squaredcos_cap_v2")
    law, exact = MIXTURE.given(condition), toy.exact_denoiser(MIXTURE, scheduler)
    samples = toy.generate(exact, MIXTURE, scheduler, 50, condition, 2000, 0)
    truth = law.draw(2000, 1)[0]
    assert sliced_wasserstein(samples, truth) < 0.12
    torch.testing.assert_close(law.shares(samples), law.weights, atol=0.05, rtol=0)
    assert toy.outside(law, samples, truth) < 0.03
    assert sliced_wasserstein(samples, MIXTURE.given(0).draw(2000, 1)[0]) > 0.5


def test_our_training_approaches_the_exact_denoiser_and_the_condition_matters(tmp_path) -> None:
    torch.set_num_threads(1)
    learning = replace(toy.SMOKE, steps=300)
    denoiser, losses = toy.fit(MIXTURE, learning, 0, tmp_path)
    scheduler = schedule("ddim", learning.prediction, learning.timesteps, learning.betas)
    error = toy.denoiser_error(denoiser, MIXTURE, scheduler, [300, 600], 0, 1)
    wrong = toy.denoiser_error(lambda z, t, c: denoiser(z, t, c.roll(1, 1)), MIXTURE, scheduler, [300, 600], 0, 1)
    assert len(losses) == 300
    assert (error < 0.1).all()
    assert (wrong > 4 * error).all()
    assert toy.denoiser_error(toy.exact_denoiser(MIXTURE, scheduler), MIXTURE, scheduler, [10, 990], 0, 1).max() == 0


def test_sizes_follow_the_preset_and_unknown_ones_raise() -> None:
    assert toy.learning("smoke").steps < toy.learning("laptop").steps
    with pytest.raises(ValueError, match="huge"):
        toy.learning("huge")
