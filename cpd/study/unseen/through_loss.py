"""COND P-DIFF that goes on learning through the loss of the base model: what its sampler ends with is tried on a style.

Denoiser and decoder begin as they were fitted to a zoo, and no zoo is learned from any more. Nothing rewards that two
adapters for one condition differ; whether they still do is what `spread` says.

Source: ours.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cpd.diffusion import noise_generators, sample, schedule
from cpd.domains.images.domain import ImageDomain
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.linear import LinearAutoencoder
from cpd.methods.hypernetwork.settings import Writing
from cpd.runtime.training import Plan, train

SAMPLER_STEPS = 4  # few, because the loss is followed back through all of them


class Sampler(nn.Module):
    """A generator as one differentiable function of noise and condition.

    Args:
        generator: fitted, with a linear autoencoder.
    """

    def __init__(self, generator: CondPDiff) -> None:
        super().__init__()
        autoencoder, learning = generator.autoencoder, generator.learning
        assert isinstance(autoencoder, LinearAutoencoder)
        self.denoiser, self.latent = deepcopy(generator.denoiser), generator.latent
        self.components = nn.Parameter(autoencoder.components * (autoencoder.unit * autoencoder.shrinkage)[:, None])
        self.center = nn.Parameter(autoencoder.center.clone())
        self._denormalize = generator.normalizer.denormalize
        self._levels = schedule("ddim", learning.prediction, learning.timesteps, learning.betas)

    def forward(self, conditions: Tensor, noise: list[torch.Generator]) -> Tensor:
        """Return (n, K) adapters for (n, C) conditions, each from noise of its own."""
        latents = sample(self.denoiser, self._levels, SAMPLER_STEPS, conditions, self.latent, noise)
        return self._denormalize(torch.addmm(self.center, latents, self.components))


def fit(generator: CondPDiff, domain: ImageDomain, how: Writing, shown: int, seed: int, folder: Path) -> Sampler:
    """Go on learning.

    Args:
        generator: where learning begins.
        domain: styles to learn from.
        how: steps, styles and pictures of a step, and rate, as a hypernetwork has them.
        shown: pictures of a style that it is told by.
        seed: of styles, pictures and noise.
        folder: keeps the training state.
    """
    domain.prepare()
    sampler, names = Sampler(generator), domain.names

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        random = np.random.default_rng((seed, step))
        tasks = [names[i] for i in random.choice(len(names), how.tasks)]
        seen, rows = zip(*(_lesson(domain, task, shown, how.rows, random) for task in tasks), strict=True)
        seeds = torch.randint(2**62, (2, how.tasks), generator=generator).tolist()
        ours, theirs = ([torch.Generator().manual_seed(one) for one in own] for own in seeds)
        return domain.loss(module(torch.stack(seen), ours), tasks, rows, theirs).mean()

    plan = Plan(how.steps, how.learning_rate, warmup=max(1, how.steps // 20), ema=how.ema, save_every=100)
    train(sampler, loss, plan, seed, folder / ".through_loss", "COND P-DIFF through the loss")
    return sampler


@torch.no_grad()
def write(sampler: Sampler, conditions: Tensor, seed: int) -> Tensor:
    """Return (n, K) adapters for (n, C) conditions, from the noise of a seed."""
    return sampler(conditions, noise_generators(seed, len(conditions)))


def spread(draws: Tensor) -> float:
    """Return how far two adapters for one condition lie apart, over how far those for two conditions do.

    Args:
        draws: (d, n, K), of each condition d adapters from noise of their own.

    Returns:
        0 where noise decides nothing, about 1 where the condition decides nothing.
    """
    count, conditions = draws.shape[:2]
    within = torch.stack([torch.pdist(draws[:, i]) for i in range(conditions)]).square().mean()
    between = torch.stack([torch.pdist(draws[i]) for i in range(count)]).square().mean()
    return float((within / between).sqrt())


def _lesson(
    domain: ImageDomain, task: str, shown: int, count: int, random: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """Return the (F,) mean features of some training pictures of a style, and (b,) others to be tried on."""
    rows, free = domain.asked_about(task, count, random)
    return domain.real(task, "train")[random.choice(free, min(shown, len(free)), replace=False)].mean(dim=0), rows
