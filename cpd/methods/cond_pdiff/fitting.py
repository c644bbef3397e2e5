"""How a generator's two networks are fitted: what a training step sees and what it minimizes.

The autoencoder is handed normalized rows, the denoiser latents; neither knows where they come from. The loop itself is
``training``; what the networks are put together to is ``generator``.

Source: arXiv 2408.01415, section 3 and algorithm 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cpd.diffusion import diffusion_loss, schedule
from cpd.methods.cond_pdiff.convolutional import ConvolutionalAutoencoder
from cpd.methods.cond_pdiff.denoiser import Denoiser
from cpd.methods.cond_pdiff.linear import LinearAutoencoder
from cpd.methods.cond_pdiff.normalizer import NormalizedRows
from cpd.methods.cond_pdiff.rows import Rows
from cpd.methods.cond_pdiff.settings import Learning
from cpd.runtime.training import Plan, train

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

Autoencoder = LinearAutoencoder | ConvolutionalAutoencoder
WARMUP = 0.05  # share of the steps in which the learning rate rises
ENCODED = 2**23  # coordinates encoded at a time


def checked(zoo: AdapterZoo, recipe: str) -> str:
    """Name what a zoo teaches, and refuse one that cannot be learned.

    Args:
        zoo: adapters with task and condition.
        recipe: what else decides the result, as text.

    Returns:
        A hash of everything that is learned from.

    Raises:
        ValueError: if a task has fewer than 2 training rows, or a weight is NaN or infinite.
    """
    rows = Rows.training(zoo)
    described = [recipe, zoo.conditions, zoo.layout.to_json(), list(rows.tasks)]
    return _name(described, (_finite(rows, values) for _, values in rows.blocks()))


def fit_autoencoder(
    rows: NormalizedRows, learning: Learning, seed: int, folder: Path
) -> tuple[Autoencoder, Tensor, list[float]]:
    """Find the autoencoder that reproduces rows with the smallest squared error.

    Args:
        rows: (N, M) what is learned.
        learning: which autoencoder; its latents and noise; steps, batch and rate of a convolutional one.
        seed: names the run.
        folder: keeps the state of an unfinished training.

    Returns:
        The autoencoder; the (N, D) standardized latents of the rows; and the loss of each step, or with one component
        more each, in squared standard deviations per coordinate.

    Raises:
        ValueError: if the rows are too long for a convolutional autoencoder.

    Source: arXiv 2408.01415, equation 4.
    """
    if learning.autoencoder == "linear":
        return LinearAutoencoder.fit(rows, learning.latent, learning.input_noise, learning.latent_noise)
    return _fit_convolutional(rows, learning, seed, folder)


def _fit_convolutional(
    rows: NormalizedRows, learning: Learning, seed: int, folder: Path
) -> tuple[ConvolutionalAutoencoder, Tensor, list[float]]:
    autoencoder = _convolutional(rows.shape[1], learning, seed)

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(len(rows.rows), (learning.ae_batch,), generator=generator).numpy()
        x = rows[drawn].to(_device(module))
        return functional.mse_loss(module(x, generator).float(), x)

    warmup = round(WARMUP * learning.ae_steps)
    plan = Plan(learning.ae_steps, learning.ae_learning_rate, warmup=warmup, precision="auto")
    name = _name(["autoencoder", asdict(learning), seed], (values for _, values in rows.blocks()))
    losses = train(autoencoder, loss, plan, seed, folder / f".autoencoder-{name}.safetensors", "autoencoder")
    autoencoder.cpu()
    return autoencoder, autoencoder.standardize(_encoded(autoencoder, rows)), losses


def fit_denoiser(
    latents: Tensor,
    tasks: Sequence[str],
    conditions: Mapping[str, Tensor],
    learning: Learning,
    seed: int,
    folder: Path,
) -> tuple[Denoiser, list[float]]:
    """Minimize the denoising error; each row draws one of its task's conditions anew in every step.

    Args:
        latents: (N, D) standardized latents of the training rows.
        tasks: (N,) task of each row.
        conditions: task -> (m, C) its conditions.
        learning: width, depth, steps, batch, rate, prediction, noise schedule, condition dropout.
        seed: names the run.
        folder: keeps the state of an unfinished training.

    Returns:
        The denoiser, with averaged weights; and the loss of each step, dimensionless.

    Source: arXiv 2408.01415, equation 5.
    """
    denoiser = initial_denoiser(latents.shape[1], conditions, learning, seed)
    scheduler = schedule("ddpm", learning.prediction, learning.timesteps, learning.betas)
    draw = _ConditionTable(conditions, tasks, learning.cond_noise)

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (learning.batch,), generator=generator)
        z = latents[rows].to(_device(module))
        return diffusion_loss(module, scheduler, z, draw(rows, generator).to(z), learning.cond_drop, generator)

    warmup = round(WARMUP * learning.steps)
    plan = Plan(learning.steps, learning.learning_rate, warmup=warmup, ema=learning.ema, precision="auto")
    name = _name(["denoiser", asdict(learning), seed, list(tasks)], [latents, *conditions.values()])
    losses = train(denoiser, loss, plan, seed, folder / f".denoiser-{name}.safetensors", "denoiser")
    denoiser.cpu()
    return denoiser, losses


def initial_autoencoder(size: int, latent: int, learning: Learning, seed: int) -> Autoencoder:
    """Return the autoencoder of (B, size) vectors before it learns; global randomness is left alone."""
    return LinearAutoencoder(size, latent) if learning.autoencoder == "linear" else _convolutional(size, learning, seed)


def _convolutional(size: int, learning: Learning, seed: int) -> ConvolutionalAutoencoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConvolutionalAutoencoder(size, learning.latent, learning.input_noise, learning.latent_noise).eval()


def initial_denoiser(latent: int, conditions: Mapping[str, Tensor], learning: Learning, seed: int) -> Denoiser:
    """Return the denoiser of (B, latent) latents before it learns; global randomness is left alone."""
    known = torch.cat(list(conditions.values()))  # (M, C)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        denoiser = Denoiser(latent, known.shape[1], learning.width, learning.depth).eval()
    denoiser.center(known)
    return denoiser


@torch.no_grad()
def _encoded(autoencoder: ConvolutionalAutoencoder, rows: NormalizedRows) -> Tensor:
    """Return the (N, D) latents of all rows, a few rows in memory at a time."""
    count, size = rows.shape
    parts = np.array_split(np.arange(count), -(-count * size // ENCODED))
    return torch.cat([autoencoder.encode(rows[part]) for part in parts if len(part)])


def _finite(rows: Rows, values: Tensor) -> Tensor:
    rows.require_finite(values)
    return values


def _name(described: Any, tensors: Iterable[Tensor]) -> str:
    """Return a hash of JSON values and of numbers: what is made of them, and of nothing else, may bear this name."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for tensor in tensors:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


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
