"""Tasks that nothing was trained on: the adapters of every arm for each of them, scored beside each other.

An arm says what is written for unseen tasks, by whom, and what it is told; scores are artifacts, one for each arm and
seed, so that a study goes on where it was stopped, and that other arms can be added. What is drawn of them, and what it
means, is the notebook's.

Source: ours; arms are those that a sceptic would ask for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cpd.domains.finetune import Job, finetune_all, last_checkpoints
from cpd.domains.settings import Finetuning
from cpd.domains.text import diagnoses, icd
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.portions import few, shortened
from cpd.domains.text.tasks import YES_NO, Split, TextTask, accuracy
from cpd.measures.classification import Scores, judged, ranked
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.settings import Writing
from cpd.methods.method import Generator
from cpd.study import pipeline
from cpd.study.unseen import scored
from cpd.zoo.zoo import AdapterZoo

GIBBERISH = "wug blicket dax toma fep"
FEW = (4, 16)  # examples of each class
READER_RANK, READER_BATCH = 16, 256


@dataclass(frozen=True)
class Outcome(Scores):
    """How an adapter does on the rows of an unseen task.

    Attributes:
        ranked: labels of the rows, from the least to the most like the last class.
    """

    ranked: list[int]


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
        finetuning=replace(Unseen().finetuning, scale=0.3, report_rows=60),
        writing=Writing(steps=150, tasks=16, rows=8),
        learning=Learning(steps=500, width=256),
        learned=300, zoo=16, topics=12, questions=8, reader=60,
    ),
    "full": Unseen(writing=Writing(steps=800, tasks=32, rows=8), questions=30),
}  # fmt: skip
SEEDS = {"smoke": 1, "laptop": 1, "full": 1}  # how often everything is learned anew


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
    def zoo(self) -> AdapterZoo:
        """Adapters of training topics, one for each, the blocks of the list first."""
        topics = diagnoses.of_tier("training", kind="topic")[: self.how.zoo]
        spec = replace(self.how.finetuning, tasks=tuple(topics), report_rows=1, runs=1, held_out=0)
        return pipeline.zoo(TextDomain(spec, self.table), "description", 0)

    def generator(self, method: str, seed: int) -> Generator:
        """Fit a method to that zoo, or find the generator that was."""
        return pipeline.generator(self.zoo, self.how.learning, seed, method)

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
        cards = [shortened(card, count, seed) for card in self.unseen] if count else self.unseen
        names = tuple(card.name for card in cards)
        others = [card for card in self.table if card.name not in names]
        spec = replace(self.how.finetuning, tasks=names, batch=min(self.how.finetuning.batch, 2 * count or 10**6))
        jobs: list[Job] = [(name, seed) for name in names]
        return last_checkpoints(finetune_all(TextDomain(spec, [*cards, *others]), jobs))


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


Arm = Callable[[Study, int], Tensor]  # of a study and a seed, an adapter for each unseen task


def _written(writes: str | None, how: str, count: int, study: Study, seed: int) -> Tensor:
    network = study.network(writes or study.how.writing.writes, seed)
    return network.write(study.told(how, count, seed))


def _zero_shot(count: int, study: Study, seed: int) -> Tensor:
    network = study.network("head", 0).untrained()
    return network.write(study.told("examples" if count else "sentence", count, seed))


def _of_another(study: Study, seed: int) -> Tensor:
    return _written(None, "sentence", 0, study, seed)[study.others()]


def _of_all(study: Study, seed: int) -> Tensor:
    told = study.told("sentence").mean(dim=0, keepdim=True)
    return study.network(study.how.writing.writes, seed).write(told).expand(len(study.unseen), -1)


def _of_nothing(study: Study, seed: int) -> Tensor:
    told = torch.stack([study.asked.tell(card.name, GIBBERISH) for card in study.unseen])
    return study.network(study.how.writing.writes, seed).write(told)


def _from_zoo(method: str, study: Study, seed: int) -> Tensor:
    generator = study.generator(method, seed)
    return torch.cat([generator.generate(card.description, 1, seed) for card in study.unseen])


ARMS: dict[str, Arm] = {
    "description": partial(_written, None, "sentence", 0),
    "bare_name": partial(_written, None, "bare", 0),
    **{f"examples_{n}": partial(_written, None, "examples", n) for n in FEW},
    "other": _of_another,
    "mean": _of_all,
    "gibberish": _of_nothing,
    "shared_lora": partial(_written, "head", "sentence", 0),
    **{f"shared_lora_{n}": partial(_written, "head", "examples", n) for n in FEW},
    "zero_shot": partial(_zero_shot, 0),
    **{f"prototypes_{n}": partial(_zero_shot, n) for n in FEW},
    "tuned": lambda study, seed: study.tuned(0, seed),
    **{f"tuned_{n}": partial(lambda count, study, seed: study.tuned(count, seed), n) for n in FEW},
    "look_up": partial(_from_zoo, "by_condition"),
    **{name: partial(_from_zoo, name) for name in ("k_nearest", "ridge", "cond_pdiff")},
}
READERS = {"reader": True, "one_for_all": False}  # one adapter for all tasks: whether it reads the sentence
WRITES = {f"writes_{writes}": partial(_written, writes, "sentence", 0) for writes in ("all", "b", "core")}


def scores(how: Unseen, seed: int, names: Sequence[str] = tuple(ARMS)) -> dict[str, dict[str, Outcome]]:
    """Score arms on every unseen task, or find what was scored before.

    Args:
        how: sizes.
        seed: of all that is learned and drawn.
        names: of the arms.

    Returns:
        Arm -> task -> outcome.
    """
    made_by = {"unseen": asdict(how), "suite": list(icd.WHEEL)}
    found = scored.scores(made_by, seed, names, lambda missing: _score(_study(how), missing, seed))
    return {name: {task: Outcome(**own) for task, own in each.items()} for name, each in found.items()}


def about(how: Unseen) -> dict[str, dict[str, Any]]:
    """Describe every unseen task.

    Returns:
        Task -> its ``name``, ``kind`` and ``tier``, and the cosine of that name with the ``nearest`` one learned.
    """
    study = _study(how)
    return {
        card.name: {"name": card.phrasings[0], "kind": card.kind, "tier": card.tier, "nearest": cosine}
        for card, cosine in zip(study.unseen, study.nearest(), strict=True)
    }


def learned(how: Unseen) -> int:
    """Return how many tasks are learned from."""
    return len(_study(how).training)


@cache
def _study(how: Unseen) -> Study:
    return Study(how)


def _score(study: Study, names: Sequence[str], seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Score the adapters of every arm, all those of a task at a time; the readers have a base model of their own."""
    made = {name: (ARMS | WRITES)[name](study, seed) for name in names if name not in READERS}
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in made}
    for place, card in enumerate(study.unseen if made else ()):
        logits = study.asked.logits(card.name, torch.stack([own[place] for own in made.values()]), "report")
        labels = study.asked.splits(card.name).report.labels
        for name, own in zip(made, logits, strict=True):
            found[name][card.name] = _outcome(own, labels)
    return found | {name: _read(study, READERS[name], seed) for name in names if name in READERS}


def _outcome(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    return asdict(judged(logits, labels)) | {"ranked": ranked(logits, labels)}


def _read(study: Study, sentence: bool, seed: int) -> dict[str, dict[str, Any]]:
    """Fine-tune one adapter on all yes-or-no tasks together, and score it on those that are unseen."""
    learned = tuple(card for card in study.training if card.classes == YES_NO)
    steps = study.how.reader
    together = TextTask("together", "", YES_NO, accuracy, steps, partial(_together, learned, sentence))
    unseen = [card for card in study.unseen if card.classes == YES_NO]
    cards = [replace(card, load=partial(_paired, card, sentence)) for card in unseen]
    spec = replace(study.how.finetuning, tasks=(), rank=READER_RANK, alpha=2 * READER_RANK, batch=READER_BATCH)
    domain = TextDomain(replace(spec, max_length=2 * spec.max_length, learning_rate=2e-3), [together, *cards])
    vector = last_checkpoints(finetune_all(domain, [("together", seed)]))
    found = {}
    for card in unseen:
        labels = domain.splits(card.name).report.labels
        found[card.name] = _outcome(domain.logits(card.name, vector, "report")[0], labels)
    return found


def _together(cards: Sequence[TextTask], sentence: bool) -> tuple[Split, None]:
    """Return the rows of many tasks, each beside one of its task's phrasings, or without."""
    texts: list[tuple[str, ...]] = []
    labels: list[np.ndarray] = []
    random = np.random.default_rng(0)
    for card in cards:
        rows, _ = card.load()
        told = random.choice(card.phrasings, len(rows))
        texts += [(str(phrasing), *text) if sentence else text for phrasing, text in zip(told, rows.texts, strict=True)]
        labels.append(rows.labels)
    return Split(texts, np.concatenate(labels)), None


def _paired(card: TextTask, sentence: bool) -> tuple[Split, Split | None]:
    rows, report = card.load()
    return _beside(card, rows, sentence), report and _beside(card, report, sentence)


def _beside(card: TextTask, rows: Split, sentence: bool) -> Split:
    return replace(rows, texts=[(card.description, *text) if sentence else text for text in rows.texts])
