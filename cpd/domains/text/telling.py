"""What is told of a text task: a sentence, the classes' words, labelled examples, as embeddings of a sentence encoder.

A yes-or-no task is told by its sentence alone: that is what class "yes" means, and "no" is anything else. Of examples
the mean embedding of each class is told, and how many there are. Embeddings are artifacts.

Source: ours; means of embeddings of a class as in arXiv 1703.05175 (prototypes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cpd.domains.embeddings import Embeddings
from cpd.domains.text.tasks import YES_NO, Split, TextTask, accuracy
from cpd.domains.told import FLAGS, Shape

MOST = 16  # examples of a class


@dataclass(frozen=True)
class Told:
    """What is told of one task.

    Attributes:
        sentence: what the task is; empty where that is not told.
        words: of each class, empty where they are not told.
        examples: of each class, texts; empty where none are shown.
    """

    sentence: str
    words: tuple[str, ...]
    examples: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, task: TextTask, sentence: str = "", rows: Split | None = None) -> Told:
        """Tell a task by a sentence, by labelled rows, or by both.

        Args:
            task: whose classes.
            sentence: what it is.
            rows: examples.
        """
        outputs = range(task.outputs)
        words = tuple(task.classes) if sentence and task.classes else ("",) * task.outputs
        if task.classes == YES_NO:
            words = ("", sentence)
        shown = [joined(text) for text in rows.texts] if rows else []
        of_class = (
            tuple(tuple(x for x, y in zip(shown, rows.labels, strict=True) if y == k) for k in outputs)
            if rows and task.classes  # a number has no examples of a class
            else ((),) * task.outputs
        )
        return cls(sentence, words, of_class)

    def vector(self, embeddings: Embeddings, outputs: int) -> Tensor:
        """Return the (C,) condition of `shape`, for a head of so many outputs.

        Args:
            embeddings: of texts.
            outputs: of the head; classes that the task has not got are zero.
        """
        classes = np.zeros((outputs, 2 * embeddings.size + FLAGS), np.float32)
        for k, (words, examples) in enumerate(zip(self.words, self.examples, strict=True)):
            flags = 1, bool(words), min(1, math.log1p(len(examples)) / math.log1p(MOST))
            classes[k] = np.concatenate([embeddings.mean([words]), embeddings.mean(examples), flags])
        return torch.from_numpy(np.concatenate([embeddings.mean([self.sentence]), classes.ravel()]))


def joined(text: tuple[str, ...]) -> str:
    """Return a row's text, or its two texts, as one."""
    return " | ".join(text)


def shape(embedding: int, outputs: int) -> Shape:
    """Return what the numbers of a condition are."""
    return Shape((embedding,), classes=outputs, each=embedding)


def ask(
    embeddings: Embeddings,
    outputs: int,
    sentence: str = "",
    classes: Sequence[str] = YES_NO,
    rows: Split | None = None,
) -> Tensor:
    """Tell a task that is in no table, by a sentence, by labelled rows, or by both.

    Args:
        embeddings: of texts.
        outputs: of the head that is to be written.
        sentence: what the task is.
        classes: what its classes are called.
        rows: examples.

    Returns:
        (C,) condition.

    Raises:
        ValueError: if nothing is told, or the task has more classes than the head.
    """
    if not sentence.strip() and not rows:
        raise ValueError("nothing is told of the task; describe it in a sentence or give examples")
    if not 2 <= len(set(classes)) == len(classes) <= outputs:
        raise ValueError(
            f"the classes asked for are {', '.join(classes) or 'none'}; 2 to {outputs} are written here, "
            "for more fit again together with a task that has as many"
        )
    task = TextTask("asked", sentence, tuple(classes), accuracy, 1, _no_rows)
    return Told.of(task, sentence.strip(), rows).vector(embeddings, outputs)


def _no_rows() -> tuple[Split, None]:
    return Split([], np.array([], int)), None


def draw(task: TextTask, train: Split, random: np.random.Generator, without: np.ndarray) -> Told:
    """Tell a task anew, for learning: by one of its phrasings, by examples, or by both.

    Args:
        task: told.
        train: its training rows.
        random: which.
        without: rows that are not shown, because they are asked about.
    """
    kind = str(random.choice(["sentence", "examples", "both"], p=(0.4, 0.2, 0.4))) if task.classes else "sentence"
    sentence = "" if kind == "examples" else str(random.choice(task.learned_with))
    if kind == "sentence":
        return Told.of(task, sentence)
    free = np.ones(len(train), bool)
    free[without] = False
    return Told.of(task, sentence, shown(train, int(random.integers(1, MOST + 1)), random, free))


def shown(rows: Split, count: int, random: np.random.Generator, free: np.ndarray | None = None) -> Split:
    """Choose so many rows of each class at random, or all where there are fewer.

    Args:
        rows: n of them.
        count: of each class.
        random: which.
        free: (n,) True where a row may be chosen; None is all of them.
    """
    order = random.permutation(len(rows) if free is None else np.flatnonzero(free))
    of_class = rows.labels[order]
    return rows.rows(np.concatenate([order[of_class == k][:count] for k in range(int(rows.labels.max()) + 1)]))
