"""The controls every generated adapter stands beside: what one can write down without learning to generate.

Those of `CONTROLS` need nothing but a zoo: a function says what is kept of a task, and a line of the table by which
name it is known and how adapters are drawn from it. Each of them is a method too. Those below the table need a fitted
generator, or what it wrote. All return vectors in weight units, one adapter per row, never change what they are given,
and read a zoo a few rows at a time. Scores are not known here.

Source: soup is arXiv 2203.05482 (uniform); Gaussian and noise are controls of arXiv 2506.07998; the others are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cpd.diffusion import noise_generators
from cpd.measures.distances import distances
from cpd.methods.control import Conditioned, Control, looked_up

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

BLOCK_VALUES = 2**24  # coordinates of a zoo in memory at a time


def run_soups(zoo: AdapterZoo, task: str) -> Tensor:
    """Average the training checkpoints of each run of a task.

    Returns:
        (R, K) one soup per run, in the order in which the runs first appear.

    Raises:
        ValueError: if the task has no training rows.
    """
    return torch.stack([_mean(zoo, rows) for rows in _runs(zoo, task)])


def soup(zoo: AdapterZoo, task: str) -> Tensor:
    """Average a task's runs, each counting the same.

    Returns:
        (1, K) the soup of the run soups; a coordinate that never moves is exactly what it is in every row.
    """
    return _average(run_soups(zoo, task))


def moments(zoo: AdapterZoo, task: str) -> Tensor:
    """Measure every coordinate on its own, each run counting the same.

    Returns:
        (2, K) the soup, and the standard deviation of the checkpoints around it.
    """
    runs, (centre,) = _runs(zoo, task), soup(zoo, task)
    square = torch.zeros_like(centre, dtype=torch.float64)
    for rows in runs:
        for i in rows:
            square += (_row(zoo, i) - centre).double() ** 2 / len(rows)
    return torch.stack([centre, (square / len(runs)).sqrt().float()])


def shell(zoo: AdapterZoo, task: str) -> Tensor:
    """Measure how far the runs are from their soup, and which coordinates ever move.

    Returns:
        (2, K) the soup, and on every coordinate that differs between training rows the mean distance of the run soups
        from the soup (of the checkpoints, where there is one run); 0 on the others.
    """
    soups = run_soups(zoo, task)
    (centre,) = _average(soups)
    rows = [i for run in _runs(zoo, task) for i in run]
    first, moves = _row(zoo, rows[0]), torch.zeros_like(centre, dtype=torch.bool)
    for i in rows:
        moves |= _row(zoo, i) != first
    away = [(own - centre).norm() for own in (soups if len(soups) > 1 else (_row(zoo, i) for i in rows))]
    return torch.stack([centre, moves * torch.stack(away).mean()])


def last_checkpoints(zoo: AdapterZoo, task: str) -> Tensor:
    """Return the (R, K) last checkpoint of each training run of a task."""
    return torch.stack([_row(zoo, rows[-1]) for rows in _runs(zoo, task)])


def normal(kept: Tensor, n: int, seed: int) -> Tensor:
    """Draw every coordinate on its own from a normal law: (n, K) from (2, K) means and standard deviations."""
    return kept[0] + kept[1] * _noise(n, kept.shape[1], seed)


def on_shell(kept: Tensor, n: int, seed: int) -> Tensor:
    """Go from the centre as far as `shell` says, each time in a direction of no particular kind, over what moves."""
    directions = normalize(_noise(n, kept.shape[1], seed) * (kept[1] > 0), dim=1)
    return kept[0] + kept[1].max() * directions


CONTROLS = {
    control.name: control
    for control in (
        Control("run_soup", run_soups),
        Control("soup", soup),
        Control("gaussian", moments, normal),
        Control("noisy_soup", shell, on_shell),
    )
}
LOOK_UP = Control("by_condition", last_checkpoints)  # for the task that was asked for, these are the training runs


def nearest_rows(zoo: AdapterZoo, vectors: Tensor, updates: bool = False) -> tuple[list[int], np.ndarray]:
    """Find the training row nearest to each vector, with a few rows in memory at a time.

    Args:
        zoo: its training rows, of whatever task, are the candidates.
        vectors: (n, K) vectors, generated ones for example.
        updates: measure between deltas instead of between vectors.

    Returns:
        (n,) index of the nearest row in the zoo, the first of several; (n,) distance to it in weight units.
    """
    rows, step = zoo.training(), max(1, BLOCK_VALUES // zoo.layout.size)
    found, least = np.full(len(vectors), rows[0]), np.full(len(vectors), np.inf)
    for start in range(0, len(rows), step):
        block = np.array(rows[start : start + step])
        away = distances(vectors, zoo.vectors[block], zoo.layout if updates else None)
        at = away.argmin(axis=1)
        away = away[np.arange(len(vectors)), at]
        found, least = np.where(away < least, block[at], found), np.minimum(away, least)
    return found.tolist(), least


def nearest(zoo: AdapterZoo, vectors: Tensor) -> Tensor:
    """Replace each vector by the training adapter nearest to it, of whatever task.

    Args:
        zoo: its training rows are the candidates.
        vectors: (n, K) vectors, generated ones for example.

    Returns:
        (n, K) training vectors: row i is the nearest to vector i, so that differences are paired.
    """
    return torch.stack([_row(zoo, i) for i in nearest_rows(zoo, vectors)[0]])


class Latent(Protocol):
    """What the controls of an autoencoder need of a fitted generator."""

    @property
    def latent(self) -> int: ...
    def decode(self, latents: Tensor, tasks: Sequence[str] | None = ...) -> Tensor: ...
    def reconstruct(self, vectors: Tensor, tasks: Sequence[str] | None = ...) -> Tensor: ...


def nearest_by_condition(zoo: AdapterZoo, generator: Conditioned, condition: str | Tensor | None) -> Tensor:
    """Look up what a generator would have to write: the adapters of the training task with the nearest condition.

    Args:
        zoo: its training runs are the candidates.
        generator: knows the conditions of the training tasks.
        condition: as `generate` takes it.

    Returns:
        (R, K) last checkpoint of each training run of that task.

    Raises:
        ValueError: if there is no condition.
    """
    return last_checkpoints(zoo, looked_up(generator, condition))


def latent_zero(generator: Latent, task: str) -> Tensor:
    """Decode the latent 0, the mean of all training latents, with nothing generated.

    Returns:
        (1, K) near that task's soup under per_task normalization, near no task in particular under shared.
    """
    return generator.decode(torch.zeros(1, generator.latent), [task])


def reconstruction(generator: Latent, vectors: Tensor, task: str) -> Tensor:
    """Encode and decode a task's adapters: what the latent costs, with nothing generated.

    Args:
        generator: fitted.
        vectors: (n, K) originals.
        task: of all of them.

    Returns:
        (n, K) vectors.
    """
    return generator.reconstruct(vectors, [task] * len(vectors))


def _runs(zoo: AdapterZoo, task: str) -> list[list[int]]:
    """Return the training rows of each run of a task."""
    runs: dict[str, list[int]] = {}
    for i in zoo.training():
        if zoo.rows[i].task == task:
            runs.setdefault(zoo.rows[i].run, []).append(i)
    if not runs:
        raise ValueError(f"no training adapter of task {task!r}; the zoo knows {', '.join(zoo.tasks)}")
    return list(runs.values())


def _row(zoo: AdapterZoo, i: int) -> Tensor:
    return torch.from_numpy(np.array(zoo.vectors[i], dtype=np.float32))


def _average(soups: Tensor) -> Tensor:
    return soups.double().mean(dim=0, keepdim=True).float()


def _mean(zoo: AdapterZoo, rows: Sequence[int]) -> Tensor:
    total = torch.zeros(zoo.layout.size, dtype=torch.float64)
    for i in rows:
        total += _row(zoo, i)
    return (total / len(rows)).float()


def _noise(n: int, size: int, seed: int) -> Tensor:
    return torch.stack([torch.randn(size, generator=generator) for generator in noise_generators(seed, n)])
