"""Noise levels, the loss of a denoiser, guidance, and the samplers that call it.

A sampler takes any callable (z_t, t, condition) -> prediction, so that an exact denoiser can stand in for a network.
Noise schedules and update rules are those of ``diffusers``; nothing is ever clipped. What is denoised (the latent of an
adapter, or of a picture) is not known here.

Symbols: z latent (D,), z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps, t timestep 0..T-1, c condition (C,), w guidance.
Source: arXiv 2006.11239 (DDPM); arXiv 2202.00512 (v-prediction); arXiv 2207.12598 (guidance).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

Denoise = Callable[[Tensor, Tensor, Any], Tensor]
SAMPLERS = {"ddim": "DDIMScheduler", "ddpm": "DDPMScheduler", "dpm": "DPMSolverMultistepScheduler"}


class Scheduler(Protocol):
    """What is used of a ``diffusers`` scheduler."""

    config: Any
    timesteps: Tensor
    alphas_cumprod: Tensor
    init_noise_sigma: float

    def set_timesteps(self, num_inference_steps: int) -> None: ...
    def step(self, prediction: Tensor, t: Tensor, z: Tensor, *, generator: list[torch.Generator]) -> Any: ...
    def add_noise(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor: ...
    def get_velocity(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor: ...


def guided(denoise: Denoise, scale: float) -> Denoise:
    """Wrap a denoiser with classifier-free guidance.

    Args:
        denoise: of (z_t, t, condition); condition None is the null condition.
        scale: dimensionless w in null + w (conditional - null); 1 means off and returns ``denoise`` itself.

    Returns:
        A denoiser; without a condition it is the null denoiser at any scale.

    Source: arXiv 2207.12598, equation 6, with w = 1 + its guidance strength.
    """
    if scale == 1.0:
        return denoise

    def both(z: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        null = denoise(z, t, None)
        return null if condition is None else null + scale * (denoise(z, t, condition) - null)

    return both


def schedule(sampler: str, prediction: str, timesteps: int, betas: str) -> Scheduler:
    """Return a ``diffusers`` scheduler that clips nothing.

    Args:
        sampler: one of ``ddim`` (deterministic), ``ddpm`` (ancestral), ``dpm`` (DPM-Solver++).
        prediction: what the denoiser predicts, ``epsilon`` or ``v_prediction``.
        timesteps: T, noise levels in training.
        betas: ``linear`` (1e-4 to 2e-2) or ``squaredcos_cap_v2``.

    Raises:
        ValueError: if the sampler is unknown.

    Source: arXiv 2010.02502 (DDIM), arXiv 2006.11239 (DDPM, variance beta_t as the authors), arXiv 2211.01095 (dpm).
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"unknown sampler {sampler!r}; known: {', '.join(SAMPLERS)}")
    import diffusers  # takes seconds: only when noise levels are needed

    extra: dict[str, dict[str, Any]] = {
        "ddim": {"clip_sample": False},
        "ddpm": {"clip_sample": False, "variance_type": "fixed_large"},
        "dpm": {},
    }
    made = getattr(diffusers, SAMPLERS[sampler])(
        num_train_timesteps=timesteps,
        beta_schedule=betas,
        beta_start=1e-4,
        beta_end=2e-2,
        prediction_type=prediction,
        timestep_spacing="trailing",
        **extra[sampler],
    )
    return cast(Scheduler, made)


def diffusion_loss(
    denoise: Callable[..., Tensor],
    scheduler: Scheduler,
    z: Tensor,
    condition: Any,
    cond_drop: float,
    generator: torch.Generator,
) -> Tensor:
    """Return the mean squared error of the prediction, at a timestep of its own for every sample.

    Args:
        denoise: a `Denoiser`, or what wraps it.
        scheduler: defines z_t and the target; made by `schedule`.
        z: (B, D) standardized latents.
        condition: (B, C) conditions or whatever else the denoiser takes, or None.
        cond_drop: probability that a sample sees the null condition.
        generator: of timesteps, noise and dropped conditions, on the CPU.

    Returns:
        () mean over samples and dimensions.

    Source: arXiv 2408.01415, equation 5; arXiv 2202.00512, section 4 for the velocity.
    """
    z_t, t, target, dropped = noised(scheduler, z, cond_drop, generator)
    return functional.mse_loss(denoise(z_t, t, condition, dropped).float(), target)


def noised(
    scheduler: Scheduler, z: Tensor, cond_drop: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw what a denoiser is trained on.

    Args:
        scheduler: defines z_t and the target; made by `schedule`.
        z: (B, D) latents.
        cond_drop: probability that a sample sees the null condition.
        generator: of timesteps, noise and dropped conditions, on the CPU.

    Returns:
        (B, D) noisy latents, (B,) timesteps, (B, D) noise or velocity to predict, (B,) true where the null condition is
        seen.
    """
    t = torch.randint(scheduler.config.num_train_timesteps, (len(z),), generator=generator).to(z.device)
    noise = torch.randn(z.shape, generator=generator).to(z)
    dropped = (torch.rand(len(z), generator=generator) < cond_drop).to(z.device)
    velocity = scheduler.config.prediction_type == "v_prediction"
    return scheduler.add_noise(z, noise, t), t, scheduler.get_velocity(z, noise, t) if velocity else noise, dropped


def clean(scheduler: Scheduler, predicted: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """Return what a denoiser's prediction says of the latent without noise.

    Args:
        scheduler: made by `schedule`.
        predicted: (n, D) velocity or noise.
        z: (n, D) noised latents.
        t: (n,) timesteps.

    Returns:
        (n, D) estimates.

    Source: arXiv 2202.00512, section 4 (velocity); arXiv 2006.11239, equation 15 (noise).
    """
    kept = scheduler.alphas_cumprod.to(z)[t.long()][:, None]
    if scheduler.config.prediction_type == "v_prediction":
        return kept.sqrt() * z - (1 - kept).sqrt() * predicted
    return (z - (1 - kept).sqrt() * predicted) / kept.sqrt()


def noise_generators(seed: int, count: int) -> list[torch.Generator]:
    """Return one random generator per sample: sample i has the same noise whatever else is sampled beside it."""
    return [noise_generator(seed, i) for i in range(count)]


def noise_generator(seed: int, number: int) -> torch.Generator:
    """Return the random generator of one sample."""
    return torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)


def sample(
    denoise: Denoise,
    scheduler: Scheduler,
    steps: int,
    condition: Any,
    size: int | tuple[int, ...],
    generators: Sequence[torch.Generator],
    device: torch.device | None = None,
) -> Tensor:
    """Turn noise into latents by following a denoiser down the noise levels.

    Args:
        denoise: of (z_t (n, D), t (n,), condition) to the prediction that the scheduler expects.
        scheduler: made by `schedule`.
        steps: calls of the denoiser, 1 to T.
        condition: (n, C) conditions or whatever else the denoiser takes, handed to every call, or None.
        size: D, dimensions of the latent, or its shape.
        generators: n random generators, one per sample, on the CPU.
        device: where the denoiser is; the CPU where it is not given.

    Returns:
        (n, D) samples.

    Raises:
        ValueError: if there are more steps than noise levels, or fewer than 1.
    """
    if not 1 <= steps <= scheduler.config.num_train_timesteps:
        raise ValueError(f"steps must be 1 to {scheduler.config.num_train_timesteps} (the noise levels), got {steps}")
    scheduler.set_timesteps(steps)
    noise = torch.stack([torch.randn(size, generator=generator) for generator in generators]).to(device)
    z = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        predicted = denoise(z, t.expand(len(z)).to(z.device), condition)
        z = scheduler.step(predicted, t, z, generator=list(generators)).prev_sample
    return z
