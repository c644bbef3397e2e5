"""A distribution whose noised density, score and best denoiser are known exactly, to test our diffusion code against.

A mixture of Gaussians with noise added is again a mixture of Gaussians. Everything here is closed form except
`fit`, which trains the project's own denoiser on samples. Adapters are not known here.

Symbols: z (n, D), z_t = a z + s eps with a = sqrt(abar_t), s = sqrt(1 - abar_t). Source: the toy of EDM2
(arXiv 2406.02507, appendix) is the model; the mixture is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cpd.diffusion import Denoise, Scheduler, noise_generators, sample
from cpd.methods.cond_pdiff.denoiser import Denoiser
from cpd.methods.cond_pdiff.fitting import fit_denoiser
from cpd.methods.cond_pdiff.settings import Learning
from cpd.study.presets import preset

TRAINING_SAMPLES = 20_000
LEARNING = Learning(latent=2, width=128, depth=3, steps=2500, batch=256, learning_rate=4e-3, cond_drop=0.4)
SMOKE = replace(LEARNING, width=64, depth=2, steps=150, batch=128)


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic Gaussians, each component belonging to one condition.

    Attributes:
        means: (M, D) of the components.
        stds: (M,) standard deviations of the components.
        weights: (M,) probabilities, adding up to 1.
        groups: (M,) index of the condition that each component belongs to.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor
    groups: Tensor

    def given(self, condition: int | None) -> Mixture:
        """Return the law under one condition; None is the whole mixture."""
        if condition is None:
            return self
        chosen = self.groups == condition
        weights = self.weights[chosen] / self.weights[chosen].sum()
        return Mixture(self.means[chosen], self.stds[chosen], weights, self.groups[chosen])

    def noised(self, kept: float) -> Mixture:
        """Return the law of z_t, where ``kept`` is abar_t: N(a m, a^2 std^2 + s^2) for each component."""
        return replace(self, means=math.sqrt(kept) * self.means, stds=(kept * self.stds**2 + 1 - kept).sqrt())

    def draw(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw (n, D) samples and the (n,) component that each came from."""
        generator = torch.Generator().manual_seed(seed)
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator)
        return self.means[component] + self.stds[component, None] * noise, component

    def log_parts(self, z: Tensor) -> Tensor:
        """Return (n, M): log of weight times density of every component at (n, D) points."""
        square = (z[:, None] - self.means[None]).square().sum(dim=2)  # (n, M)
        size = self.means.shape[1]
        return self.weights.log() - size * (self.stds * math.sqrt(2 * math.pi)).log() - square / (2 * self.stds**2)

    def log_density(self, z: Tensor) -> Tensor:
        """Return the (n,) log densities at (n, D) points."""
        return self.log_parts(z).logsumexp(dim=1)

    def score(self, z: Tensor) -> Tensor:
        """Return the (n, D) gradient of the log density: responsibilities times (m - z) / std^2."""
        share = self.log_parts(z).softmax(dim=1) / self.stds**2  # (n, M)
        return share @ self.means - share.sum(dim=1, keepdim=True) * z

    def shares(self, z: Tensor) -> Tensor:
        """Return (M,): the share of (n, D) points that most likely come from each component."""
        return torch.bincount(self.log_parts(z).argmax(dim=1), minlength=len(self.weights)) / len(z)


def learning(preset_name: str) -> Learning:
    """Return the toy's sizes: small ones for the preset ``smoke``, the same for every other known preset."""
    return SMOKE if preset(preset_name).name == "smoke" else LEARNING


def three_petals() -> Mixture:
    """Return the toy: three conditions of three unequal components each, standard deviation 0.89 along each axis."""
    angle = torch.arange(9) * (2 * math.pi / 9)
    radius = torch.tensor([1.0, 1.6, 1.2]).repeat(3)
    means = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    weights, stds = torch.tensor([0.5, 0.3, 0.2]).repeat(3) / 3, torch.tensor([0.08, 0.16, 0.12]).repeat(3)
    return Mixture(means, stds, weights, torch.arange(9) // 3)


def exact_denoiser(mixture: Mixture, scheduler: Scheduler) -> Denoise:
    """Return the best possible denoiser of a mixture, for any sampler.

    Args:
        mixture: law of the clean samples.
        scheduler: defines abar_t and whether noise or velocity is predicted.

    Returns:
        A function of (z_t (n, D), t (n,), condition (n, conditions) one-hot or None) to the (n, D) expected noise or
        velocity. All rows of a call share t and condition.

    Source: Tweedie's formula, E[eps | z_t] = -s score(z_t); velocity a eps - s z (arXiv 2202.00512, appendix D).
    """

    def denoise(z: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        kept = float(scheduler.alphas_cumprod[int(t[0])])
        law = mixture.given(None if condition is None else int(condition[0].argmax()))
        a, s = math.sqrt(kept), math.sqrt(1 - kept)
        noise = -s * law.noised(kept).score(z)
        return noise if scheduler.config.prediction_type == "epsilon" else a * noise - s * (z - s * noise) / a

    return denoise


def fit(mixture: Mixture, learning: Learning, seed: int, folder: Path) -> tuple[Denoiser, list[float]]:
    """Train the project's denoiser on samples of a mixture, with one-hot conditions.

    Args:
        mixture: what to learn.
        learning: sizes and steps.
        seed: of samples, initialization and training.
        folder: keeps the state of an unfinished training.

    Returns:
        The denoiser and its loss at each step.
    """
    samples, component = mixture.draw(TRAINING_SAMPLES, seed)
    conditions = {str(i): row[None] for i, row in enumerate(torch.eye(int(mixture.groups.max()) + 1))}
    tasks = [str(int(group)) for group in mixture.groups[component]]
    return fit_denoiser(samples, tasks, conditions, learning, seed, folder)


def outside(mixture: Mixture, samples: Tensor, truth: Tensor) -> float:
    """Return the share of samples that lie where the density is lower than at 99 % of true ones: 0.01 is perfect."""
    return float((mixture.log_density(samples) < mixture.log_density(truth).quantile(0.01)).float().mean())


def one_hot(mixture: Mixture, condition: int | None, n: int) -> Tensor | None:
    """Return (n, conditions): what a denoiser is told, or None for the null condition."""
    return None if condition is None else torch.eye(int(mixture.groups.max()) + 1)[condition].expand(n, -1)


@torch.no_grad()
def generate(
    denoise: Denoise, mixture: Mixture, scheduler: Scheduler, steps: int, condition: int | None, n: int, seed: int
) -> Tensor:
    """Return (n, D) samples of a denoiser under one condition, or under none."""
    told = one_hot(mixture, condition, n)
    return sample(denoise, scheduler, steps, told, mixture.means.shape[1], noise_generators(seed, n))


@torch.no_grad()
def denoiser_error(
    denoise: Denoise, mixture: Mixture, scheduler: Scheduler, timesteps: list[int], condition: int | None, seed: int
) -> np.ndarray:
    """Measure how far a denoiser is from the exact one, where the noised samples lie.

    Args:
        denoise: the learned denoiser.
        mixture: law of the clean samples.
        scheduler: defines noise levels and prediction.
        timesteps: noise levels to measure at.
        condition: index, or None for the null condition.
        seed: of 2,000 noised samples.

    Returns:
        (len(timesteps),) mean squared difference per dimension; what is predicted has a mean square of about 1.
    """
    exact = exact_denoiser(mixture, scheduler)
    errors = []
    for step in timesteps:
        z, _ = mixture.given(condition).noised(float(scheduler.alphas_cumprod[step])).draw(2000, seed)
        t, told = torch.full((len(z),), step), one_hot(mixture, condition, len(z))
        truth = exact(z, t, told)
        errors.append(float((denoise(z, t, told) - truth).square().mean()))
    return np.array(errors)
