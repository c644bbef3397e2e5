"""How a generator's two networks are fitted to a zoo: what a training step sees and what it minimizes.

The loop itself is ``training``; what the networks are put together to is ``generator``.

Source: arXiv 2408.01415, section 3 and algorithm 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cpd.diffusion import diffusion_loss, schedule
from cpd.methods.cond_pdiff.autoencoder import Autoencoder
from cpd.methods.cond_pdiff.denoiser import Denoiser
from cpd.methods.cond_pdiff.normalizer import Normalizer
from cpd.methods.cond_pdiff.settings import Learning
from cpd.runtime.training import Plan, train

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

WARMUP = 0.05  # share of the steps in which the learning rate rises


def checked(zoo: AdapterZoo, recipe: str) -> str:
    """Refuse a zoo that cannot be learned.

    Args:
        zoo: adapters with task and condition.
        recipe: what else decides the result, as text.

    Returns:
        A hash of everything that is learned from: the name of this fit.

    Raises:
        ValueError: if a task has fewer than 2 training rows, or a weight is NaN or infinite.
    """
    index = list(zoo.training())
    for task in zoo.tasks:
        if (count := sum(zoo.rows[i].task == task for i in index)) < 2:
            raise ValueError(
                f"task {task!r} has {count} training checkpoint(s), 2 are needed; add some or drop the task"
            )
    digest = hashlib.sha256(json.dumps([recipe, zoo.conditions, zoo.layout.to_json()], sort_keys=True).encode())
    for i in index:
        row, vector = zoo.rows[i], np.ascontiguousarray(zoo.vectors[i])
        if not np.isfinite(vector).all():
            where = f"task {row.task!r}, run {row.run!r}, step {row.step}"
            raise ValueError(f"{where} has a NaN or infinite weight; remove that adapter from the zoo")
        digest.update(f"{row.task}\n".encode() + vector.tobytes())
    return digest.hexdigest()[:16]


def fit_autoencoder(
    autoencoder: Autoencoder, normalizer: Normalizer, zoo: AdapterZoo, learning: Learning, seed: int, state: Path
) -> list[float]:
    """Minimize the squared error of reconstructed training rows, read a batch at a time.

    Args:
        autoencoder: trained in place.
        normalizer: fitted on the same rows.
        zoo: its training rows are learned.
        learning: steps, batch, rate.
        seed: names the run.
        state: file to resume from.

    Returns:
        The loss of each step, in squared standard deviations per coordinate.

    Source: arXiv 2408.01415, equation 4.
    """
    index = np.asarray(zoo.training())

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        rows = index[torch.randint(len(index), (learning.ae_batch,), generator=generator).numpy()]
        vectors = torch.from_numpy(np.asarray(zoo.vectors[rows]))
        x = normalizer.normalize(vectors, [zoo.rows[i].task for i in rows]).to(_device(module))
        return functional.mse_loss(module(x, generator).float(), x)

    warmup = round(WARMUP * learning.ae_steps)
    plan = Plan(learning.ae_steps, learning.ae_learning_rate, warmup=warmup, precision="auto")
    losses = train(autoencoder, loss, plan, seed, state, "autoencoder")
    autoencoder.cpu()
    return losses


def fit_denoiser(
    denoiser: Denoiser,
    latents: Tensor,
    tasks: Sequence[str],
    conditions: Mapping[str, Tensor],
    learning: Learning,
    seed: int,
    state: Path,
) -> list[float]:
    """Minimize the denoising error; each row draws one of its task's conditions anew in every step.

    Args:
        denoiser: trained in place; afterwards it holds the averaged weights.
        latents: (N, D) standardized latents of the training rows.
        tasks: (N,) task of each row.
        conditions: task -> (m, C) its conditions.
        learning: steps, batch, rate, prediction, noise schedule, condition dropout.
        seed: names the run.
        state: file to resume from.

    Returns:
        The loss of each step, dimensionless.

    Source: arXiv 2408.01415, equation 5.
    """
    scheduler = schedule("ddpm", learning.prediction, learning.timesteps, learning.betas)
    draw = _ConditionTable(conditions, tasks, learning.cond_noise)

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (learning.batch,), generator=generator)
        z = latents[rows].to(_device(module))
        return diffusion_loss(module, scheduler, z, draw(rows, generator).to(z), learning.cond_drop, generator)

    warmup = round(WARMUP * learning.steps)
    plan = Plan(learning.steps, learning.learning_rate, warmup=warmup, ema=learning.ema, precision="auto")
    losses = train(denoiser, loss, plan, seed, state, "denoiser")
    denoiser.cpu()
    return losses


class _ConditionTable:
    """The conditions of all tasks in one table, and where each training row's own ones lie in it.

    A generator will be told what is like these, and never these again: noise in proportion to how a task's conditions
    differ keeps the denoiser from learning them by heart (ours).
    """

    def __init__(self, conditions: Mapping[str, Tensor], tasks: Sequence[str], noise: float) -> None:
        names = list(conditions)
        self.table = torch.cat(list(conditions.values()))
        self.counts = torch.tensor([len(conditions[name]) for name in names])
        self.starts = self.counts.cumsum(0) - self.counts
        self.group = torch.tensor([names.index(task) for task in tasks])
        spread = [own.std(dim=0, unbiased=False) for own in conditions.values() if own.numel()]
        self.width = noise * torch.stack(spread) if spread else torch.zeros(0)  # (tasks, C)

    def __call__(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B, C): for each row, one of its task's conditions at random, with noise."""
        group = self.group[rows]
        own = (torch.rand(len(rows), generator=generator) * self.counts[group]).long()
        drawn = self.table[self.starts[group] + own]
        if not self.width.any():
            return drawn
        return drawn + self.width[group] * torch.randn(drawn.shape, generator=generator)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
