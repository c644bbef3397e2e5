"""Tasks that a hypernetwork never saw, with tables: what it writes for them, beside what is to be had without it.

Every arm is told a task's sentence, or its sentence and a few rows of one half of its table, and is scored on the other
half.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from cpd.conditions import nearest_task
from cpd.domains.finetune import finetune_all, last_checkpoints
from cpd.domains.settings import Finetuning
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.portions import few, halved, shortened
from cpd.domains.text.tasks import Split, TextTask, accuracy
from cpd.domains.text.telling import Told
from cpd.domains.told import FLAGS
from cpd.measures.classification import Scores, judged
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.unseen.chosen import chosen

COUNTS = (4, 16)  # examples of each class
ROWS = 500  # most rows that a task is scored on
NAMES = {
    "generated": "generated from the sentence",
    **{f"generated_{n}": f"... and from {n} examples" for n in COUNTS},
    "other_condition": "generated, told another",
    "one_for_all": "one LoRA for all, own heads",
    "zero_shot": "zero-shot",
    **{f"prototypes_{n}": f"prototypes, {n} examples" for n in COUNTS},
    "look_up": "nearest learned task's",
    **{f"tuned_{n}": f"fine-tuned on {n} examples" for n in COUNTS},
    "tuned": "fine-tuned on all rows",
}  # arm -> in plain words; examples are so many of each class


@dataclass(frozen=True)
class Asked:
    """Tasks that are asked for, and the generator that is asked.

    Attributes:
        generator: fitted to other tasks.
        cards: the tasks, each in two halves.
        how: base encoder, and the LoRA that the generator writes.
        seed: of fine-tuning and of the rows that are shown.
    """

    generator: FittedHypernetwork
    cards: tuple[TextTask, ...]
    how: Finetuning
    seed: int

    @cached_property
    def outputs(self) -> int:
        """Logits of the head that is written."""
        return self.generator.network.shape.classes

    def domain(self, cards: Sequence[TextTask], batch: int) -> TextDomain:
        """Return tasks on the base encoder, under a head as wide as the one that is written."""
        wide = TextTask("/", "", tuple(map(str, range(self.outputs))), accuracy, 1, _nothing)
        spec = replace(self.how, tasks=tuple(card.name for card in cards), batch=batch, report_rows=ROWS)
        return TextDomain(spec, [*cards, wide])

    def told(self, count: int = 0, another: bool = False) -> Tensor:
        """Return the (tasks, C) conditions: sentences, with so many examples of each class or with none."""
        return torch.stack([self._told(i, count, another) for i in range(len(self.cards))])

    def _told(self, place: int, count: int, another: bool) -> Tensor:
        card = self.cards[place]
        rows: Split | None = few(card, count, self.seed) if count else None
        sentence = self._other(place) if another else card.description
        return Told.of(card, sentence, rows).vector(self.generator.embeddings, self.outputs)

    def _other(self, place: int) -> str:
        """Return the sentence of another task, a learned one where there is no other that is asked for."""
        if len(self.cards) > 1:
            return self.cards[(place + 1) % len(self.cards)].description
        return next(iter(self.generator.sentences.values()))

    def looked_up(self) -> Tensor:
        """Return what is written for the learned task with the nearest condition, of those with as many classes."""
        known = self.generator.conditions
        classes = {task: self._classes(vector) for task, vector in known.items()}
        found = []
        for condition in self.told():
            alike = {task: own for task, own in known.items() if classes[task] == self._classes(condition[None])}
            found.append(known[nearest_task(condition, alike or known)][0])
        return self.generator.write(torch.stack(found))

    def _classes(self, condition: Tensor) -> int:
        return int(self.generator.network.shape.cut(condition)[1][0, :, -FLAGS].sum())

    def tuned(self, count: int) -> Tensor:
        """Fine-tune on every task, from nothing: on the rows that `told` shows, or on its whole half."""
        cards = [shortened(card, count, self.seed) if count else card for card in self.cards]
        domain = self.domain(cards, min(self.how.batch, 2 * count or self.how.batch))
        runs = finetune_all(domain, [(card.name, self.seed) for card in cards])
        return last_checkpoints(runs)


def asked(
    generator: FittedHypernetwork, tasks: Sequence[TextTask], names: Sequence[str], how: Finetuning, seed: int
) -> Asked:
    """Choose the tasks that are asked for.

    Args:
        generator: fitted to other tasks.
        tasks: all that there are.
        names: of those that are meant; empty means all that the generator did not learn.
        how: base encoder and LoRA.
        seed: of fine-tuning and of the rows that are shown.

    Raises:
        ValueError: if a task is none, was learned, or has more classes than the head; or none is left.
    """
    there = {card.name: card for card in tasks}
    asked_for = chosen(names, there, generator.sentences, "task")
    outputs = generator.network.shape.classes
    if wide := [name for name in asked_for if there[name].outputs > outputs]:
        raise ValueError(
            f"task {wide[0]!r} has {there[wide[0]].outputs} classes, and heads of {outputs} are written; name other "
            "tasks with --task, or fit again with this one in the folder"
        )
    made = Asked(generator, tuple(halved(there[name]) for name in asked_for), how, seed)
    generator.layout.require_same(made.domain(made.cards, 1).layout, f"an adapter of {how.base}")
    return made


def score(of: Asked) -> dict[str, dict[str, Scores]]:
    """Score every arm.

    Returns:
        Task -> arm -> scores on the half of its rows that nothing was learned from.
    """
    made = {name: write(of) for name, write in ARMS.items()}
    domain, found = of.domain(of.cards, 1), {}
    for place, card in enumerate(of.cards):
        logits = domain.logits(card.name, torch.stack([own[place] for own in made.values()]), "report")
        labels = domain.splits(card.name).report.labels
        found[card.name] = {name: judged(own, labels) for name, own in zip(made, logits, strict=True)}
    return found


def _generated(count: int, of: Asked) -> Tensor:
    return of.generator.write(of.told(count))


def _bare(count: int, of: Asked) -> Tensor:
    return of.generator.untrained().write(of.told(count))


def _tuned(count: int, of: Asked) -> Tensor:
    return of.tuned(count)


def _nothing() -> tuple[Split, None]:
    return Split([], np.array([], int)), None


ARMS: dict[str, Callable[[Asked], Tensor]] = {
    "generated": partial(_generated, 0),
    **{f"generated_{n}": partial(_generated, n) for n in COUNTS},
    "other_condition": lambda of: of.generator.write(of.told(another=True)),
    "one_for_all": lambda of: of.generator.with_one_lora(_generated(0, of)),
    "zero_shot": partial(_bare, 0),
    **{f"prototypes_{n}": partial(_bare, n) for n in COUNTS},
    "look_up": Asked.looked_up,
    **{f"tuned_{n}": partial(_tuned, n) for n in COUNTS},
    "tuned": partial(_tuned, 0),
}
