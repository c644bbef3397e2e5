"""Questions of other kinds about the texts of ICD-10-CM, and of the suite ``packaged`` about its questions.

Which kinds there are is said in :mod:`cpd.domains.text.questions`; here they become tasks.

Source: ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from cpd.domains.text import packaged
from cpd.domains.text.draws import POSITIVES, draw, generator, halves, negatives, rows_of, task_of
from cpd.domains.text.icd import Texts, rank, table
from cpd.domains.text.questions import KINDS, Kind
from cpd.domains.text.tasks import YES_NO, Split, TextTask
from cpd.domains.text.topics import learnable
from cpd.domains.text.words import Words

ROWS = 60, 240  # fewest and most of a question
KINDS_APART = 2
LEARNED = 2  # fewest training tasks of a kind; with fewer the whole kind is apart
ASKED = Kind("kind of answer", dict.fromkeys(packaged.QUESTIONS.values(), ""), "asked")


def _kinds() -> dict[str, Kind]:
    return KINDS | {"asked_for": ASKED}


@cache
def _asked() -> Texts:
    rows, _ = packaged.questions()
    labels = {text.casefold(): (text, label) for (text,), label in zip(rows.texts, rows.labels, strict=True)}
    words = list(ASKED.values)
    texts = [text for text, _ in labels.values()]
    return Texts(texts, [(words[label],) for _, label in labels.values()], texts)


@cache
def _looked_up(kind: str) -> tuple[Texts, np.ndarray, np.ndarray, np.ndarray]:
    """Return the n texts that a kind asks about, and what its patterns say of them.

    Returns:
        Texts; (n,) True where a training task may have the text; (values, n) True where a text has the value; and
        (values, n) True where it may have it.
    """
    rows, values = table(), _kinds()[kind].values
    if kind == "asked_for":
        codes = np.array([code for (code,) in _asked().codes])
        found = np.array([codes == value for value in values])
        return _asked(), np.ones(len(codes), bool), found, found
    visits = _kinds()[kind].texts == "visits"
    matches = [_words(visits).match(pattern) for pattern in values.values()]
    found, maybe = (np.array(own) for own in zip(*matches, strict=True))
    free = learnable()[rows.base] if visits else learnable()
    return rows.visits if visits else rows.names, free, found, maybe


@cache
def _words(visits: bool) -> Words:
    own = table().visits if visits else table().names
    return Words(own.texts, own.codes)


def question(kind: str, values: tuple[str, ...]) -> str:
    """Return the name of a question, as in ``side_left_side``; of several values, ``course_acute_to_subacute``."""
    ends = values if len(values) == 1 else (values[0], "to", values[-1])
    return f"{kind}_{re.sub('[^a-z0-9]+', '_', ' '.join(ends).lower())}"


def question_rows(kind: str, values: tuple[str, ...], training: bool) -> tuple[Split, Split | None]:
    """Return rows of a question, as many of each class.

    Args:
        kind: of question.
        values: one that a text has or has not, or several of which it has one.
        training: whether to leave out the texts of blocks that are not of the training tier.

    Returns:
        Rows. Of those without the only value half have another value of the kind, where there are so many.
    """
    texts, classes, far = _classes(kind, values, training)
    random, count = generator(question(kind, values)), _count(classes, far)
    if len(values) > 1:
        return halves(rows_of(texts, [draw(own, count, random) for own in classes]), training)
    near, own = classes
    return halves(rows_of(texts, [negatives(near, far, count, random), draw(own, count, random)]), training)


def _classes(kind: str, values: tuple[str, ...], training: bool) -> tuple[Texts, list[np.ndarray], np.ndarray]:
    """Return which of n texts are of which class.

    Returns:
        Texts; (n,) True where one is of a class, each in turn, and of those without the only value where it has another
        one; (n,) True where one is without the only value.
    """
    texts, free, found, maybe = _looked_up(kind)
    index = [list(_kinds()[kind].values).index(value) for value in values]
    allowed = free if training else np.ones_like(free)
    if len(values) > 1:
        alone = allowed & (maybe[index].sum(0) == 1)
        return texts, [found[i] & alone for i in index], np.zeros_like(free)
    far = allowed & ~maybe[index[0]]
    return texts, [found.any(0) & far, found[index[0]] & allowed], far


def _count(classes: list[np.ndarray], far: np.ndarray) -> int:
    """Return the number of rows of each class."""
    if far.any():
        return min(classes[1].sum(), far.sum(), POSITIVES)
    return min(*(own.sum() for own in classes), ROWS[1] // len(classes))


def _asked_together(values: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the values one by one, then together: all of them in groups of up to six, and in groups of three."""
    yield from ((value,) for value in values)
    for most in (6, 3) if len(values) >= 6 else (6,):
        parts = np.array_split(np.array(values, object), -(-len(values) // most))
        yield from (tuple(part) for part in parts if len(part) >= 3)


def _large_enough(kind: str, values: tuple[str, ...], training: bool) -> bool:
    _, classes, far = _classes(kind, values, training)
    return len(classes) * _count(classes, far) >= ROWS[0]


def questions() -> Iterator[TextTask]:
    """Yield the questions of every kind, yes or no and with several classes."""
    apart = sorted(_kinds(), key=rank)[:KINDS_APART]
    for name, kind in _kinds().items():
        asked = {question(name, own): own for own in _asked_together(list(kind.values))}
        asked = {task: own for task, own in asked.items() if _large_enough(name, own, False)}
        tiers = tiers_of(list(asked), name in apart)
        learned = [task for task, own in asked.items() if tiers[task] == "training" and _large_enough(name, own, True)]
        if len(learned) < LEARNED:
            tiers, learned = tiers_of(list(asked), True), []
        for task, own in asked.items():
            if tiers[task] != "training" or task in learned:
                yield _question(task, name, own, tiers[task])


def tiers_of(names: list[str], apart: bool) -> dict[str, str]:
    """Return the tiers of the questions of a kind: a quarter are asked only, an eighth are for choices."""
    if apart:
        return dict.fromkeys(names, "apart")
    ranked, tested, validated = sorted(names, key=rank), max(1, round(len(names) / 4)), round(len(names) / 8)
    tiers = dict.fromkeys(ranked, "training") | dict.fromkeys(ranked[:tested], "test")
    return tiers | dict.fromkeys(ranked[tested : tested + validated], "validation")


def _question(name: str, kind: str, values: tuple[str, ...], tier: str) -> TextTask:
    several = len(values) > 1
    choice = f"{', '.join(values[:-1])} or {values[-1]}" if several else values[0]
    words = (choice, _kinds()[kind].noun, "question" if kind == "asked_for" else "diagnosis")
    load = partial(question_rows, kind, values, tier == "training")
    return task_of(name, "which" if several else "yes", words, values if several else YES_NO, load, 100, kind, tier)
