"""A hypernetwork for people with many tasks of their own: fitted to tables of labelled texts, and not to adapters.

Source: ours.
"""

from __future__ import annotations

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
from cpd.methods.hypernetwork import fitting, presets
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.runtime import artifacts

ROWS = {"smoke": 100, "laptop": 200, "full": 10_000}  # most rows of a task that are learned from
RANK = 4
TOKENS = 64  # of a text; longer ones are cut


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
    names = presets.learned([card.name for card in tasks], held_out)
    domain = TextDomain(replace(how, tasks=tuple(names)), tasks)
    _ = domain.layout  # or the base encoder is refused, before any work
    domain.embeddings = Embeddings(ConditionEncoder("description", how.base).encode, how.base)
    with artifacts.rooted(folder):
        seen = digest(fitting.identity(domain), asdict(domain.spec), asdict(writing), seed)
        made = FittedHypernetwork.fit(domain, writing, seed, folder / seen)
    about = {name: {"rows": domain.size(name), "classes": [*domain.cards[name].classes]} for name in names}
    more: Mapping[str, Any] = {"tasks": about, "held_out": sorted(held_out), "max_length": how.max_length}
    return replace(made, learned=more, encoder=how.base)


def shortened(tasks: Sequence[TextTask], preset: str) -> list[TextTask]:
    """Return tasks with as many rows as are learned from at a preset."""
    return [at_most(card, ROWS[preset]) for card in tasks]
