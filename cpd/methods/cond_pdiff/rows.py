"""The rows of a zoo that a generator learns, read a part at a time: the first of its stages.

Nothing is known here of what is learned from them.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cpd.zoo.zoo import blocks

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo


@dataclass(frozen=True)
class Rows:
    """N rows of a matrix of adapters.

    Attributes:
        vectors: (A, K) matrix, an array or a memory map, weight units.
        index: (N,) rows of the matrix.
        tasks: (N,) task of each.
        names: (N,) what an error calls each.
    """

    vectors: np.ndarray
    index: np.ndarray
    tasks: Sequence[str]
    names: Sequence[str]

    @classmethod
    def training(cls, zoo: AdapterZoo) -> Rows:
        """Return the rows of a zoo that may be learned from.

        Raises:
            ValueError: if a task has fewer than 2 of them.
        """
        index = list(zoo.training())
        rows = [zoo.rows[i] for i in index]
        tasks = [row.task for row in rows]
        for task in zoo.tasks:
            if (count := tasks.count(task)) < 2:
                raise ValueError(
                    f"task {task!r} has {count} training checkpoint(s), 2 are needed; add some or drop the task"
                )
        names = [f"task {row.task!r}, run {row.run!r}, step {row.step}" for row in rows]
        return cls(zoo.vectors, np.asarray(index), tasks, names)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, chosen: np.ndarray) -> Tensor:
        """Return (B, K) of the rows, in their order."""
        return torch.from_numpy(np.asarray(self.vectors[self.index[chosen]]))

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield which coordinates, and their (N, b) values of all rows: one pass over the matrix."""
        return ((span, torch.from_numpy(block)) for span, block in blocks(self.vectors, self.index))

    def require_finite(self, values: Tensor) -> None:
        """Refuse (N, b) values of the rows that hold a NaN or an infinite one.

        Raises:
            ValueError: naming the row.
        """
        if not (finite := values.isfinite().all(dim=1)).all():
            name = self.names[int(finite.int().argmin())]
            raise ValueError(f"{name} has a NaN or infinite weight; remove that adapter from the zoo")
