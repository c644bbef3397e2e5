"""Tasks that nothing was trained on: which they are, what is told of them, and what is learned from the other tasks.

Source: ours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from cpd.domains.finetune import Job, checkpoints, finetune_all, last_checkpoints
from cpd.domains.settings import Finetuning
from cpd.domains.text import diagnoses
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.portions import few, shortened
from cpd.domains.text.tasks import TextTask
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.methods.method import Generator
from cpd.study import pipeline
from cpd.zoo.zoo import AdapterZoo

READER_RANK, READER_BATCH = 16, 256


@dataclass(frozen=True)
class Unseen:
    """Sizes of the study of unseen tasks.

    Attributes:
        finetuning: base encoder, LoRA and rows of all adapters but the reader's.
        writing: how hypernetworks learn.
        learning: how COND P-DIFF learns the zoo.
        learned: training tasks, one half topics and one half questions; None is all that there are.
        zoo: most training topics that adapters are fine-tuned on, for the methods that need a zoo.
        topics: most unseen topics of each tier; None is all of them.
        questions: most unseen questions of each tier, of every kind in turn; None is all of them.
        reader: fine-tuning steps of the adapter that reads the description beside the text, `READER_BATCH` rows each.
    """

    finetuning: Finetuning = field(
        default_factory=lambda: Finetuning(
            suite="diagnoses", pooling="mean", rank=4, alpha=16, dropout=0.0, max_length=24, scale=0.6, select_rows=1,
            report_rows=100, keep=4, curve=1,
        )
    )  # fmt: skip
    writing: Writing = field(default_factory=Writing)
    learning: Learning = field(default_factory=Learning)
    learned: int | None = None
    zoo: int = 64
    topics: int | None = None
    questions: int | None = None
    reader: int = 400


PRESETS = {
    "smoke": Unseen(
        finetuning=replace(Unseen().finetuning, max_length=12, scale=0.05, batch=4, report_rows=12),
        writing=Writing(width=32, depth=1, steps=4, tasks=4, rows=4),
        learning=Learning(latent=4, width=32, depth=1, steps=10, batch=4),
        learned=12, zoo=4, topics=3, questions=3, reader=2,
    ),
    "laptop": Unseen(
        finetuning=replace(Unseen().finetuning, scale=0.3, report_rows=50),
        writing=Writing(steps=100, tasks=16, rows=8),
        learning=Learning(steps=500, width=256),
        learned=100, zoo=16, topics=6, questions=3, reader=40,
    ),
    "full": Unseen(writing=Writing(steps=1200, tasks=16, rows=8), learned=540, zoo=133, questions=30),
}  # fmt: skip
SEEDS = {"smoke": 1, "laptop": 1, "full": 3}  # how often everything is learned anew
ZOOS = {"smoke": (2,), "laptop": (4,), "full": (6, 16, 64, 190)}  # further numbers of adapters of a zoo
# tasks learned for a quarter of the steps; questions are 269 at most, so that the last are 1,000
LEARNED = {"smoke": (6, 12), "laptop": (25, 100), "full": (16, 64, 190, 540, 1462)}
GONE_ON = {"smoke": 1, "laptop": 1, "full": 6}  # unseen topics of each tier that fine-tuning goes on with


class Study:
    """Training tasks, unseen tasks, and what is learned from the one and scored on the other.

    Args:
        how: sizes.
    """

    def __init__(self, how: Unseen) -> None:
        self.how = how
        self._networks: dict[tuple[str, int], FittedHypernetwork] = {}
        self.table = diagnoses.tasks()
        by_tier = {tier: [card for card in self.table if card.tier == tier] for tier in ("training", "test", "apart")}
        halves = (None, None) if how.learned is None else (-(-how.learned // 2), how.learned // 2)
        self.training = _some(by_tier["training"], *halves)
        self.unseen = [card for tier in ("test", "apart") for card in _some(by_tier[tier], how.topics, how.questions)]

    @cached_property
    def learned(self) -> TextDomain:
        """The training tasks."""
        names = tuple(card.name for card in self.training)
        return TextDomain(replace(self.how.finetuning, tasks=names, report_rows=1), self.table)

    @cached_property
    def asked(self) -> TextDomain:
        """The unseen tasks."""
        domain = TextDomain(replace(self.how.finetuning, tasks=tuple(card.name for card in self.unseen)), self.table)
        domain.embeddings = self.learned.embeddings
        return domain

    def network(self, writes: str, seed: int) -> FittedHypernetwork:
        """Train a hypernetwork on the training tasks, or find the one that was."""
        if (writes, seed) not in self._networks:
            self._networks[writes, seed] = pipeline.taught(self.learned, replace(self.how.writing, writes=writes), seed)
        return self._networks[writes, seed]

    @cached_property
    def known(self) -> TextDomain:
        """The training topics that adapters are fine-tuned on, the blocks of the list first."""
        topics = [card.name for card in self.training if card.kind == "topic"][: self.how.zoo]
        spec = replace(self.how.finetuning, tasks=tuple(topics), report_rows=1, runs=1, held_out=0)
        return TextDomain(spec, self.table)

    @cached_property
    def zoo(self) -> AdapterZoo:
        """Adapters of those topics, one run of each."""
        return pipeline.zoo(self.known, "description", 0)

    @cached_property
    def gains(self) -> AdapterZoo:
        """What fine-tuning adds to zero-shot, where it begins there: one run of each of those topics."""
        names, told = self.known.names, self.network("head", 0).conditions
        starts = dict(zip(names, self.zero_shot(torch.cat([told[name] for name in names])), strict=True))
        tuned = pipeline.zoo(self.known.starting_from(starts), "description", 0)
        begun = torch.stack([starts[row.task] for row in tuned.rows])
        return replace(tuned, vectors=tuned.vectors - begun.numpy())

    def zero_shot(self, told: Tensor) -> Tensor:
        """Return (n, K) adapters of (n, C) conditions that nothing was learned for: no update, and a zero-shot head."""
        return self.network("head", 0).untrained().write(told)

    def generator(self, zoo: AdapterZoo, method: str, seed: int) -> Generator:
        """Fit a method to a zoo, or find the generator that was."""
        return pipeline.generator(zoo, self.how.learning, seed, method)

    def told(self, how: str, count: int = 0, draw: int = 0) -> Tensor:
        """Tell every unseen task.

        Args:
            how: "sentence", "bare" for the bare name, or "examples" together with the sentence.
            count: examples of each class.
            draw: which.

        Returns:
            (tasks, C) conditions.
        """
        return torch.stack([self._told(card, how, count, draw) for card in self.unseen])

    def _told(self, card: TextTask, how: str, count: int, draw: int) -> Tensor:
        sentence = card.phrasings[0] if how == "bare" else card.description
        rows = few(card, count, draw) if how == "examples" else None
        return self.asked.tell(card.name, sentence, rows)

    def nearest(self) -> list[float]:
        """Return for each unseen task the cosine of its bare name with the most similar one that was learned."""
        own, known = (
            self.learned.embeddings([card.phrasings[0] for card in cards]) for cards in (self.unseen, self.training)
        )
        cosines: list[float] = (own @ known.T).amax(dim=1).tolist()
        return cosines

    def others(self) -> list[int]:
        """Return for each unseen task the place of another one, of the same tier, with as many classes."""
        groups: dict[tuple[str, int], list[int]] = {}
        for place, card in enumerate(self.unseen):
            groups.setdefault((card.tier, card.outputs), []).append(place)
        after = {own: group[(i + 1) % len(group)] for group in groups.values() for i, own in enumerate(group)}
        return [after[place] for place in range(len(self.unseen))]

    def tuned(self, count: int, seed: int) -> Tensor:
        """Fine-tune on every unseen task, the (tasks, K) last checkpoints.

        Args:
            count: examples of each class to learn from, the ones that `told` shows; 0 is all rows.
            seed: of the run and of the draw.
        """
        return last_checkpoints(finetune_all(self._few(count, seed, self.how.finetuning.keep), self._jobs(seed)))

    def gone_on(self, starts: Tensor, count: int, steps: int, seed: int) -> Tensor:
        """Fine-tune on every unseen task as `tuned` does, but from (tasks, K) adapters; return what some steps make."""
        domain = self._few(count, seed, max(map(self.asked.steps, self.asked.names)))
        begun = domain.starting_from(dict(zip(self.asked.names, starts, strict=True)))
        return checkpoints(finetune_all(begun, self._jobs(seed)), steps - 1)

    def _jobs(self, seed: int) -> list[Job]:
        return [(card.name, seed) for card in self.unseen]

    def _few(self, count: int, seed: int, keep: int) -> TextDomain:
        cards = [shortened(card, count, seed) for card in self.unseen] if count else self.unseen
        names = tuple(card.name for card in cards)
        others = [card for card in self.table if card.name not in names]
        batch = min(self.how.finetuning.batch, 2 * count or 10**6)
        return TextDomain(replace(self.how.finetuning, tasks=names, batch=batch, keep=keep), [*cards, *others])


def _some(cards: list[TextTask], topics: int | None, questions: int | None) -> list[TextTask]:
    """Return the first topics, and questions of every kind in turn, so many of each; None is all of them."""
    seen = Counter[str]()
    turns = []
    for i, card in enumerate(cards):
        seen[card.kind] += 1
        turns.append((seen[card.kind], i))
    parts = [], []  # type: tuple[list[int], list[int]]
    for _, i in sorted(turns):
        parts[cards[i].kind != "topic"].append(i)
    return [cards[i] for i in sorted([*parts[0][:topics], *parts[1][:questions]])]


@cache
def study(how: Unseen) -> Study:
    """Return the one study of these sizes in this process."""
    return Study(how)


def about(how: Unseen) -> dict[str, dict[str, Any]]:
    """Describe every unseen task.

    Returns:
        Task -> its ``name``, ``kind`` and ``tier``, and the cosine of that name with the ``nearest`` one learned.
    """
    own = study(how)
    return {
        card.name: {"name": card.phrasings[0], "kind": card.kind, "tier": card.tier, "nearest": cosine}
        for card, cosine in zip(own.unseen, own.nearest(), strict=True)
    }


def rows_of_a_run(how: Unseen) -> int:
    """Return how many rows fine-tuning on an unseen topic reads."""
    asked = study(how).asked
    return min(asked.steps(card.name) for card in study(how).unseen if card.kind == "topic") * how.finetuning.batch


def learned(how: Unseen) -> int:
    """Return how many tasks are learned from."""
    return len(study(how).training)
