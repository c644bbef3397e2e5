"""Every way to an adapter for a task that nothing was trained on, scored beside each other.

An arm says what is written for unseen tasks, by whom, and what it is told; scores are artifacts, one for each arm and
seed, so that a study goes on where it was stopped, and that other arms can be added. What is drawn of them, and what it
means, is the notebook's.

Source: ours; arms are those that a sceptic would ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cpd.domains.text import icd
from cpd.methods.method import Generator
from cpd.study.unseen import scored, tasks
from cpd.study.unseen.outcome import Outcome, outcome
from cpd.study.unseen.readers import read
from cpd.study.unseen.tasks import Study, Unseen

GIBBERISH = "wug blicket dax toma fep"
FEW = (4, 16)  # examples of each class
MIXED = ("k_nearest", "ridge", "cond_pdiff")  # methods that learn a zoo, and may learn what to add to zero-shot

Arm = Callable[[Study, int], Tensor]  # of a study and a seed, an adapter for each unseen task


def _written(writes: str | None, how: str, count: int, study: Study, seed: int) -> Tensor:
    network = study.network(writes or study.how.writing.writes, seed)
    return network.write(study.told(how, count, seed))


def _one_lora(study: Study, seed: int) -> Tensor:
    network = study.network(study.how.writing.writes, seed)
    return network.with_one_lora(network.write(study.told("sentence")))


def _zero_shot(count: int, study: Study, seed: int) -> Tensor:
    return study.zero_shot(study.told("examples" if count else "sentence", count, seed))


def _gist_only(study: Study, seed: int) -> Tensor:
    return study.network("head", 0).gist_only().write(study.told("sentence"))


def _of_another(study: Study, seed: int) -> Tensor:
    return _written(None, "sentence", 0, study, seed)[study.others()]


def _of_all(study: Study, seed: int) -> Tensor:
    told = study.told("sentence").mean(dim=0, keepdim=True)
    return study.network(study.how.writing.writes, seed).write(told).expand(len(study.unseen), -1)


def _of_nothing(study: Study, seed: int) -> Tensor:
    told = torch.stack([study.asked.tell(card.name, GIBBERISH) for card in study.unseen])
    return study.network(study.how.writing.writes, seed).write(told)


def _from_zoo(method: str, study: Study, seed: int) -> Tensor:
    return _asked(study.generator(study.zoo, method, seed), study, seed)


def _added(method: str, study: Study, seed: int) -> Tensor:
    return _zero_shot(0, study, seed) + _asked(study.generator(study.gains, method, seed), study, seed)


def _average_added(study: Study, seed: int) -> Tensor:
    return _zero_shot(0, study, seed) + study.gains.adapters(study.gains.last(held_out=False)).mean(dim=0)


def _asked(generator: Generator, study: Study, seed: int) -> Tensor:
    return torch.cat([generator.generate(card.description, 1, seed) for card in study.unseen])


ARMS: dict[str, Arm] = {
    "description": partial(_written, None, "sentence", 0),
    "bare_name": partial(_written, None, "bare", 0),
    **{f"examples_{n}": partial(_written, None, "examples", n) for n in FEW},
    "other": _of_another,
    "mean": _of_all,
    "gibberish": _of_nothing,
    "one_lora": _one_lora,
    "shared_lora": partial(_written, "head", "sentence", 0),
    **{f"shared_lora_{n}": partial(_written, "head", "examples", n) for n in FEW},
    "zero_shot": partial(_zero_shot, 0),
    "zero_shot_gist": _gist_only,
    **{f"prototypes_{n}": partial(_zero_shot, n) for n in FEW},
    "tuned": lambda study, seed: study.tuned(0, seed),
    **{f"tuned_{n}": partial(lambda count, study, seed: study.tuned(count, seed), n) for n in FEW},
    "look_up": partial(_from_zoo, "by_condition"),
    **{name: partial(_from_zoo, name) for name in MIXED},
    "average_added": _average_added,
    **{f"{name}_added": partial(_added, name) for name in MIXED},
}
NOTHING: dict[str, Arm] = {
    "untrained_adapter": lambda study, seed: study.asked.untrained().expand(len(study.unseen), -1)
}
STARTS = {
    0: ("untrained_adapter", "description", "shared_lora"),
    16: ("untrained_adapter", "examples_16", "shared_lora_16"),
}  # rows of each class that are learned from, 0 for all -> arms that fine-tuning goes on from
AFTER = (0, 0.05, 0.1, 0.25, 0.5, 1)  # of the steps of a run


def _gone_on(start: str, count: int, steps: int, study: Study, seed: int) -> Tensor:
    made = (ARMS | NOTHING)[start](study, seed)
    return study.gone_on(made, count, steps, seed) if steps else made


def going_on(how: Unseen, count: int) -> dict[str, dict[int, str]]:
    """Return the arms that go on with fine-tuning where another one ends: that one -> steps -> arm.

    Args:
        how: sizes, of unseen tasks that have equally many steps.
        count: examples of each class to learn from; 0 is all rows.
    """
    last = max(map(tasks.study(how).asked.steps, tasks.study(how).asked.names))
    steps = sorted({round(share * last) for share in AFTER})
    return {start: {n: f"{start}_then_{n}_of_{count}" for n in steps} for start in STARTS[count]}


READER = "reader"  # one adapter for all tasks, with a base model of its own
WRITTEN = {f"writes_{writes}": partial(_written, writes, "sentence", 0) for writes in ("all", "b", "core")}


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
    found = scored.scores(made_by, seed, names, lambda missing: _score(tasks.study(how), missing, seed))
    return {name: {task: Outcome(**own) for task, own in each.items()} for name, each in found.items()}


def _score(study: Study, names: Sequence[str], seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Score the adapters of every arm, all those of a task at a time."""
    later = {
        name: partial(_gone_on, start, count, steps)
        for count in STARTS
        for start, each in going_on(study.how, count).items()
        for steps, name in each.items()
    }
    made = {name: (ARMS | WRITTEN | later)[name](study, seed) for name in names if name != READER}
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in made}
    for place, card in enumerate(study.unseen if made else ()):
        logits = study.asked.logits(card.name, torch.stack([own[place] for own in made.values()]), "report")
        labels = study.asked.splits(card.name).report.labels
        for name, own in zip(made, logits, strict=True):
            found[name][card.name] = outcome(own, labels)
    if READER in names:
        found[READER] = read(study, seed)
    return found
