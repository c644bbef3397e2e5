"""Portions of a task's rows: one half to learn from and one to score, a few of each class, so many at most.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cpd.domains.text.tasks import Split, TextTask
from cpd.domains.text.telling import shown

Load = Callable[[], tuple[Split, Any]]
EACH = 4  # rows of each class that are kept, where there are as many


def few(task: TextTask, count: int, draw: int) -> Split:
    """Return so many training rows of each class of a task: others for each number ``draw``."""
    return shown(task.load()[0], count, np.random.default_rng((draw, count)))


def shortened(task: TextTask, count: int, draw: int) -> TextTask:
    """Return a task whose training rows are those of `few`."""
    return replace(task, load=partial(_few, task, count, draw))


def at_most(task: TextTask, count: int) -> TextTask:
    """Return a task with so many of its training rows at most, drawn at random; four of each class are among them."""
    return replace(task, load=partial(_at_most, task.load, count))


def halved(task: TextTask) -> TextTask:
    """Return a task that is learned from one half of its training rows, of each class, and scored on the other."""
    return replace(task, load=partial(_halves, task.load))


def _few(task: TextTask, count: int, draw: int) -> tuple[Split, Split | None]:
    return few(task, count, draw), task.load()[1]


def _at_most(load: Load, count: int) -> tuple[Split, Split | None]:
    rows, report = load()
    first, others = _ranked(rows)
    chosen = np.concatenate([first, others])[:count]
    return rows.rows(np.sort(chosen)), report


def _ranked(rows: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows in a random order that is the same each time: a few of each class, and the others."""
    order = np.random.default_rng(0).permutation(len(rows))
    seen: dict[int, int] = {}
    early = []
    for label in rows.labels[order].tolist():
        seen[label] = seen.get(label, 0) + 1
        early.append(seen[label] <= EACH)
    return order[early], order[~np.array(early)]


def _halves(load: Load) -> tuple[Split, Split]:
    rows, _ = load()
    first = {text: i for i, text in reversed(list(enumerate(rows.texts)))}
    order = np.random.default_rng(0).permutation(sorted(first.values()))
    parts: tuple[list[int], list[int]] = ([], [])
    for k in range(int(rows.labels.max()) + 1):
        for n, i in enumerate(order[rows.labels[order] == k]):
            parts[n % 2].append(int(i))
    learned, scored = (rows.rows(np.array(part)) for part in parts)
    return learned, scored
