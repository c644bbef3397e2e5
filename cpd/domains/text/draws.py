"""How the rows of the tasks on diagnoses are drawn: by the name of the task, so that no order matters.

Source: ours.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from cpd.domains.text import phrasings
from cpd.domains.text.icd import Texts, rank
from cpd.domains.text.tasks import Split, TextTask, accuracy
from cpd.domains.text.words import plain

SIDES = frozenset(["left", "right", "bilateral", "both", "unspecified"])
POSITIVES = 120  # most texts that an unseen topic or a yes-or-no question says yes to


def document(text: str) -> str:
    """Return the words that texts share which differ in nothing but the side."""
    return " ".join(word for word in plain(text).split() if word not in SIDES)


def draw(pool: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw ``count`` indices, or all where there are not so many, from (n,) True where one may be drawn."""
    index = np.flatnonzero(pool)
    return random.choice(index, min(count, len(index)), replace=False)


def negatives(near: np.ndarray, far: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw ``count`` indices, half of them from ``near`` if it has so many, the rest from what is left of ``far``."""
    hard = draw(near, count // 2, random)
    rest = far.copy()
    rest[hard] = False
    return np.concatenate([hard, draw(rest, count - len(hard), random)])


def rows_of(texts: Texts, classes: list[np.ndarray]) -> Split:
    """Return rows of the given indices of each class."""
    index = np.concatenate(classes)
    labels = np.repeat(np.arange(len(classes)), [len(own) for own in classes])
    return Split([(texts.texts[i],) for i in index], labels, np.array([document(texts.stems[i]) for i in index]))


def halves(rows: Split, training: bool) -> tuple[Split, Split | None]:
    """Cut the rows of a task that nothing is learned from in two, for examples and for the report: whole documents."""
    if training:
        return rows, None
    assert rows.documents is not None
    ranks = np.array([rank(each) for each in rows.documents])
    first = ranks < np.sort(ranks)[len(rows) // 2]
    return rows.rows(np.flatnonzero(first)), rows.rows(np.flatnonzero(~first))


def generator(name: str) -> np.random.Generator:
    """Return the random numbers of a name."""
    return np.random.default_rng(int(rank(name)[:16], 16))


def task_of(
    name: str, form: str, words: tuple[str, str, str], classes: tuple[str, ...],
    load: partial[tuple[Split, Split | None]], steps: int, kind: str, tier: str,
) -> TextTask:  # fmt: skip
    """Return a task that is told in the sentences of a form; its name says which of them it is learned with."""
    told = phrasings.phrasings(form, words, generator(f"phrasings of {name}"))
    return TextTask(name, phrasings.asked(form, words), classes, accuracy, steps, load, told, kind, tier)
