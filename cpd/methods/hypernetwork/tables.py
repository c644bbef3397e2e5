"""A hypernetwork for people with many tasks of their own: fitted to tables of labelled texts, and not to adapters.

Source: ours.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cpd.conditions import ConditionEncoder
from cpd.domains.domain import digest
from cpd.domains.embeddings import Embeddings
from cpd.domains.settings import Finetuning
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.encoders import tokenizer
from cpd.domains.text.portions import at_most
from cpd.domains.text.tasks import TextTask
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.runtime import artifacts

SIZES = {
    "smoke": Writing(width=64, depth=1, steps=20, tasks=4, rows=4),
    "laptop": Writing(steps=400, tasks=8, rows=8),
    "full": Writing(),
}
ROWS = {"smoke": 100, "laptop": 200, "full": 10_000}  # most rows of a task that are learned from
RANK = 4
TOKENS = 64  # of a text; longer ones are cut


def sizes(preset: str, **changes: Any) -> Writing:
    """Return how long to learn, with some of its numbers changed where they are given.

    Raises:
        ValueError: if there is no such preset, or a number is out of range.
    """
    if preset not in SIZES:
        raise ValueError(f"no preset {preset!r} for tables; there are {', '.join(SIZES)}")
    return replace(SIZES[preset], **{name: value for name, value in changes.items() if value is not None})


def spec(base: str, rank: int) -> Finetuning:
    """Return what adapters are written and fine-tuned for.

    Raises:
        ValueError: if there is no such base encoder, or the rank is not above 0.
    """
    length = min(TOKENS, tokenizer(base).model_max_length)
    return Finetuning(
        suite="folder", base=base, pooling="mean", rank=rank, alpha=4 * rank, dropout=0.0, max_length=length, keep=1,
        curve=1, select_rows=1, report_rows=1,
    )  # fmt: skip


def fit(
    tasks: Sequence[TextTask], held_out: Collection[str], how: Finetuning, writing: Writing, seed: int, folder: Path
) -> FittedHypernetwork:
    """Learn to write adapters for tasks, through their loss.

    Args:
        tasks: all of them.
        held_out: names of those that nothing is learned from.
        how: base encoder and LoRA; the encoder embeds what is told as well.
        writing: how long to learn.
        seed: names the fit.
        folder: keeps the training state; called again with it, an interrupted fit goes on where it was.

    Returns:
        The generator.

    Raises:
        ValueError: if a task that is held out is none, or fewer than two are left.
    """
    learned = _learned(tasks, held_out)
    domain = TextDomain(replace(how, tasks=tuple(card.name for card in learned)), tasks)
    _ = domain.layout  # or the base encoder is refused, before any work
    domain.embeddings = Embeddings(ConditionEncoder("description", how.base).encode, how.base)
    with artifacts.rooted(folder):
        seen = digest(*(json.dumps([name, domain.made_of(name)]) for name in domain.names), asdict(domain.spec))
        made = FittedHypernetwork.fit(domain, writing, seed, folder / digest(seen, asdict(writing), seed))
    about = {card.name: {"rows": len(domain.splits(card.name).train), "classes": [*card.classes]} for card in learned}
    more: Mapping[str, Any] = {"tasks": about, "held_out": sorted(held_out), "max_length": how.max_length}
    return replace(made, learned=more, encoder=how.base)


def _learned(tasks: Sequence[TextTask], held_out: Collection[str]) -> list[TextTask]:
    names = [card.name for card in tasks]
    if strangers := [name for name in held_out if name not in names]:
        raise ValueError(f"there is no task {strangers[0]!r} to hold out; there are {', '.join(names)}")
    learned = [card for card in tasks if card.name not in held_out]
    if len(learned) < 2:
        raise ValueError(
            f"{len(learned)} task is left to learn from, and 2 or more are needed; add tables or hold out fewer"
        )
    return learned


def shortened(tasks: Sequence[TextTask], preset: str) -> list[TextTask]:
    """Return tasks with as many rows as are learned from at a preset."""
    return [at_most(card, ROWS[preset]) for card in tasks]
