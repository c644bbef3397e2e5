"""Denoiser, guidance and samplers: closed forms on Gaussians, and the invariances that must and must not hold."""

import pytest
import torch
from torch import Tensor

from cpd.diffusion import clean, diffusion_loss, guided, noise_generators, sample, schedule
from cpd.methods.cond_pdiff.denoiser import Denoiser

MEAN, STD = torch.tensor([3.0, -1.0]), torch.tensor([0.5, 2.0])


def trained_looking(latent: int = 4, condition: int = 3, seed: int = 0) -> Denoiser:
    """Make a denoiser whose zero-initialized layers are random, as after training."""
    torch.manual_seed(seed)
    net = Denoiser(latent, condition, width=32, depth=2).eval()
    for parameter in net.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return net


def exact(scheduler, mean: Tensor = MEAN, std: Tensor = STD):
    """Return the best possible prediction for N(mean, std^2): E[eps | z_t] and E[v | z_t] in closed form."""

    def denoise(z: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        kept = scheduler.alphas_cumprod[t][:, None]
        a, s = kept.sqrt(), (1 - kept).sqrt()
        clean = mean + a * std**2 / (kept * std**2 + s**2) * (z - a * mean)
        noise = s / (kept * std**2 + s**2) * (z - a * mean)
        return noise if scheduler.config.prediction_type == "epsilon" else a * noise - s * clean

    return denoise


def draw(sampler: str, prediction: str, betas: str, steps: int, n: int = 2000, timesteps: int = 1000) -> Tensor:
    scheduler = schedule(sampler, prediction, timesteps, betas)
    return sample(exact(scheduler), scheduler, steps, None, 2, noise_generators(0, n))


def normals(n: int = 2000) -> Tensor:
    """Return the starting noise of the same samples."""
    return torch.stack([torch.randn(2, generator=generator) for generator in noise_generators(0, n)])


@pytest.mark.parametrize("betas", ["squaredcos_cap_v2", "linear"])
@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 200), ("dpm", 25), ("ddpm", 1000)])
def test_exact_denoiser_gives_the_right_mean_and_deviation(sampler: str, steps: int, betas: str) -> None:
    n = 300 if sampler == "ddpm" else 2000
    samples = draw(sampler, "v_prediction", betas, steps, n)
    torch.testing.assert_close((samples.mean(0) - MEAN) / STD, torch.zeros(2), atol=3 / n**0.5, rtol=0)
    torch.testing.assert_close(samples.std(0), STD, atol=0, rtol=3 / n**0.5)


def test_epsilon_and_velocity_are_the_same_sampler() -> None:
    a, b = (draw("ddim", prediction, "linear", 50, n=20) for prediction in ("epsilon", "v_prediction"))
    torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_right_prediction_gives_the_clean_latent_back(prediction: str) -> None:
    scheduler = schedule("ddim", prediction, 1000, "squaredcos_cap_v2")
    z, noise, t = torch.randn(5, 2), torch.randn(5, 2), torch.tensor([0, 10, 300, 600, 900])
    target = noise if prediction == "epsilon" else scheduler.get_velocity(z, noise, t)
    torch.testing.assert_close(clean(scheduler, target, scheduler.add_noise(z, noise, t), t), z, atol=1e-4, rtol=1e-3)


def test_the_error_of_ddim_shrinks_with_its_steps_in_first_order() -> None:
    truth = MEAN + STD * normals(200)  # the exact flow of a Gaussian maps noise to mean + std * noise
    errors = [(draw("ddim", "v_prediction", "linear", steps, n=200) - truth).abs().max() for steps in (10, 50, 250)]
    assert errors[0] > 2.5 * errors[1] > 2.5 * 2.5 * errors[2]


def test_dpm_needs_fewer_steps_than_ddim() -> None:
    truth = MEAN + STD * normals(200)
    error = {s: (draw(s, "v_prediction", "linear", 20, n=200) - truth).abs().max() for s in ("ddim", "dpm")}
    assert error["dpm"] < 0.5 * error["ddim"]


def test_b1_each_sample_has_its_own_timestep() -> None:
    net, z, condition = trained_looking(), torch.randn(5, 4), torch.randn(5, 3)
    t = torch.tensor([10, 200, 400, 600, 800])
    base = net(z, t, condition)
    moved = net(z, t + torch.tensor([0, 0, 50, 0, 0]), condition)
    changed = (moved - base).abs().amax(dim=1) > 1e-4
    assert changed.tolist() == [False, False, True, False, False]
    one_by_one = torch.cat([net(z[i : i + 1], t[i : i + 1], condition[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(base, one_by_one, rtol=1e-4, atol=1e-5)


def test_b1_the_loss_draws_a_timestep_for_every_sample() -> None:
    seen: list[Tensor] = []

    def spy(z: Tensor, t: Tensor, condition: Tensor | None, dropped: Tensor) -> Tensor:
        seen.append(t)
        return z

    diffusion_loss(spy, schedule("ddpm", "epsilon", 1000, "linear"), torch.zeros(64, 2), None, 0.0, torch.Generator())
    assert len(seen[0].unique()) > 50


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
def test_b3_nothing_is_clipped(sampler: str) -> None:
    scheduler = schedule(sampler, "v_prediction", 1000, "linear")
    far = torch.tensor([30.0, -20.0])
    samples = sample(exact(scheduler, far, torch.ones(2)), scheduler, 200, None, 2, noise_generators(0, 200))
    torch.testing.assert_close(samples.mean(0), far, atol=0.5, rtol=0)
    torch.testing.assert_close(samples.std(0), torch.ones(2), atol=0.2, rtol=0)
    assert not scheduler.config.get("clip_sample", False)
    assert not scheduler.config.get("thresholding", False)


def test_the_target_is_the_noise_or_the_velocity() -> None:
    z = torch.randn(16, 2)
    for prediction in ("epsilon", "v_prediction"):
        scheduler = schedule("ddpm", prediction, 1000, "linear")

        def oracle(noisy: Tensor, t: Tensor, condition: Tensor | None, dropped: Tensor) -> Tensor:
            a = scheduler.alphas_cumprod[t][:, None].sqrt()  # noqa: B023
            s = (1 - a**2).sqrt()
            noise = (noisy - a * z) / s
            return noise if scheduler.config.prediction_type == "epsilon" else a * noise - s * z  # noqa: B023

        assert diffusion_loss(oracle, scheduler, z, None, 0.0, torch.Generator().manual_seed(0)) < 1e-6


def test_conditions_are_dropped_with_the_given_probability() -> None:
    shares = []

    def spy(z: Tensor, t: Tensor, condition: Tensor | None, dropped: Tensor) -> Tensor:
        shares.append(float(dropped.float().mean()))
        return z

    for share in (0.0, 0.1, 0.5):
        diffusion_loss(
            spy, schedule("ddpm", "epsilon", 9, "linear"), torch.zeros(4000, 1), None, share, torch.Generator()
        )
    assert shares == pytest.approx([0.0, 0.1, 0.5], abs=0.03)


def test_a_dropped_condition_is_the_null_condition() -> None:
    net, z, condition, t = trained_looking(), torch.randn(2, 4), torch.randn(2, 3), torch.tensor([5, 500])
    mixed = net(z, t, condition, torch.tensor([True, False]))
    torch.testing.assert_close(mixed[0], net(z, t)[0])
    torch.testing.assert_close(mixed[1], net(z, t, condition)[1])
    assert not torch.allclose(net(z, t), net(z, t, condition), atol=1e-3)


def test_condition_0_wide_means_unconditional() -> None:
    net = trained_looking(condition=0)
    z, t = torch.randn(2, 4), torch.tensor([5, 500])
    assert torch.equal(net(z, t, torch.zeros(2, 0)), net(z, t))


def test_centering_undoes_a_common_offset_and_scale_of_the_conditions() -> None:
    conditions, z, t = torch.randn(6, 3), torch.randn(6, 4), torch.arange(6)
    plain, moved = trained_looking(), trained_looking()
    plain.center(conditions)
    moved.center(100 * conditions + 7)
    torch.testing.assert_close(moved(z, t, 100 * conditions + 7), plain(z, t, conditions), rtol=1e-3, atol=1e-4)
    plain.center(torch.ones(1, 3))  # one task: nothing to tell apart, and no division by 0
    assert bool(plain(z, t, conditions).isfinite().all())


def test_guidance_1_is_off_0_is_the_null_condition_and_2_extrapolates() -> None:
    net, z, condition, t = trained_looking(), torch.randn(2, 4), torch.randn(2, 3), torch.tensor([5, 500])
    null, full = net(z, t), net(z, t, condition)
    assert guided(net, 1.0) is net
    torch.testing.assert_close(guided(net, 0.0)(z, t, condition), null)
    torch.testing.assert_close(guided(net, 2.0)(z, t, condition), 2 * full - null)
    assert torch.equal(guided(net, 3.0)(z, t, None), null)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_sample_does_not_depend_on_its_batch(sampler: str) -> None:
    net, condition = trained_looking(), torch.randn(1, 3)

    def of(count: int) -> Tensor:
        scheduler = schedule(sampler, "v_prediction", 50, "linear")
        return sample(net, scheduler, 10, condition.expand(count, -1), 4, noise_generators(3, count))

    torch.testing.assert_close(of(7)[:2], of(2), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(of(2)[0], of(2)[1], atol=1e-2)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
def test_b7_sampling_leaves_the_global_random_state_alone(sampler: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    scheduler = schedule(sampler, "v_prediction", 20, "linear")
    first = sample(trained_looking(), scheduler, 5, None, 4, noise_generators(0, 2))
    torch.manual_seed(1)
    scheduler = schedule(sampler, "v_prediction", 20, "linear")
    net = trained_looking()
    torch.set_rng_state(before)
    again = sample(net, scheduler, 5, None, 4, noise_generators(0, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)


def test_refuses_unknown_samplers_and_impossible_steps() -> None:
    with pytest.raises(ValueError, match="unknown sampler 'euler'; known: ddim, ddpm, dpm"):
        schedule("euler", "epsilon", 10, "linear")
    for steps in (0, 11):
        with pytest.raises(ValueError, match=f"steps must be 1 to 10 .*, got {steps}"):
            sample(trained_looking(), schedule("ddim", "epsilon", 10, "linear"), steps, None, 4, noise_generators(0, 1))
