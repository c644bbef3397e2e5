"""Topics: does a text belong to a block, category or subcategory of ICD-10-CM?

Source: ours; the list is the tabular list of ICD-10-CM (:mod:`cpd.domains.text.icd`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from cpd.domains.text.draws import POSITIVES, draw, generator, halves, negatives, rows_of, task_of
from cpd.domains.text.icd import level, rank, table
from cpd.domains.text.tasks import YES_NO, Split, TextTask

FEWEST = {"block": 40, "category": 8, "subcategory": 8}  # texts of a topic
TESTED, VALIDATED = 36, 20  # blocks that are topics
APART, MIDDLE = 3, (5, 12)  # chapters, among those with so many blocks that are topics


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
def learnable() -> np.ndarray:
    """Return (names,) True where a text is in no block but those of the training tier."""
    free = np.ones(len(table().names.texts), bool)
    for block, tier in block_tiers().items():
        free[table().members[block]] &= tier == "training"
    return free


def topic_rows(group: str, training: bool) -> tuple[Split, Split | None]:
    """Return rows of the question whether a text belongs to a block or category: as many that do as that do not.

    Args:
        group: block or category.
        training: whether to leave out the texts of blocks that are not of the training tier.

    Returns:
        Rows; of those that do not belong, half are of the same chapter.
    """
    rows, random = table(), generator(topic(group))
    allowed = learnable() if training else np.ones(len(rows.names.texts), bool)
    own = draw(allowed & _among(_own(group)), len(allowed) if training else POSITIVES, random)
    far = allowed & ~_among(rows.members[group])
    near = far & _among(rows.members[_within(group, "chapter")])
    return halves(rows_of(rows.names, [negatives(near, far, len(own), random), own]), training)


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


def topics() -> Iterator[TextTask]:
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
        count = learnable()[own].sum() if tier == "training" else len(own)
        keys: set[str | bytes] = {rows.titles[group].casefold(), rows.members[group].tobytes()}
        if count < FEWEST[level(group)] or keys & taken:
            continue
        taken |= keys
        load = partial(topic_rows, group, tier == "training")
        words = (rows.titles[group], "heading", "diagnosis")
        yield task_of(topic(group), "topic", words, YES_NO, load, 60, "topic", tier)
