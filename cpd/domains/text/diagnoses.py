"""The suite ``diagnoses``: a thousand tasks on short texts of ICD-10-CM, some of them never to be learned from.

The texts are the names of the codes and their inclusion terms, 57,551. A topic asks whether a text belongs to a block
("Intestinal infectious diseases"), category ("Typhoid and paratyphoid fevers") or subcategory of the list; a question
asks for a property that its words or codes tell (:mod:`cpd.domains.text.questions`), or what a question of the suite
``packaged`` asks for. Questions of one kind have rows in common, also across tiers, where they are about other values.

Tiers go by sha256, of a block's or chapter's codes and of a question's name, so that nobody chose them and no order
matters. Apart are three chapters, and as kinds of question two and those that the training texts do not suffice for. No
text of a block that is not of the training tier is in a row of a training task, not even as a negative; tasks that are
not of the training tier take their rows from all texts. Texts that differ in the side of the body only are one
document.

Source: ours; the list is the tabular list of ICD-10-CM (:mod:`cpd.domains.text.icd`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from cpd.domains.text import packaged, phrasings
from cpd.domains.text.icd import Texts, level, rank, table
from cpd.domains.text.questions import KINDS, Kind
from cpd.domains.text.tasks import TIERS, YES_NO, Split, TextTask, accuracy
from cpd.domains.text.words import Words, plain

POSITIVES = 120  # most texts that an unseen topic or a yes-or-no question says yes to
ROWS = 60, 240  # fewest and most of a question
FEWEST = {"block": 40, "category": 8, "subcategory": 8}  # texts of a topic
TESTED, VALIDATED = 36, 20  # blocks that are topics
APART, MIDDLE = 3, (5, 12)  # chapters, among those with so many blocks that are topics
KINDS_APART = 2
LEARNED = 2  # fewest training tasks of a kind; with fewer the whole kind is apart
ASKED = Kind("kind of answer", dict.fromkeys(packaged.QUESTIONS.values(), ""), "asked")
SIDES = frozenset(["left", "right", "bilateral", "both", "unspecified"])


def _document(text: str) -> str:
    """Return the words that texts share which differ in nothing but the side."""
    return " ".join(word for word in plain(text).split() if word not in SIDES)


def topic(group: str) -> str:
    """Return the name of the task on a block, category or subcategory, as in ``topic_A00_A09``."""
    return f"topic_{re.sub(r'[^A-Z0-9]', '_', group)}"


def _own(group: str) -> np.ndarray:
    """Return the (m,) texts of a block or category, less its title."""
    rows, title = table(), table().titles[group].casefold()
    return np.array([i for i in rows.members[group] if rows.names.texts[i].casefold() != title], int)


@cache
def block_tiers() -> dict[str, str]:
    """Return the tier of every block; small blocks, which are no topics, are of training or apart.

    Returns:
        Block -> tier.
    """
    rows = table()
    blocks = [group for group, own in rows.members.items() if level(group) == "block" and len(own)]
    large = [block for block in blocks if len(_own(block)) >= FEWEST["block"]]
    counts = Counter(rows.parents[block] for block in large)
    middle = [chapter for chapter, count in counts.items() if MIDDLE[0] <= count <= MIDDLE[1]]
    apart = sorted(middle, key=rank)[:APART]
    ranked = sorted((block for block in large if rows.parents[block] not in apart), key=rank)
    tiers = dict.fromkeys(blocks, "training")
    tiers |= dict.fromkeys(ranked[:TESTED], "test")
    tiers |= dict.fromkeys(ranked[TESTED : TESTED + VALIDATED], "validation")
    return tiers | {block: "apart" for block in blocks if rows.parents[block] in apart}


@cache
def _learnable() -> np.ndarray:
    """Return (names,) True where a text is in no block but those of the training tier."""
    free = np.ones(len(table().names.texts), bool)
    for block, tier in block_tiers().items():
        free[table().members[block]] &= tier == "training"
    return free


def _draw(pool: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw ``count`` indices, or all where there are not so many, from (n,) True where one may be drawn."""
    index = np.flatnonzero(pool)
    return random.choice(index, min(count, len(index)), replace=False)


def _negatives(near: np.ndarray, far: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw ``count`` indices, half of them from ``near`` if it has so many, the rest from what is left of ``far``."""
    hard = _draw(near, count // 2, random)
    rest = far.copy()
    rest[hard] = False
    return np.concatenate([hard, _draw(rest, count - len(hard), random)])


def _split(texts: Texts, classes: list[np.ndarray]) -> Split:
    """Return rows of the given indices of each class."""
    index = np.concatenate(classes)
    labels = np.repeat(np.arange(len(classes)), [len(own) for own in classes])
    return Split([(texts.texts[i],) for i in index], labels, np.array([_document(texts.stems[i]) for i in index]))


def _parts(rows: Split, training: bool) -> tuple[Split, Split | None]:
    """Cut the rows of a task that nothing is learned from in two, for examples and for the report: whole documents."""
    if training:
        return rows, None
    assert rows.documents is not None
    ranks = np.array([rank(document) for document in rows.documents])
    first = ranks < np.sort(ranks)[len(rows) // 2]
    return rows.rows(np.flatnonzero(first)), rows.rows(np.flatnonzero(~first))


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(int(rank(name)[:16], 16))


def topic_rows(group: str, training: bool) -> tuple[Split, Split | None]:
    """Return rows of the question whether a text belongs to a block or category: as many that do as that do not.

    Args:
        group: block or category.
        training: whether to leave out the texts of blocks that are not of the training tier.

    Returns:
        Rows; of those that do not belong, half are of the same chapter.
    """
    rows, random = table(), _generator(topic(group))
    allowed = _learnable() if training else np.ones(len(rows.names.texts), bool)
    own = _draw(allowed & _among(_own(group)), len(allowed) if training else POSITIVES, random)
    far = allowed & ~_among(rows.members[group])
    near = far & _among(rows.members[_within(group, "chapter")])
    return _parts(_split(rows.names, [_negatives(near, far, len(own), random), own]), training)


def _among(index: np.ndarray) -> np.ndarray:
    """Return (names,) True at the given indices."""
    mask = np.zeros(len(table().names.texts), bool)
    mask[index] = True
    return mask


def chapter(name: str) -> str:
    """Return the chapter that a topic is from, as in ``chapter 1``; ``table().titles`` says what it is called.

    Args:
        name: of a task of kind topic.

    Raises:
        ValueError: if it is none.
    """
    if name not in _groups():
        raise ValueError(f"{name!r} is no topic of the suite diagnoses; those begin with topic_")
    return _within(_groups()[name], "chapter")


@cache
def _groups() -> dict[str, str]:
    return {topic(group): group for group in table().parents}


def _within(group: str, above: str) -> str:
    """Return the chapter or block that a group is, or is part of."""
    while level(group) != above:
        group = table().parents[group]
    return group


def _topics() -> Iterator[TextTask]:
    """Yield the tasks on blocks, then those on categories and subcategories of training blocks.

    No two have the same title or the same texts; of such, one that is not of the training tier is kept.
    """
    rows, tiers = table(), block_tiers()
    taken: set[str | bytes] = set()
    order = {"block": 0, "category": 1, "subcategory": 2}
    for group in sorted(rows.parents, key=lambda x: (order[level(x)], tiers.get(x) == "training")):
        tier = tiers.get(_within(group, "block"), "training")
        if tier != "training" and level(group) != "block":
            continue
        own = _own(group)
        count = _learnable()[own].sum() if tier == "training" else len(own)
        keys: set[str | bytes] = {rows.titles[group].casefold(), rows.members[group].tobytes()}
        if count < FEWEST[level(group)] or keys & taken:
            continue
        taken |= keys
        load = partial(topic_rows, group, tier == "training")
        words = (rows.titles[group], "heading", "diagnosis")
        yield _task(topic(group), "topic", words, YES_NO, load, 60, "topic", tier)


def _task(
    name: str, form: str, words: tuple[str, str, str], classes: tuple[str, ...],
    load: partial[tuple[Split, Split | None]], steps: int, kind: str, tier: str,
) -> TextTask:  # fmt: skip
    told = phrasings.phrasings(form, words, _generator(f"phrasings of {name}"))
    return TextTask(name, phrasings.asked(form, words), classes, accuracy, steps, load, told, kind, tier)


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
    free = _learnable()[rows.base] if visits else _learnable()
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
    random, count = _generator(question(kind, values)), _count(classes, far)
    if len(values) > 1:
        return _parts(_split(texts, [_draw(own, count, random) for own in classes]), training)
    near, own = classes
    return _parts(_split(texts, [_negatives(near, far, count, random), _draw(own, count, random)]), training)


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


def _questions() -> Iterator[TextTask]:
    """Yield the questions of every kind, yes or no and with several classes."""
    apart = sorted(_kinds(), key=rank)[:KINDS_APART]
    for name, kind in _kinds().items():
        asked = {question(name, own): own for own in _asked_together(list(kind.values))}
        asked = {task: own for task, own in asked.items() if _large_enough(name, own, False)}
        tiers = _tiers(list(asked), name in apart)
        learned = [task for task, own in asked.items() if tiers[task] == "training" and _large_enough(name, own, True)]
        if len(learned) < LEARNED:
            tiers, learned = _tiers(list(asked), True), []
        for task, own in asked.items():
            if tiers[task] != "training" or task in learned:
                yield _question(task, name, own, tiers[task])


def _tiers(names: list[str], apart: bool) -> dict[str, str]:
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
    return _task(name, "which" if several else "yes", words, values if several else YES_NO, load, 100, kind, tier)


@cache
def tasks() -> tuple[TextTask, ...]:
    """Return every task of the suite: topics, then questions. The first call in a process reads the list."""
    return (*_topics(), *_questions())


def of_tier(*tiers: str, kind: str | None = None) -> list[str]:
    """Return the names of the tasks of some tiers, of one kind where it is given.

    Raises:
        ValueError: if there is no such tier.
    """
    if unknown := set(tiers) - set(TIERS):
        raise ValueError(f"no tier {min(unknown)!r}; there are {', '.join(TIERS)}")
    return [task.name for task in tasks() if task.tier in tiers and kind in (None, task.kind)]
