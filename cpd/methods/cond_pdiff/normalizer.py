"""Two-way scaling of parameter vectors, fitted on training rows only.

The three kinds differ in what they give away. ``shared`` uses one mean and one standard deviation per coordinate for
all tasks, so only the condition can tell the generator which task it is. ``per_task`` is the authors' choice: it needs
the true task to scale back, and then zero already means that task's average adapter. ``none`` scales nothing.
Nothing here knows about latents or networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

KINDS = ("none", "shared", "per_task")
SMALLEST = 1e-30  # smaller standard deviations count as 0, so that dividing cannot overflow
CHUNK_BYTES = 64 * 2**20  # bytes of float64 read from the matrix at a time


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
        self.kind = kind
        self.tasks = tuple(tasks) if kind == "per_task" else ()
        groups = max(1, len(self.tasks))
        self.register_buffer("mean", torch.zeros(groups, size))
        self.register_buffer("std", torch.ones(groups, size))
        self.register_buffer("moving", torch.arange(size) if moving is None else moving)

    @classmethod
    def fit(
        cls, kind: str, vectors: np.ndarray, tasks: Sequence[str], index: Sequence[int] | np.ndarray | None = None
    ) -> Normalizer:
        """Compute the statistics, reading a few rows at a time.

        Args:
            kind: one of ``none``, ``shared``, ``per_task``.
            vectors: (N, K) vectors; an array or a memory map.
            tasks: (N,) task of each row.
            index: rows to learn from; None means all.

        Returns:
            A normalizer with float32 statistics accumulated in float64.

        Raises:
            ValueError: if there is no row, the lengths differ, a value is NaN or infinite, or no coordinate moves.

        Source: ours; per_task is the authors' normalization (arXiv 2408.01415, released code) without its 0/0.
        """
        if len(vectors) == 0 or len(vectors) != len(tasks):
            raise ValueError(f"need one task name per row, got {len(vectors)} rows and {len(tasks)} names")
        chosen = np.arange(len(vectors)) if index is None else np.asarray(index)
        groups = np.array(tasks)[chosen] if kind == "per_task" else np.full(len(chosen), "all tasks")
        names = np.unique(groups).tolist()
        moments = [_moments(vectors, chosen[groups == name], name) for name in names]
        mean, std = (torch.from_numpy(np.stack(each)) for each in zip(*moments, strict=True))
        moves = (std > 0).any(dim=0)
        if not moves.any():
            raise ValueError(f"no weight differs between the {len(chosen)} adapters of a task; add others to the zoo")
        normalizer = cls(kind, vectors.shape[1], moves.nonzero()[:, 0], names)
        if kind == "none":
            mean, std = torch.where(moves, 0.0, mean), moves[None].float()
        normalizer.mean, normalizer.std = mean, std
        return normalizer

    def normalize(self, x: Tensor, tasks: Sequence[str] | None = None) -> Tensor:
        """Scale vectors to zero mean and unit standard deviation, and leave out what never moves.

        Args:
            x: (B, K) vectors in weight units.
            tasks: (B,) task of each row; needed by ``per_task`` only.

        Returns:
            (B, M) dimensionless vectors, 0 where the standard deviation is 0.
        """
        mean, std = self._statistics(len(x), tasks)
        return torch.where(std > 0, (x[:, self.moving] - mean[:, self.moving]) / torch.where(std > 0, std, 1.0), 0.0)

    def denormalize(self, x: Tensor, tasks: Sequence[str] | None = None) -> Tensor:
        """Undo `normalize`.

        Args:
            x: (B, M) dimensionless vectors.
            tasks: (B,) task of each row; needed by ``per_task`` only.

        Returns:
            (B, K) vectors in weight units.
        """
        mean, std = self._statistics(len(x), tasks)
        vectors = mean.expand(len(x), -1).clone()
        vectors[:, self.moving] += x * std
        return vectors

    def _statistics(self, count: int, tasks: Sequence[str] | None) -> tuple[Tensor, Tensor]:
        """Return the (B, K) means and (B, M) standard deviations of each vector, or (1, ...) when all share one."""
        rows = self._rows(count, tasks)
        return self.mean[rows], self.std[rows][:, self.moving]

    def _rows(self, count: int, tasks: Sequence[str] | None) -> Tensor:
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


def _moments(vectors: np.ndarray, index: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the (population) standard deviation over the rows, (K,) float32 each, in two passes."""
    mean = np.zeros(vectors.shape[1])
    for rows in _chunks(vectors, index):
        mean += rows.sum(axis=0)
    mean /= len(index)
    if not np.isfinite(mean).all():
        raise ValueError(f"vectors of {name} hold NaN or infinite values; remove those adapters from the zoo")
    square = np.zeros_like(mean)
    for rows in _chunks(vectors, index):
        square += ((rows - mean) ** 2).sum(axis=0)
    std = np.sqrt(square / len(index))
    std[std < SMALLEST] = 0.0
    return mean.astype(np.float32), std.astype(np.float32)


def _chunks(vectors: np.ndarray, index: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the chosen rows as float64, (n, K) with n bounded by `CHUNK_BYTES`."""
    step = max(1, CHUNK_BYTES // (8 * vectors.shape[1]))
    for start in range(0, len(index), step):
        yield np.asarray(vectors[index[start : start + step]], dtype=np.float64)
