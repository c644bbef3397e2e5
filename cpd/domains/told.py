"""What a method is told of a task, as one vector: numbers about the task as a whole, then numbers about each class.

Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FLAGS = 3  # of each class: whether the task has it, whether its words are told, and how many examples, 0 to 1


@dataclass(frozen=True)
class Shape:
    """What the (C,) numbers of a condition are.

    Attributes:
        embedded: sizes of the embeddings of the task as a whole; that of a sentence is the last.
        flags: how many say which of these are told; they follow them.
        classes: of how many classes more is told; 0 where a task has none.
        each: numbers E of the embedding of a class's words, and again of its examples; `FLAGS` follow them.
    """

    embedded: tuple[int, ...]
    flags: int = 0
    classes: int = 0
    each: int = 0

    @property
    def task(self) -> int:
        """How many numbers are about the task as a whole."""
        return sum(self.embedded) + self.flags

    @property
    def parts(self) -> tuple[int, int, int]:
        """How many numbers about the task as a whole stand before its sentence, in it and after it."""
        return sum(self.embedded[:-1]), self.embedded[-1], self.flags

    @property
    def size(self) -> int:
        """C."""
        return self.task + self.classes * (2 * self.each + FLAGS)

    def cut(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n, task) and (n, classes, 2 each + FLAGS) of (n, C) conditions."""
        about, of_classes = conditions.split([self.task, self.size - self.task], dim=1)
        return about, of_classes.unflatten(1, (self.classes, -1)) if self.classes else of_classes[:, None, :]

    def of_sentence(self, embedding: np.ndarray) -> Tensor:
        """Return the (C,) condition that tells a sentence and nothing else; with classes, of a yes-or-no task.

        Args:
            embedding: (E,) of the sentence.
        """
        if not self.classes:
            nothing, flags = np.zeros(sum(self.embedded[:-1])), np.arange(self.flags) == self.flags - 1
            return torch.from_numpy(np.concatenate([nothing, embedding, flags]).astype(np.float32))
        classes = np.zeros((self.classes, 2 * self.each + FLAGS), np.float32)
        classes[:2, 2 * self.each] = 1
        classes[1:2, : self.each], classes[1:2, 2 * self.each + 1] = embedding, 1
        return torch.from_numpy(np.concatenate([embedding, classes.ravel()]).astype(np.float32))
