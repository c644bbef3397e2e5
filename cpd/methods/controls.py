"""The controls every generated adapter stands beside: what one can write down without learning to generate.

All return vectors in weight units, one adapter per row, and never change what they are given. Scores are not known
here.

Source: soup is arXiv 2203.05482 (uniform); Gaussian and noise are controls of arXiv 2506.07998; the others are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from cpd.measures.distances import distances

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo


class Generator(Protocol):
    """What the controls need of a fitted `generator.CondPDiff`."""

    conditions: dict[str, Tensor]

    @property
    def latent(self) -> int: ...
    def condition(self, given: str | Tensor | None) -> Tensor | None: ...
    def generate(self, condition: str, n: int, seed: int, *, task: str | None = ...) -> Tensor: ...
    def decode(self, latents: Tensor, tasks: Sequence[str] | None = ...) -> Tensor: ...
    def reconstruct(self, vectors: Tensor, tasks: Sequence[str] | None = ...) -> Tensor: ...


def run_soups(zoo: AdapterZoo, task: str) -> Tensor:
    """Average the training checkpoints of each run of a task.

    Returns:
        (R, K) one soup per run, in the order in which the runs first appear.

    Raises:
        ValueError: if the task has no training rows.
    """
    rows = _training(zoo, task)
    runs = list(dict.fromkeys(zoo.rows[i].run for i in rows))
    return torch.stack([_mean(zoo, [i for i in rows if zoo.rows[i].run == run]) for run in runs])


def soup(zoo: AdapterZoo, task: str) -> Tensor:
    """Average a task's runs, each counting the same.

    Returns:
        (1, K) the soup of the run soups.
    """
    return run_soups(zoo, task).mean(dim=0, keepdim=True)


def gaussian(zoo: AdapterZoo, task: str, n: int, seed: int) -> Tensor:
    """Draw every coordinate on its own from a normal law with the task's mean and standard deviation.

    Args:
        zoo: its training rows give the statistics.
        task: whose rows.
        n: how many.
        seed: of the draws; adapter i is the same whatever n is.

    Returns:
        (n, K) vectors; a coordinate that never moves stays where it is.
    """
    rows = _training(zoo, task)
    mean = _mean(zoo, rows)
    square = torch.zeros_like(mean, dtype=torch.float64)
    for i in rows:
        square += (_row(zoo, i) - mean).double() ** 2
    return mean + (square / len(rows)).sqrt().float() * _noise(n, len(mean), seed)


def noisy_soup(zoo: AdapterZoo, task: str, n: int, seed: int) -> Tensor:
    """Add noise of no particular direction to the soup, as long as the runs are far from it.

    Args:
        zoo: its training rows give soup and length.
        task: whose rows.
        n: how many.
        seed: of the noise; adapter i is the same whatever n is.

    Returns:
        (n, K) vectors at the mean distance of the run soups from the soup (of the checkpoints, where there is one run).
    """
    runs, centre = run_soups(zoo, task), soup(zoo, task)
    away = runs - centre if len(runs) > 1 else torch.stack([_row(zoo, i) for i in _training(zoo, task)]) - centre
    noise = _noise(n, centre.shape[1], seed)
    return centre + away.norm(dim=1).mean() * noise / noise.norm(dim=1, keepdim=True)


def nearest(zoo: AdapterZoo, vectors: Tensor) -> Tensor:
    """Replace each vector by the training adapter nearest to it, of whatever task.

    Args:
        zoo: its training rows are the candidates.
        vectors: (n, K) vectors, generated ones for example.

    Returns:
        (n, K) training vectors.
    """
    rows = list(zoo.training())
    chosen = distances(vectors, zoo.vectors[rows]).argmin(axis=1)
    return torch.stack([_row(zoo, rows[i]) for i in chosen])


def nearest_by_condition(zoo: AdapterZoo, generator: Generator, condition: str | Tensor) -> Tensor:
    """Look up what a generator would have to write: the adapters of the training task with the nearest condition.

    Args:
        zoo: its training runs are the candidates.
        generator: knows the conditions of the training tasks.
        condition: as `generate` takes it.

    Returns:
        (R, K) last checkpoint of each training run of that task.
    """
    given = generator.condition(condition)
    if given is None:
        raise ValueError("without a condition no task is nearest; fit a generator that has one")
    away = {task: float(torch.cdist(given[None], known).min()) for task, known in generator.conditions.items()}
    return torch.stack([_row(zoo, i) for i in zoo.last(False, min(away, key=lambda task: away[task]))])


def latent_zero(generator: Generator, task: str) -> Tensor:
    """Decode the latent 0, the mean of all training latents, with nothing generated.

    Returns:
        (1, K) near that task's soup under per_task normalization, near no task in particular under shared.
    """
    return generator.decode(torch.zeros(1, generator.latent), [task])


def reconstruction(generator: Generator, vectors: Tensor, task: str) -> Tensor:
    """Encode and decode a task's adapters: what the latent costs, with nothing generated.

    Args:
        generator: fitted.
        vectors: (n, K) originals.
        task: of all of them.

    Returns:
        (n, K) vectors.
    """
    return generator.reconstruct(vectors, [task] * len(vectors))


def _training(zoo: AdapterZoo, task: str) -> list[int]:
    rows = [i for i in zoo.training() if zoo.rows[i].task == task]
    if not rows:
        raise ValueError(f"no training adapter of task {task!r}; the zoo knows {', '.join(zoo.tasks)}")
    return rows


def _row(zoo: AdapterZoo, i: int) -> Tensor:
    return torch.from_numpy(np.array(zoo.vectors[i], dtype=np.float32))


def _mean(zoo: AdapterZoo, rows: Sequence[int]) -> Tensor:
    total = torch.zeros(zoo.vectors.shape[1], dtype=torch.float64)
    for i in rows:
        total += _row(zoo, i)
    return (total / len(rows)).float()


def _noise(n: int, size: int, seed: int) -> Tensor:
    generators = [torch.Generator().manual_seed((seed * 1_000_003 + i) % 2**63) for i in range(n)]
    return torch.stack([torch.randn(size, generator=generator) for generator in generators])
