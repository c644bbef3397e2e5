"""Two-way scaling of parameter vectors, fitted on training rows only.

The three kinds differ in what they give away. ``shared`` uses one mean and one standard deviation per coordinate for
all tasks, so only the condition can tell the generator which task it is. ``per_task`` is the authors' choice: it needs
the true task to scale back, and then zero already means that task's average adapter. ``none`` scales nothing.
Nothing here knows about latents or networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cpd.methods.cond_pdiff.rows import Rows

KINDS = ("none", "shared", "per_task")
SMALLEST = 1e-30  # smaller standard deviations count as 0, so that dividing cannot overflow
WHOLE = slice(0, None)  # all coordinates of a vector


class Normalizer(nn.Module):
    """Map vectors to zero mean and unit standard deviation per learned coordinate, and back.

    A coordinate that never moves in any row is not learned: it is left out, and comes back as exactly its value. That
    is how a frozen part of a head stays with the generator.

    Args:
        kind: one of ``none``, ``shared``, ``per_task``.
        size: K, coordinates per vector.
        moving: (M,) positions of the learned coordinates, increasing; None means all.
        tasks: names of the groups with statistics of their own, in order; used by ``per_task`` only.

    Raises:
        ValueError: if the kind is unknown.
    """

    mean: Tensor
    std: Tensor
    moving: Tensor

    def __init__(self, kind: str, size: int, moving: Tensor | None = None, tasks: Sequence[str] = ()) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"unknown normalization {kind!r}; known: {', '.join(KINDS)}")
        self.kind, self.size = kind, size
        self.tasks = tuple(tasks) if kind == "per_task" else ()
        groups = max(1, len(self.tasks))
        self.register_buffer("mean", torch.zeros(groups, size))
        self.register_buffer("std", torch.ones(groups, size))
        self.register_buffer("moving", torch.arange(size) if moving is None else moving)

    @classmethod
    def fit(cls, kind: str, rows: Rows) -> Normalizer:
        """Compute the statistics in one pass.

        Args:
            kind: one of ``none``, ``shared``, ``per_task``.
            rows: what is learned.

        Returns:
            A normalizer with float32 statistics accumulated in float64.

        Raises:
            ValueError: if a value is NaN or infinite, or no coordinate moves.

        Source: ours; per_task is the authors' normalization (arXiv 2408.01415, released code) without its 0/0.
        """
        names = np.array(rows.tasks) if kind == "per_task" else np.full(len(rows), "all tasks")
        tasks = np.unique(names).tolist()
        fitted = cls(kind, rows.vectors.shape[1], tasks=tasks)
        groups = [torch.from_numpy(np.flatnonzero(names == task)) for task in tasks]
        for span, block in rows.blocks():
            for i, own in enumerate(groups):
                fitted.mean[i, span], fitted.std[i, span] = _moments(block[own])
            if not fitted.mean[:, span].isfinite().all():
                rows.require_finite(block)
        moves = (fitted.std > 0).any(dim=0)
        if not moves.any():
            raise ValueError(f"no weight differs between the {len(rows)} adapters of a task; add others to the zoo")
        fitted.moving = moves.nonzero()[:, 0]
        if kind == "none":
            fitted.mean, fitted.std = torch.where(moves, 0.0, fitted.mean), moves[None].float()
        return fitted

    def transform(self, rows: Rows) -> NormalizedRows:
        """Return the rows as they are after `normalize`; they are scaled when they are read."""
        return NormalizedRows(self, rows)

    def normalize(self, x: Tensor, tasks: Sequence[str] | None = None, span: slice = WHOLE) -> Tensor:
        """Scale vectors to zero mean and unit standard deviation, and leave out what never moves.

        Args:
            x: (B, b) coordinates of vectors in weight units.
            tasks: (B,) task of each row; needed by ``per_task`` only.
            span: which b of the K coordinates they are.

        Returns:
            (B, m) dimensionless: those of the b coordinates that are learned, 0 where the standard deviation is 0.
        """
        moving = self._moving(span)
        mean, std = (_columns(each[:, span], moving)[self._groups(len(x), tasks)] for each in (self.mean, self.std))
        return ((_columns(x, moving) - mean) / torch.where(std > 0, std, 1.0)).masked_fill_(std <= 0, 0.0)

    def denormalize(self, x: Tensor, tasks: Sequence[str] | None = None) -> Tensor:
        """Undo `normalize`.

        Args:
            x: (B, M) dimensionless vectors.
            tasks: (B,) task of each row; needed by ``per_task`` only.

        Returns:
            (B, K) vectors in weight units.
        """
        groups = self._groups(len(x), tasks)
        moved = x * _columns(self.std, self.moving)[groups]  # (B, M)
        if len(self.moving) == self.size:
            return moved.add_(self.mean[groups])
        return self.mean[groups].expand(len(x), -1).index_add(1, self.moving, moved)

    def _moving(self, span: slice) -> Tensor:
        """Return where the learned coordinates lie within a span."""
        if span == WHOLE:
            return self.moving
        first, last = torch.searchsorted(self.moving, torch.tensor([span.start, span.stop])).tolist()
        return self.moving[first:last] - span.start

    def _groups(self, count: int, tasks: Sequence[str] | None) -> Tensor:
        """Find the row of statistics of each vector, (B,) or (1,) when all share one."""
        if self.kind != "per_task":
            return torch.zeros(1, dtype=torch.long)
        if tasks is None or len(tasks) != count:
            given = "none" if tasks is None else str(len(tasks))
            raise ValueError(f"per_task normalization needs the task of each of the {count} vectors, got {given}")
        for task in tasks:
            if task not in self.tasks:
                raise ValueError(f"no statistics for task {task!r}; fitted on: {', '.join(self.tasks)}")
        return torch.tensor([self.tasks.index(task) for task in tasks], dtype=torch.long)


@dataclass(frozen=True)
class NormalizedRows:
    """N rows as the autoencoder learns them, (N, M) dimensionless, made when they are read."""

    normalizer: Normalizer
    rows: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """N and M."""
        return len(self.rows), len(self.normalizer.moving)

    def __getitem__(self, chosen: np.ndarray) -> Tensor:
        """Return (B, M) of the rows, in their order."""
        return self.normalizer.normalize(self.rows[chosen], [self.rows.tasks[i] for i in chosen])

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield which of the M coordinates, and their (N, m) values of all rows: one pass over the matrix."""
        start = 0
        for span, block in self.rows.blocks():
            values = self.normalizer.normalize(block, self.rows.tasks, span)
            yield slice(start, start + values.shape[1]), values
            start += values.shape[1]


def _columns(x: Tensor, positions: Tensor) -> Tensor:
    """Return some columns of (n, b), all of them without a copy."""
    return x if len(positions) == x.shape[1] else x[:, positions]


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the (population) standard deviation over (n, b) rows, (b,) float64 each."""
    exact = rows.double()
    mean = exact.mean(dim=0)
    std = (exact - mean).square_().mean(dim=0).sqrt_()
    return mean, std.masked_fill_(std < SMALLEST, 0.0)
