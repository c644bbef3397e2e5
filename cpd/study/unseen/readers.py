"""One adapter for all tasks, which reads beside each text what is asked of it.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cpd.domains.finetune import finetune_all, last_checkpoints
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.tasks import YES_NO, Split, TextTask, accuracy
from cpd.study.unseen.outcome import outcome
from cpd.study.unseen.tasks import READER_BATCH, READER_RANK, Study


def read(study: Study, seed: int) -> dict[str, dict[str, Any]]:
    """Fine-tune one adapter on all yes-or-no tasks together, and score it on those that are unseen.

    Args:
        study: sizes and tasks.
        seed: of the run.

    Returns:
        Task -> fields of an `Outcome`.
    """
    learned = tuple(card for card in study.training if card.classes == YES_NO)
    steps = study.how.reader
    together = TextTask("together", "", YES_NO, accuracy, steps, partial(_together, learned))
    unseen = [card for card in study.unseen if card.classes == YES_NO]
    cards = [replace(card, load=partial(_paired, card)) for card in unseen]
    spec = replace(study.how.finetuning, tasks=(), rank=READER_RANK, alpha=2 * READER_RANK, batch=READER_BATCH)
    domain = TextDomain(replace(spec, max_length=2 * spec.max_length, learning_rate=2e-3), [together, *cards])
    vector = last_checkpoints(finetune_all(domain, [("together", seed)]))
    found = {}
    for card in unseen:
        labels = domain.splits(card.name).report.labels
        found[card.name] = outcome(domain.logits(card.name, vector, "report")[0], labels)
    return found


def _together(cards: Sequence[TextTask]) -> tuple[Split, None]:
    """Return the rows of many tasks, each beside one of its task's phrasings."""
    texts: list[tuple[str, ...]] = []
    labels: list[np.ndarray] = []
    random = np.random.default_rng(0)
    for card in cards:
        rows, _ = card.load()
        told = random.choice(card.phrasings, len(rows))
        texts += [(str(phrasing), *text) for phrasing, text in zip(told, rows.texts, strict=True)]
        labels.append(rows.labels)
    return Split(texts, np.concatenate(labels)), None


def _paired(card: TextTask) -> tuple[Split, Split | None]:
    rows, report = card.load()
    return _beside(card, rows), report and _beside(card, report)


def _beside(card: TextTask, rows: Split) -> Split:
    return replace(rows, texts=[(card.description, *text) for text in rows.texts])
